"""Twisted's own tests of reactors, on a simulated host.

The rule of this module: every test that is left out stands in a list, with the reason why no simulation could pass it.
"""

from __future__ import annotations

import gc
import unittest
import warnings
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from twisted.internet.test.reactormixins import ReactorBuilder
from twisted.trial.unittest import SynchronousTestCase

from twistnet.simulation import reactor_factory
from twistnet.simulation.logged import Logged

MODULES = ("core", "time", "tcp", "udp", "unix", "tls")
FROM_OUTSIDE = "the client is a real socket, which cannot reach a port that is in memory"
OF_THE_PROCESS = (
    "it uses up the descriptors of the real process; a simulated host has a limit of its own (max_files)"
)
LEFT_OUT = {
    "test_buildProtocolIPv4Address": FROM_OUTSIDE,
    "test_buildProtocolIPv6Address": FROM_OUTSIDE,
    "test_buildProtocolIPv6AddressScopeID": FROM_OUTSIDE,
    "test_serverGetHostOnIPv4": FROM_OUTSIDE,
    "test_serverGetHostOnIPv6": FROM_OUTSIDE,
    "test_serverGetHostOnIPv6ScopeID": FROM_OUTSIDE,
    "test_serverGetPeerOnIPv4": FROM_OUTSIDE,
    "test_serverGetPeerOnIPv6": FROM_OUTSIDE,
    "test_serverGetPeerOnIPv6ScopeID": FROM_OUTSIDE,
    "test_closePeerOnEMFILE": OF_THE_PROCESS,
}


def cases() -> Iterator[tuple[type[Any], str]]:
    """The cases that Twisted makes for epoll, made for a simulated host."""
    for module in (import_module(f"twisted.internet.test.test_{name}") for name in MODULES):
        for name in sorted(vars(module)):
            if name.endswith("_EPollReactorTests"):
                builder = vars(module)[name.removesuffix("_EPollReactorTests")]
                assert issubclass(builder, ReactorBuilder)
                attributes = {"reactorFactory": staticmethod(reactor_factory), "__module__": module.__name__}
                case: Any = type(f"{builder.__name__}_Simulated", (builder, SynchronousTestCase), attributes)
                yield from ((case, test) for test in unittest.TestLoader().getTestCaseNames(case))


CASES = {f"{case.__name__}.{test}": (case, test) for case, test in cases()}
RUN = [name for name, (_, test) in CASES.items() if test not in LEFT_OUT]


@pytest.fixture(scope="module", autouse=True)
def sockets_that_are_left_open() -> Iterator[None]:
    """Some of these tests open real sockets and leave closing them to the collector, which warns of it.

    Meanwhile nobody is to keep what they log, and the sockets with it, for other tests to be blamed for.
    """
    log = Logged()
    log.listen()
    yield
    log.ignore()
    del log
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def test_at_least_190_are_run() -> None:
    assert len(CASES) >= 219
    assert len(RUN) >= 190


@pytest.mark.filterwarnings("ignore")  # Twisted's tests of what is deprecated
@pytest.mark.parametrize("name", RUN)
def test_passes(name: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = unittest.TestResult()
    case, test = CASES[name]
    case(test).run(result)
    problems = [text for _, text in [*result.failures, *result.errors]]
    assert not problems, problems[0]
    assert not result.skipped, result.skipped[0][1]
