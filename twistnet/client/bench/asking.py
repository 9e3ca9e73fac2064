"""When the next requests are to be sent: once there is room for them, or at their time.

The rule of this module: it is told the time. A request that is asked for at a time counts from that time, whenever it is sent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

from attrs import define, frozen

__all__ = ["Asking", "ClosedLoop", "OpenLoop", "Schedule"]

_NEARLY = 1e-3
"""Of the time between two requests: less is what becomes of a number that is rounded."""


class Asking(Protocol):
    """Decides for one connection.

    Attributes:
        end: When nothing is sent any more.
    """

    end: float

    def take(self, room: int, now: float) -> Sequence[tuple[float, int]]:
        """What to send now, of at most `room` requests: pairs of the time that they count from, and how many they are."""

    def waiting(self, now: float) -> tuple[float, int]:
        """Since when a request ought to have been sent that was not taken, and how many such there are, of those measured."""


@define(eq=False)
class ClosedLoop:
    """As soon as there is room, until a time.

    Attributes:
        end: When nothing is sent any more.
    """

    end: float

    def take(self, room: int, now: float) -> Sequence[tuple[float, int]]:
        """See `Asking.take`."""
        return ((now, room),) if room and now < self.end else ()

    def waiting(self, now: float) -> tuple[float, int]:
        """See `Asking.waiting`: none ever is."""
        return now, 0


@frozen
class Schedule:
    """Requests at equal distances, dealt to the connections in turn.

    Attributes:
        begin: When the first is due.
        rate: How many are due in a second.
        number: How many there are.
        connections: How many connections share them.
        warm_up: How many of them are not measured: the first ones.
    """

    begin: float
    rate: float
    number: int
    connections: int
    warm_up: int = 0

    def due(self, now: float) -> int:
        """How many are due by a time."""
        passed = int((now - self.begin) * self.rate + _NEARLY) + 1 if now >= self.begin else 0
        return min(self.number, passed)

    def time(self, index: int) -> float:
        """When one is due, counted from 0."""
        return self.begin + index / self.rate

    def due_on(self, connection: int, now: float) -> int:
        """How many of one connection's are due by a time."""
        return self._share(self.due(now), connection)

    def unmeasured_on(self, connection: int) -> int:
        """How many of one connection's are not measured."""
        return self._share(self.warm_up, connection)

    def _share(self, number: int, connection: int) -> int:
        """How many of the first so many are one connection's."""
        return max(0, (number - connection - 1) // self.connections + 1)

    def touched(self, first: int, last: int) -> Sequence[int]:
        """The connections that the requests from `first` up to `last` belong to."""
        if last - first >= self.connections:
            return range(self.connections)
        return [index % self.connections for index in range(first, last)]


@define(eq=False)
class OpenLoop:
    """At their time, or as soon after it as there is room; from then on they count.

    Attributes:
        schedule: Of all connections.
        connection: Which of them this is.
        end: When nothing is sent any more; what is due by the end may be sent a moment after it, if a timer rings late.
    """

    schedule: Schedule
    connection: int
    end: float = math.inf
    _taken: int = 0

    def take(self, room: int, now: float) -> Sequence[tuple[float, int]]:
        """See `Asking.take`."""
        if now >= self.end:
            return ()
        first, last = self._taken, min(self._taken + room, self.schedule.due_on(self.connection, now))
        self._taken = max(first, last)
        return [(self._time(index), 1) for index in range(first, last)]

    def waiting(self, now: float) -> tuple[float, int]:
        """See `Asking.waiting`."""
        first = max(self._taken, self.schedule.unmeasured_on(self.connection))
        number = max(0, self.schedule.due_on(self.connection, now) - first)
        return (self._time(first) if number else now), number

    def _time(self, index: int) -> float:
        return self.schedule.time(self.connection + index * self.schedule.connections)
