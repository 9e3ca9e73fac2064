"""The cooperator of a host, which `twisted.internet.task.cooperate` uses while the host's turn it is.

The rule of this module: how much is done in one go is counted in units of work. Twisted's own global cooperator measures
10 ms of real time instead, which is not the same twice.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Cooperator

__all__ = ["cooperator"]

UNITS, PAUSE = 100, 0.001
"""What the cooperator does in one go, and virtual seconds until the next but one."""


def cooperator(host: IReactorTime) -> Cooperator:
    """A cooperator whose work is done by a host, and ends with it."""
    last = [-1.0]

    def later(call: Callable[[], None]) -> Any:
        now = host.seconds()
        again, last[0] = last[0] == now, now
        return host.callLater(PAUSE if again else 0, call)

    return Cooperator(terminationPredicateFactory=_some_units, scheduler=later)


def _some_units() -> Callable[[], bool]:
    """Says, after a number of units of work, that it is enough."""
    left = iter(range(UNITS))
    return lambda: next(left, None) is None
