"""Twisted's own tests of reactors, on the reactor whose sockets are all fast.

The rule of this module: nothing is left out. What fails here must fail on Twisted's epoll reactor too, in the same place.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet.epollreactor import EPollReactor

from tests.reactor_cases import problems_of, reactor_cases
from twistnet.simulation.logged import Logged
from twistnet.transport import reactor_factory

MODULES = ("core", "time", "tcp", "udp", "unix", "tls", "fdset", "threads", "socket", "stdio", "process")
CASES = reactor_cases(MODULES, reactor_factory, "Fast")
STOCK = reactor_cases(MODULES, EPollReactor, "Stock")
FAIL_AS_ROOT = {"test_changeUID"}


@pytest.fixture(scope="module", autouse=True)
def sockets_that_are_left_open() -> Iterator[None]:
    """Some of these tests leave closing to the collector, which warns of it; and none is to keep what the others log."""
    log = Logged()
    log.listen()
    yield
    log.ignore()
    del log
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


def test_they_are_all_there() -> None:
    assert len(CASES) >= 290


@pytest.mark.filterwarnings("ignore")  # Twisted's tests of what is deprecated
@pytest.mark.parametrize("name", CASES)
def test_passes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    problems, skipped = problems_of(*CASES[name])
    if problems and CASES[name][1] in FAIL_AS_ROOT:
        assert problems_of(*STOCK[name])[0], problems[0]
        return
    assert not problems, problems[0]
    if skipped:
        assert skipped == problems_of(*STOCK[name])[1]
