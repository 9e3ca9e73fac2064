"""The fixture `network`: what a test has, and what is left when it is over."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from twisted.internet import reactor
from twisted.logger import globalLogPublisher

if TYPE_CHECKING:
    from .conftest import Project


def test_a_test_has_a_network_and_the_global_reactor_is_its_host(project: Project) -> None:
    project.tests(
        """
def test_talk(network):
    talk(network)
    assert network.seed == 0
    assert len(network.trace.packets) >= 4

def test_global_reactor(network):
    from twisted.internet import reactor
    host = network.host("only")
    rung = []
    reactor.callLater(86_400, rung.append, True)
    network.advance(86_400)
    assert rung == [True]
    assert host.seconds() == 86_400

def test_seed(network_seed):
    assert network_seed == 0

def test_afterwards():
    from twisted.internet import reactor
    assert "simulation" not in type(reactor).__module__
"""
    )
    project.run().assert_outcomes(passed=4)


def test_a_coroutine_is_run_by_the_network(project: Project) -> None:
    project.tests(
        """
async def test_passes(network):
    await task.deferLater(network.host("a"), 3600)
    assert network.clock.now == 3600

async def test_fails(network):
    await task.deferLater(network.host("a"), 3600)
    assert network.clock.now == 0

class TestMethods:
    @pytest.mark.parametrize("seconds", [1, 60])
    async def test_method(self, network, seconds):
        await task.deferLater(network.host("a"), seconds)
        assert network.clock.now == seconds

def test_deferred(network):
    return task.deferLater(network.host("a"), 3600)

def test_returns(network):
    return 1 == 2

async def test_waits_in_vain(network):
    network.host("a")
    await Deferred()
"""
    )
    result = project.run()
    result.assert_outcomes(passed=4, failed=3)
    result.stdout.fnmatch_lines(
        ["a test returns nothing*not False", "*Deadlock: test_waits_in_vain is not done*"]
    )


def test_what_goes_wrong_unnoticed_fails_a_test_that_passed(project: Project) -> None:
    project.tests(
        """
def test_unnoticed(network):
    talk(network)
    fail(ValueError("nobody listens"))

def test_expected(network):
    with network.expected_errors(ValueError):
        fail(ValueError("nobody listens"))
"""
    )
    result = project.run()
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_unnoticed*",
            "1 error was logged*",
            "*ValueError: nobody listens",
            "seed 0; *",
        ]
    )
    assert "plugin.py" not in result.stdout.str()
    project.again(result).assert_outcomes(passed=1, errors=1)


def test_a_failure_of_the_test_is_not_hidden_by_what_was_logged(project: Project) -> None:
    project.tests(
        """
def test_both(network):
    fail(ValueError("nobody listens"))
    assert network.seed == 1
"""
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    assert "ErrorsLogged" not in result.stdout.str()


def test_an_expected_failure_and_a_skip_show_nothing(project: Project) -> None:
    project.tests(
        """
@pytest.mark.xfail(strict=True)
def test_expected(network):
    talk(network)
    assert network.seed == 1

def test_skipped(network):
    fail(ValueError("nobody listens"))
    pytest.skip("not here")
"""
    )
    result = project.run("-rA")
    result.assert_outcomes(xfailed=1, skipped=1)
    assert "to see it again" not in result.stdout.str()


# What is left behind


@pytest.fixture
def collected() -> Iterator[None]:
    """Whatever failed Deferreds a run has left in this process, nobody else is to find them."""
    yield
    for name in ("last_exc", "last_type", "last_value", "last_traceback"):
        vars(sys).pop(name, None)
    gc.collect()


LEAVES = {
    "in a local variable": "    failed = fail(ValueError('old'))\n    assert network.seed == 1",
    "in a cycle": (
        "    failed = [fail(ValueError('old'))]\n    failed.append(failed)\n    assert network.seed == 1"
    ),
    "in a coroutine": (
        "    async def wait():\n        failed = fail(ValueError('old'))\n        await Deferred()\n"
        "    network.host('a')\n    network.run(wait())"
    ),
    "in what was started": (
        "    network.start(task.deferLater(network.host('a'), 1, fail, ValueError('old')))\n    assert network.seed == 1"
    ),
}


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize("failing", LEAVES.values(), ids=LEAVES)
@pytest.mark.parametrize("between", ["", "def test_between(): pass\n"], ids=["at once", "later"])
def test_a_test_that_failed_leaves_nothing_to_the_next(project: Project, failing: str, between: str) -> None:
    kind, state, observers = type(reactor), vars(reactor), list(globalLogPublisher._observers)
    project.tests(
        f"""
def test_fails(network):
{failing}

{between}
def test_next(network):
    import gc
    gc.collect()
"""
    )
    project.run().assert_outcomes(failed=1, passed=1 + bool(between))
    assert (type(reactor), list(globalLogPublisher._observers)) == (kind, observers)
    assert vars(reactor) is state


@pytest.mark.usefixtures("collected")
def test_what_an_earlier_test_forgot_is_not_held_against_a_network(project: Project) -> None:
    project.tests(
        """
def test_careless():
    import gc
    gc.disable()
    failed = [fail(ValueError("old"))]
    failed.append(failed)

def test_network(network):
    import gc
    gc.enable()
    talk(network)
"""
    )
    project.run().assert_outcomes(passed=2)


# With hypothesis


def test_under_hypothesis_each_example_has_a_network_of_its_own(project: Project) -> None:
    project.tests(
        """
from hypothesis import given, settings, strategies as st
seen = []

@settings(max_examples=20)
@pytest.mark.network(link={"latency": 0.5}, seed=4)
@pytest.mark.parametrize("what", ["a", "b"])
@given(seconds=st.integers(0, 1000))
async def test_coroutine(network, what, seconds):
    assert not network.hosts
    assert (network.seed, network.links.default.latency) == (4, 0.5)
    await task.deferLater(network.host(what), seconds)
    assert network.clock.now == seconds
    seen.append(network)

class TestMethods:
    @settings(max_examples=20)
    @given(st.integers())
    def test_method(self, network, number):
        talk(network)

def test_seen():
    assert len(set(map(id, seen))) == 40
"""
    )
    project.run().assert_outcomes(passed=4)


def test_of_a_plan_that_fails_the_fewest_faults_are_shown_with_their_trace(project: Project) -> None:
    project.tests(
        """
from hypothesis import given, settings
from twistnet.simulation import Partition
from twistnet.simulation.plans import fault_plans

@settings(database=None, derandomize=True, max_examples=20)
@given(plan=fault_plans(["a", "b"], kinds=[Partition], most=2, octets=0))
async def test_plan(network, plan):
    a, b = network.host("a"), network.host("b")
    plan.apply(network)
    await task.deferLater(a, 60)
    assert not [record for record in network.trace.records if "Partition" in getattr(record, "text", "")]
"""
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*plan=Plan([[]Planned(Partition('a', 'b'), at=0.0, lasting=*)[]]),*",
            "seed 0; to see it again:",
            "*Partition a <-> b begins*",
        ]
    )
    project.again(result).assert_outcomes(failed=1)


def test_what_goes_wrong_unnoticed_in_an_example_fails_it(project: Project) -> None:
    project.tests(
        """
from hypothesis import given, settings, strategies as st

@settings(database=None)
@given(st.integers(0, 100))
def test_it(network, number):
    if number > 10:
        fail(ValueError("nobody listens"))
"""
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ErrorsLogged*", "*number=11,*"])


def test_fixtures_of_others_that_serve_one_example_alone_are_still_found_out(project: Project) -> None:
    project.tests(
        """
from hypothesis import given, strategies as st

@pytest.fixture
def host(network): return network.host("a")

@given(st.integers())
def test_it(network, host, number): pass
"""
    )
    result = project.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FailedHealthCheck*function-scoped fixture*"])
