"""What a failure shows: the seed, the command that repeats it, and the end of the trace."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Project

FAILING = """
@pytest.mark.parametrize("what", ["a b", "it's $HOME"])
def test_it(network, what):
    talk(network)
    assert (network.seed, what) != (3, "it's $HOME"), "the seed matters"
"""


def test_a_failure_shows_the_seed_the_command_and_the_trace(project: Project) -> None:
    project.tests("\ndef test_it(network):\n    talk(network)\n    assert network.seed == 1\n")
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- network -*",
            "seed 0; to see it again:",
            "",
            "  *pytest -p no:twisted *.py::test_it --network-seed 0",
            "",
            "*client * server*",
            "*SYN*",
            '*"hello"*',
        ],
        consecutive=False,
    )
    assert "\x1b" not in result.stdout.str()
    assert project.again(result).ret == pytest.ExitCode.TESTS_FAILED


def test_the_command_repeats_the_one_run_of_many_that_failed(project: Project) -> None:
    project.tests(FAILING)
    result = project.run("--network-seeds", "5")
    result.assert_outcomes(passed=9, failed=1)
    again = project.again(result)
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["*the seed matters*", "seed 3; *"])
    assert project.command(again) == project.command(result)


def test_the_command_repeats_it_without_ids_of_seeds_too(project: Project) -> None:
    project.tests(FAILING)
    result = project.run("--network-seed", "3")
    result.assert_outcomes(passed=1, failed=1)
    project.again(result).assert_outcomes(failed=1)


def test_the_command_does_not_depend_on_how_many_seeds_the_configuration_wants(project: Project) -> None:
    project.ini("network_seeds = 4\nnetwork_seed = 1")
    project.tests(FAILING)
    many = project.run()
    many.assert_outcomes(passed=7, failed=1)
    project.again(many).assert_outcomes(failed=1)
    one = project.run("--network-seed=3", "--network-seeds=1")
    one.assert_outcomes(passed=1, failed=1)
    project.again(one).assert_outcomes(failed=1)


def test_the_command_works_where_pytest_was_started(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = project.pytester.mkdir("the project")
    (inner / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider -p no:asyncio\n", "utf-8")
    (inner / "tests").mkdir()
    (inner / "tests" / "test_it.py").write_text(project.whole(FAILING), "utf-8")
    below, beside = project.run("the project", "--network-seed=3"), project.pytester.mkdir("beside")
    assert "'the project/tests/test_it.py::" in project.command(below)
    project.again(below).assert_outcomes(failed=1)
    monkeypatch.chdir(beside)
    ini = str(Path("..") / "the project" / "pytest.ini")
    aside = project.run("-c", ini, "--rootdir", "..", "../the project/tests", "--network-seed=3")
    aside.assert_outcomes(passed=1, failed=1)
    project.again(aside).assert_outcomes(failed=1)


def test_a_test_in_a_class_is_repeated(project: Project) -> None:
    project.tests("class TestIt:\n    def test_it(self, network):\n        assert network.seed != 2")
    result = project.run("--network-seeds=4")
    result.assert_outcomes(passed=3, failed=1)
    project.again(result).assert_outcomes(failed=1)


def test_as_much_of_the_trace_is_shown_as_was_asked_for(project: Project) -> None:
    project.tests(
        """
def test_it(network):
    for number in range(100):
        network.note("", f"line <{number}>")
    assert network.seed == 1
"""
    )
    assert project.run().stdout.str().count("line <9") == 10
    shown = project.run("-o", "network_trace_lines=3").stdout.str()
    assert "(97 earlier records)" in shown
    assert [number for number in range(100) if f"line <{number}>" in shown.partition("to see it")[2]] == [
        97,
        98,
        99,
    ]


def test_a_fixture_that_fails_after_the_network_was_made_shows_it_once(project: Project) -> None:
    project.tests(
        """
import pytest

@pytest.fixture
def broken(network):
    yield network
    raise ValueError("at the end")

@pytest.fixture
def never(network):
    raise ValueError("at the start")

def test_end(broken): assert broken.seed == 1
def test_start(never): pass
"""
    )
    result = project.run()
    result.assert_outcomes(failed=1, errors=2)
    assert result.stdout.str().count("to see it again") == 2


def test_a_test_that_asks_for_its_network_late_has_one(project: Project) -> None:
    project.tests(
        "def test_it(request):\n    network = request.getfixturevalue('network')\n    assert network.seed == 1"
    )
    result = project.run("--network-seeds=2")
    result.assert_outcomes(failed=1)
    project.again(result).assert_outcomes(failed=1)
