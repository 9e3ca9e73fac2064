"""Twisted's own tests of reactors, on a simulated host.

The rule of this module: every test that is left out stands in a list, with the reason why no simulation could pass it.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from tests.reactor_cases import problems_of, reactor_cases
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


CASES = reactor_cases(MODULES, reactor_factory, "Simulated")
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
    problems, skipped = problems_of(*CASES[name])
    assert not problems, problems[0]
    assert not skipped, skipped[0]
