"""Seeds: how many runs a test has, and which choices each of them makes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Project


def ids(result: pytest.RunResult) -> list[str]:
    """What `--collect-only -q` lists."""
    return [line.partition("::")[2] for line in result.stdout.lines if "::" in line]


SEEDED = """
import pytest

def test_plain(network): pass

@pytest.mark.network(seed=10)
@pytest.mark.parametrize("what", ["a b", "c"])
def test_more(what, network): pass

@pytest.mark.parametrize("network_seed", [3, 5])
def test_own(network): pass

def test_other(): pass
"""


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["test_plain", "test_more[a b]", "test_more[c]", "test_own[3]", "test_own[5]", "test_other"]),
        (
            ["--network-seeds", "2"],
            [
                *("test_plain[seed=0]", "test_plain[seed=1]"),
                *(
                    "test_more[a b-seed=10]",
                    "test_more[a b-seed=11]",
                    "test_more[c-seed=10]",
                    "test_more[c-seed=11]",
                ),
                *("test_own[3]", "test_own[5]", "test_other"),
            ],
        ),
        (
            ["--network-seed=7", "-o", "network_seeds=2", "-k", "plain"],
            ["test_plain[seed=7]", "test_plain[seed=8]"],
        ),
        (
            ["-o", "network_seed=4", "--network-seeds=2", "-k", "plain"],
            ["test_plain[seed=4]", "test_plain[seed=5]"],
        ),
        (["-o", "network_seeds=4", "--network-seeds=1", "-k", "plain"], ["test_plain"]),
    ],
)
def test_each_test_that_has_a_network_runs_once_a_seed(
    project: Project, arguments: list[str], expected: list[str]
) -> None:
    project.tests(SEEDED)
    assert ids(project.run("--collect-only", "-q", *arguments)) == expected


def test_each_run_has_the_seed_that_its_id_shows(project: Project) -> None:
    project.tests(
        """
def test_it(network, network_seed, request):
    assert f"[seed={network.seed}]" in request.node.name
    assert network.seed == network_seed
"""
    )
    project.run("--network-seed=5", "--network-seeds=3").assert_outcomes(passed=3)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--network-seed=x"], "--network-seed: 'x' is not a whole number from 0 to .*"),
        (["--network-seed=-1"], "--network-seed: '-1' is not a whole number from 0 to .*"),
        (["--network-seeds=0"], "--network-seeds: '0' is not a whole number from 1 to 1000000"),
        (["-o", "network_seed=many"], "network_seed: 'many' is not a whole number from 0 to .*"),
        (["-o", "network_seeds=many"], "network_seeds: 'many' is not a whole number from 1 to .*"),
        (["-o", "network_trace_lines=all"], "network_trace_lines: 'all' is not a whole number from 0 to .*"),
    ],
)
def test_a_bad_option_ends_the_run_in_one_line(project: Project, arguments: list[str], problem: str) -> None:
    result = project.run(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (line,) = [line for line in result.stderr.lines if line]
    assert re.fullmatch(f"ERROR: {problem}", line)
