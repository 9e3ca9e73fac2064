"""Virtual time: one heap of what will happen, for every host of a network.

The rule of this module: time moves only from one event to the next, events of one instant happen in the order in which
they were scheduled, and nothing here knows what an event is.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import chain, count
from math import inf
from typing import Any

from attrs import define, field

__all__ = ["Clock", "Event"]

Event = tuple[float, int, Callable[[Any], object], Any]
"""When, in which order among those of the same instant, what to call, and with what."""


FAR = 2.0**53
"""Seconds from which on all timers are kept together."""


@define(eq=False, repr=False)
class Clock:
    """The time of a network and all that is still to happen.

    What is on its way (packets, acknowledgements) and what waits for its time (timers) are kept apart, so that one can
    ask whether anything is still on its way; they happen in one order all the same. Timers of the second that is coming
    are a heap, and those of each later second a list in no order: setting one costs the same however many there are.

    Attributes:
        now: Virtual seconds since the network was made.
        traffic: What is on its way, a heap by time and then by order.
        order: Numbers for the events, in the order of scheduling.
        fired: How many events have happened.
    """

    now: float = 0.0
    traffic: list[Event] = field(factory=list)
    order: count[int] = field(factory=count)
    fired: int = 0
    _soon: list[Event] = field(factory=list)
    _edge: float = 0.0
    _later: dict[int, list[Event]] = field(factory=dict)
    _seconds: list[int] = field(factory=list)

    def __repr__(self) -> str:
        return f"<simulated clock at {self.now:g} s>"

    def carry(self, delay: float, call: Callable[[Any], object], argument: Any) -> None:
        """Let something arrive: `call(argument)`, so many seconds from now."""
        heappush(self.traffic, (self.now + delay, next(self.order), call, argument))

    def after(self, delay: float, call: Callable[[Any], object], argument: Any = None) -> None:
        """Call `call(argument)` so many seconds from now."""
        self.wait((self.now + delay, next(self.order), call, argument))

    def wait(self, event: Event) -> None:
        """Let something happen in its time, which is not before now."""
        due = event[0]
        if due < self._edge:
            heappush(self._soon, event)
            return
        second = int(due) if due < FAR else int(FAR)
        events = self._later.get(second)
        if events is None:
            self._later[second] = [event]
            heappush(self._seconds, second)
        else:
            events.append(event)

    def _soon_by(self, time: float) -> list[Event]:
        """The timers of the next second that has any, if it begins by then; those before it have all fired."""
        while not self._soon and self._seconds and self._seconds[0] <= time:
            second = heappop(self._seconds)
            self._edge = second + 1.0 if second < FAR else inf
            self._soon = self._later.pop(second)
            heapify(self._soon)
        return self._soon

    @property
    def timers(self) -> list[Event]:
        """All that waits for its time, in no order."""
        return [*self._soon, *chain.from_iterable(self._later.values())]

    @property
    def next_time(self) -> float | None:
        """When the next event is due, or `None` if there is none."""
        traffic = self.traffic
        timers = self._soon or self._soon_by(traffic[0][0] if traffic else inf)
        if traffic and (not timers or traffic[0] < timers[0]):
            return traffic[0][0]
        return timers[0][0] if timers else None

    def fire_due(self) -> None:
        """Let everything happen that is due now and was scheduled before this call.

        What those events schedule for this same instant waits for the next call: that is what makes `callLater(0)`
        run after input and output have had their turn.
        """
        traffic, now, mark, fired = self.traffic, self.now, next(self.order), 0
        while True:
            heap = self._soon or self._soon_by(now)
            if traffic and (not heap or traffic[0] < heap[0]):
                heap = traffic
            if not heap:
                break
            due, order, call, argument = heap[0]
            if due > now or order >= mark:
                break
            heappop(heap)
            fired += 1
            call(argument)
        self.fired += fired

    def discard_timers(self, unwanted: Callable[[Event], bool]) -> None:
        """Take timers out that will not be wanted, when many have been cancelled."""
        self._soon = [event for event in self._soon if not unwanted(event)]
        heapify(self._soon)
        for second, events in self._later.items():
            self._later[second] = [event for event in events if not unwanted(event)]
