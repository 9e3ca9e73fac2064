"""Trial's cases with a network: what runs, what fails, and what is shown of it."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.reporter import Reporter, TestResult
from twisted.trial.unittest import SynchronousTestCase, TestCase

from twistnet.errors import ConfigurationError
from twistnet.simulation import Host, LinkConfig
from twistnet.simulation.trial import NetworkTestCase


@pytest.fixture(autouse=True)
def no_seed_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TWISTNET_SEED", raising=False)


def outcome(test: Callable[[Any], object], *bases: type, **attributes: Any) -> TestResult:
    """What a case says that has one test."""
    kind = type("Case", (NetworkTestCase, *bases), {"test_it": test, **attributes})
    result = TestResult()
    kind("test_it").run(result)
    return result


def failures(result: TestResult) -> list[Failure]:
    """Why a test did not pass."""
    return [cast("Failure", failure) for _, failure in [*result.errors, *result.failures]]


def problems(result: TestResult) -> list[object]:
    """The kinds of errors of a test that did not pass."""
    return [failure.type for failure in failures(result)]


@pytest.mark.parametrize("bases", [(), (SynchronousTestCase,), (TestCase,)], ids=str)
def test_a_case_has_a_network_and_the_global_reactor_is_its_host(bases: tuple[type, ...]) -> None:
    def test(case: NetworkTestCase) -> None:
        rung: list[bool] = []
        host = case.network.host("only")
        assert isinstance(reactor, Host)
        host.callLater(86_400, rung.append, True)
        case.network.advance(86_400)
        assert rung == [True]

    assert outcome(test, *bases).wasSuccessful()
    assert not isinstance(reactor, Host)


@pytest.mark.parametrize("bases", [(), (TestCase,)], ids=str)
def test_a_coroutine_or_a_deferred_is_run_by_the_network(bases: tuple[type, ...]) -> None:
    async def wait(case: NetworkTestCase) -> None:
        await deferLater(case.network.host("a"), 3600)
        assert case.network.clock.now == 3600

    def wait_and_fail(case: NetworkTestCase) -> Deferred[None]:
        return deferLater(case.network.host("a"), 3600, divmod, 1, 0)

    assert outcome(wait, *bases).wasSuccessful()
    assert problems(outcome(wait_and_fail, *bases)) == [ZeroDivisionError]


def test_a_class_sets_its_link_its_seed_and_its_patience() -> None:
    def test(case: NetworkTestCase) -> None:
        assert (case.network.links.default.latency, case.network.seed, case.network._patience) == (0.5, 7, 9)

    assert outcome(test, link={"latency": 0.5}, seed=7, patience=9).wasSuccessful()
    assert outcome(test, link=LinkConfig(latency=0.5), seed=7, patience=9).wasSuccessful()


def test_the_environment_sets_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    def test(case: NetworkTestCase) -> None:
        assert case.network.seed == 9

    assert problems(outcome(test, seed=7)) == [AssertionError]
    monkeypatch.setenv("TWISTNET_SEED", "9")
    assert outcome(test, seed=7).wasSuccessful()
    monkeypatch.setenv("TWISTNET_SEED", "nine")
    (failure,) = failures(outcome(test))
    assert failure.type is ConfigurationError
    assert "TWISTNET_SEED" in failure.getErrorMessage()
    assert "'nine' is not a whole number" in failure.getErrorMessage()


# What goes wrong unnoticed


def test_what_was_logged_fails_a_test_as_in_any_trial_case() -> None:
    def test(case: NetworkTestCase) -> None:
        fail(ValueError("nobody listens"))
        case.network.advance(1)

    assert problems(outcome(test)) == [ValueError]


def test_what_was_expected_or_flushed_fails_nothing() -> None:
    def test(case: NetworkTestCase) -> None:
        with case.network.expected_errors(ValueError) as caught:
            fail(ValueError("nobody listens"))
        assert len(caught) == 1
        fail(KeyError("nobody listens"))
        case.network.advance(1)
        assert len(case.flushLoggedErrors(KeyError)) == 1

    assert outcome(test).wasSuccessful()


@pytest.mark.parametrize("hook", ["test_it", "setUp", "tearDown"])
def test_a_case_that_fails_leaves_nothing_behind(hook: str) -> None:
    def broken(case: NetworkTestCase) -> None:
        if hook == "setUp":
            NetworkTestCase.setUp(case)
        raise KeyError(hook)

    kind, state, observers = type(reactor), vars(reactor), list(globalLogPublisher._observers)
    assert problems(outcome(**{"test": lambda case: None, hook.replace("test_it", "test"): broken})) == [
        KeyError
    ]
    assert (type(reactor), list(globalLogPublisher._observers)) == (kind, observers)
    assert vars(reactor) is state


def test_a_skip_and_an_expected_failure_are_what_they_are() -> None:
    def skipped(case: NetworkTestCase) -> None:
        case.skipTest("not here")

    def expected(case: NetworkTestCase) -> None:
        raise KeyError

    async def expected_later(case: NetworkTestCase) -> None:
        await deferLater(case.network.host("a"), 1)
        raise KeyError

    assert len(outcome(skipped).skips) == 1
    for test in (expected, expected_later):
        cast("Any", test).todo = "it is not written"
        assert len(outcome(test).expectedFailures) == 1


# What a failure shows


def test_a_failure_shows_the_seed_the_command_and_the_trace() -> None:
    def test(case: NetworkTestCase) -> None:
        case.network.note("", "a line of the trace")
        case.assertEqual(1, 2)

    shown = StringIO()
    case: NetworkTestCase = type("Case", (NetworkTestCase,), {"test_it": test, "seed": 7})("test_it")
    reporter = Reporter(shown)
    case.run(reporter)
    reporter.done()
    lines = shown.getvalue()
    assert "seed 7; to see it again:\n\n  TWISTNET_SEED=7 " in lines
    assert f"trial {case.id()}\n\n" in lines
    assert "a line of the trace" in lines
    assert "FailTest: 1 != 2" in lines


CASES = """
from twisted.internet.task import deferLater
from twistnet.simulation.trial import NetworkTestCase

class Case(NetworkTestCase):
    def test_global_reactor(self):
        from twisted.internet import reactor
        self.network.host("only")
        reactor.callLater(86_400, self.network.note, "", "rung")
        self.network.advance(86_400)

    async def test_fails_with_a_seed(self):
        await deferLater(self.network.host("a"), 3600)
        self.assertNotEqual(self.network.seed, 3)
"""


def test_trial_runs_it_and_the_command_repeats_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "test_cases.py").write_text(CASES, "utf-8")

    def shell(command: str) -> str:
        command = command.replace("python", shlex.quote(sys.executable), 1)
        done = subprocess.run(
            ["sh", "-c", command], check=False, cwd=tmp_path, capture_output=True, text=True, timeout=60
        )
        return done.stdout

    first = shell("TWISTNET_SEED=3 python -m twisted.trial test_cases")
    assert "FAILED (failures=1, successes=1)" in first
    (command,) = re.findall(r"(?m)^  (TWISTNET_SEED=.*)$", first)
    assert command == "TWISTNET_SEED=3 python -m twisted.trial test_cases.Case.test_fails_with_a_seed"
    assert "FAILED (failures=1)" in shell(command)


# Under pytest


def test_pytest_s_option_sets_the_seed_and_its_command_repeats_a_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makepyfile(CASES)
    quiet = ("-p", "no:twisted", "-p", "no:asyncio", "-p", "no:cacheprovider")
    pytester.runpytest_inprocess(*quiet, "--network-seeds", "2").assert_outcomes(passed=2)
    result = pytester.runpytest_inprocess(*quiet, "--network-seed", "3")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*- network -*", "seed 3; to see it again:", "*timer*"])
    (command,) = re.findall(r"(?m)^  .*pytest (-p .*)$", result.stdout.str())
    assert command.endswith("::Case::test_fails_with_a_seed --network-seed 3")
    monkeypatch.setenv("TWISTNET_SEED", "4")
    pytester.runpytest_inprocess(*shlex.split(command)).assert_outcomes(failed=1)


def test_the_network_is_there_whether_or_not_set_up_is_ones_own_and_runs_what_it_returns() -> None:
    seen: list[float] = []

    class Own(NetworkTestCase):
        async def setUp(self) -> None:  # type: ignore[override]
            await deferLater(self.network.host("a"), 3)
            self.addCleanup(lambda: deferLater(self.network.hosts["a"], 4, self.note))

        async def tearDown(self) -> None:  # type: ignore[override]
            await deferLater(self.network.hosts["a"], 2)
            self.note()

        def note(self) -> None:
            seen.append(self.network.clock.now)

        def test_it(self) -> None:
            self.note()

    result = TestResult()
    Own("test_it").run(result)
    assert result.wasSuccessful()
    assert seen == [3, 7, 9]  # trial cleans up before it tears down


def test_what_is_not_done_in_time_is_given_up() -> None:
    class Slow(NetworkTestCase):
        timeout = 3

        async def test_it(self) -> None:
            await deferLater(self.network.host("a"), 10)

    result = TestResult()
    Slow("test_it").run(result)
    assert "is not done after 3 s" in str(result.errors)
