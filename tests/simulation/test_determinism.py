"""The same seed gives the same trace in another process, whatever else is different there.

`benchmarks/determinism.py` does the same with 1,000 seeds.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("busy.py")
SEEDS = [str(seed) for seed in range(20)]


def begin(seeds: list[str], hash_seed: str, *options: str) -> subprocess.Popen[str]:
    """Play a busy scenario with each seed, in another process."""
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *options, *seeds],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result(process: subprocess.Popen[str]) -> dict[str, str]:
    """What it printed, by seed."""
    try:
        out, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    return dict(line.split(" ", 1) for line in out.splitlines())


@pytest.fixture(scope="module")
def played() -> tuple[dict[str, str], dict[str, str]]:
    """Both times: in another order of networks, with other hashes, and with garbage collected at other moments."""
    first = begin(SEEDS, "1")
    second = begin(SEEDS[::-1], "2", "--collect-often")
    return result(first), result(second)


Played = tuple[dict[str, str], dict[str, str]]


def test_a_seed_gives_the_same_trace_octet_by_octet_in_another_process(played: Played) -> None:
    assert sorted(played[0]) == sorted(SEEDS)
    assert played[0] == played[1]


def test_another_seed_gives_another_trace(played: Played) -> None:
    digests = {line.split()[0] for line in played[0].values()}
    assert len(digests) == len(SEEDS)


def test_the_scenario_is_busy(played: Played) -> None:
    records, events = zip(*(map(int, line.split()[1:]) for line in played[0].values()), strict=True)
    assert min(records) > 300
    assert min(events) > 300
