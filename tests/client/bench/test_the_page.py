"""docs/bench.md says what the command does."""

from __future__ import annotations

import re
from pathlib import Path

import click

from twistnet.client.bench.measurement import LATE
from twistnet.client.bench_command import bench

ROOT = Path(__file__).parent.parent.parent.parent
PAGE = (ROOT / "docs" / "bench.md").read_text("utf-8")


def test_every_option_is_in_the_table_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(--[a-z-]+)[^`]*` \|([^|]*)\|", PAGE, re.MULTILINE))
    options = {
        option.opts[0]: option
        for option in bench.params
        if isinstance(option, click.Option) and option.opts[0] != "--help"
    }
    assert rows.keys() == options.keys()
    for name, option in options.items():
        if option.show_default:
            assert rows[name].strip() == str(option.default)


def test_every_example_is_one() -> None:
    (examples,) = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in examples.splitlines():
        assert bench.make_context("bench", line.split()[2:]).params["target"]


def test_the_bound_of_lateness_is_the_one_it_warns_of() -> None:
    assert f"{LATE * 1000:g} ms late" in PAGE
