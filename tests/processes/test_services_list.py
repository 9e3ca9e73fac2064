"""The page of the services is so: each has a section, with all of its options, and the example of each runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

from tests.running import PATIENCE, running
from twistnet.services.definition import find_service, installed_services

PAGE = (Path(__file__).parent.parent.parent / "docs" / "services-list.md").read_text("utf-8")
SECTIONS = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
BUILT_IN = sorted(
    name for name, plugin in installed_services().items() if plugin.definition.startswith("twistnet.")
)


def test_every_service_has_its_section() -> None:
    assert sorted(SECTIONS) == BUILT_IN


@pytest.mark.parametrize("name", BUILT_IN)
def test_a_section_has_all_of_the_options_and_where_the_service_listens(name: str) -> None:
    definition = find_service(name)
    rows = dict(re.findall(r"^\| `(\w+)` \| (\S.*?) \| ", SECTIONS[name], re.MULTILINE))
    for option in attrs.fields(definition.options):
        default = {None: "none", False: "`false`", True: "`true`"}.get(option.default, f"`{option.default}`")
        assert rows[option.name] == default
    assert all(f"n {listen}" in SECTIONS[name] for listen in definition.listen)


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_the_example_of_a_section_prints_what_it_says(name: str, tmp_path: Path) -> None:
    """On a port that is free."""
    command, client, printed = (
        re.findall(rf"```{language}\n(.*?)```", SECTIONS[name], re.DOTALL)[0]
        for language in ("sh", "python", "text")
    )
    typed, _, command = command.rpartition(" | ")
    stdin = subprocess.run(["sh", "-c", typed], capture_output=True, check=True).stdout if typed else b""
    words = shlex.split(command)
    assert words[:3] == ["twistd", "-n", f"twistnet-{name}"]
    ((kind, port),) = [listen.split(":") for listen in find_service(name).listen]
    assert port in client
    with running(*words[2:], "--listen", f"{kind}:0", folder=tmp_path, stdin=stdin) as program:
        ((_, address),) = program.addresses(1)
        ran = subprocess.run(
            [sys.executable, "-c", client.replace(port, address.rpartition(":")[2])],
            capture_output=True, text=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert (ran.stdout, ran.stderr) == (printed, "")
