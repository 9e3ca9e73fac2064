"""Virtual time: one heap of what will happen, for every host of a network.

The rule of this module: time moves only from one event to the next, events of one instant happen in the order in which
they were scheduled, and nothing here knows what an event is.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from typing import Any

from attrs import define, field

__all__ = ["Clock", "Event"]

Event = tuple[float, int, Callable[[Any], object], Any]
"""When, in which order among those of the same instant, what to call, and with what."""


@define(eq=False)
class Clock:
    """The time of a network and all that is still to happen.

    What is on its way (packets, acknowledgements) and what waits for its time (timers) are kept apart, so that one can
    ask whether anything is still on its way; they happen in one order all the same.

    Attributes:
        now: Virtual seconds since the network was made.
        traffic: What is on its way, a heap by time and then by order.
        timers: What waits for its time, likewise.
        order: Numbers for the events, in the order of scheduling.
        fired: How many events have happened.
    """

    now: float = 0.0
    traffic: list[Event] = field(factory=list)
    timers: list[Event] = field(factory=list)
    order: count[int] = field(factory=count)
    fired: int = 0

    def carry(self, delay: float, call: Callable[[Any], object], argument: Any) -> None:
        """Let something arrive: `call(argument)`, so many seconds from now."""
        heappush(self.traffic, (self.now + delay, next(self.order), call, argument))

    def after(self, delay: float, call: Callable[[Any], object], argument: Any = None) -> None:
        """Call `call(argument)` so many seconds from now."""
        heappush(self.timers, (self.now + delay, next(self.order), call, argument))

    @property
    def next_time(self) -> float | None:
        """When the next event is due, or `None` if there is none."""
        traffic, timers = self.traffic, self.timers
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
            timers = self.timers
            heap = traffic if traffic and (not timers or traffic[0] < timers[0]) else timers
            if not heap or heap[0][0] > now or heap[0][1] >= mark:
                break
            _, _, call, argument = heappop(heap)
            fired += 1
            call(argument)
        self.fired += fired

    def discard_timers(self, unwanted: Callable[[Event], bool]) -> None:
        """Take timers out that will not be wanted, when many have been cancelled."""
        self.timers = [event for event in self.timers if not unwanted(event)]
        heapify(self.timers)
