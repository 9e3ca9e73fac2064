"""`@pytest.mark.network`: what it sets, and what it refuses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Project

MARKED = """
import pytest
from twistnet.simulation import LinkConfig, Trace
pytestmark = pytest.mark.network(link={"latency": 0.5}, seed=5, trace=Trace(limit=10))

def test_module(network):
    assert (network.links.default.latency, network.seed) == (0.5, 5)
    for _ in range(20):
        network.note("", "a line")
    assert len(network.trace) == 10

@pytest.mark.network(link=LinkConfig(latency=0.25))
class TestClass:
    def test_class(self, network):
        assert (network.links.default.latency, network.seed, len(network.trace)) == (0.25, 5, 0)

    @pytest.mark.network(seed=7, patience=10)
    def test_function(self, network):
        assert (network.links.default.latency, network.seed) == (0.25, 7)
"""


def test_of_several_marks_the_closest_wins_setting_by_setting(project: Project) -> None:
    project.tests(MARKED)
    project.run().assert_outcomes(passed=3)


def test_the_command_line_has_the_last_word_about_the_seed(project: Project) -> None:
    project.tests(
        "import pytest\n@pytest.mark.network(seed=5)\ndef test_it(network): assert network.seed == 9"
    )
    project.run("--network-seed", "9").assert_outcomes(passed=1)
    project.run("-o", "network_seed=9").assert_outcomes(failed=1)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ("lnk={}", "there is no setting 'lnk': did you mean link?"),
        (
            "{'loss': 0.1}",
            "takes settings by their names (link, patience, seed, timeout, trace), not {'loss': 0.1}",
        ),
        ("link={'lattency': 1}", "link: there is no field 'lattency': did you mean latency?"),
        ("link={'loss': 2}", "link: *loss* must be *2*"),
        (
            "link={'latency': 'long'}",
            "link: *latency* must be *'long'*",
        ),
        ("link=0.1", "link: must be a LinkConfig, or a dictionary of its fields, not 0.1"),
        ("seed='a'", "seed: 'a' is not a whole number from 0 to *"),
        ("seed=-1", "seed: -1 is not a whole number from 0 to *"),
        ("patience=0", "patience: 0 is not a whole number from 1 to *"),
        ("trace=5", "trace: must be a Trace, whose limits each test's own will have, not 5"),
    ],
)
def test_a_mark_that_makes_no_sense_ends_the_run_in_one_line(
    project: Project, settings: str, problem: str
) -> None:
    project.tests(f"import pytest\n@pytest.mark.network({settings})\ndef test_it(network): pass")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.re_match_lines([f"ERROR: .*::test_it: @pytest.mark.network: {wildcard(problem)}$"])
    assert not [line for line in result.stderr.lines if "Traceback" in line]


def wildcard(text: str) -> str:
    """A pattern in which `*` stands for anything."""
    return re.escape(text).replace(r"\*", ".*")


def test_marks_of_tests_that_have_no_network_may_mean_anything(project: Project) -> None:
    project.tests("import pytest\n@pytest.mark.network('needs the internet', retries=3)\ndef test_it(): pass")
    project.run().assert_outcomes(passed=1)
