"""The open loop: has each request sent at its time.

The rule of this module: it is woken for the next request that is due, and sends all that are by then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from .asking import Schedule
from .measurement import LATE, Measurement
from .timing import Timing

__all__ = ["Pacer"]


class Paced(Protocol):
    """A connection."""

    def ask(self, now: float) -> None:
        """Send what is due by now."""


class Pacer:
    """Wakes connections when a request of theirs is due.

    Args:
        timing: The time.
        schedule: When requests are due.
        connections: Who sends them.
        measurement: Is told how well this keeps its time.

    Attributes:
        dealt_at: When connections were last woken; what is due since then nobody was asked to send yet.
    """

    def __init__(
        self, timing: Timing, schedule: Schedule, connections: Sequence[Paced], measurement: Measurement
    ) -> None:
        self._timing = timing
        self._schedule = schedule
        self._connections = connections
        self._measurement = measurement
        self._dealt = 0
        self.dealt_at = schedule.begin
        self._alarm: Any = None

    def start(self) -> None:
        """Begin."""
        self._alarm = self._timing.alarm(self._wake)
        self._wake()

    def catch_up(self, end: float) -> None:
        """Have everything sent that is due by the end, which is now: a timer may not have rung yet."""
        self._deal(max(end, self._timing.seconds()))

    def stop(self) -> None:
        """Wake nobody any more."""
        if self._alarm is not None:
            self._alarm.close()

    def _wake(self) -> None:
        schedule = self._schedule
        self._deal(self._timing.seconds())
        if self._dealt < schedule.number:
            self._alarm.set(max(0.0, schedule.time(self._dealt) - self._timing.seconds()))

    def _deal(self, now: float) -> None:
        schedule, first, self.dealt_at = self._schedule, self._dealt, now
        due = self._dealt = schedule.due(now)
        if due > first:
            if first and now >= self._measurement.begin:
                late = max(0, schedule.due(now - LATE) - first)
                self._measurement.pace.woke(now - schedule.time(first), late)
            for connection in schedule.touched(first, due):
                self._connections[connection].ask(now)
