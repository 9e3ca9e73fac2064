"""Virtual time, and what will happen in it, for every host of a network.

The rule of this module: time moves only from one event to the next, events of one instant happen in the order in which
they were scheduled, and nothing here knows what an event is.
"""

from __future__ import annotations

from collections.abc import Callable, Sized
from heapq import heapify, heappop, heappush
from itertools import chain, count
from math import inf
from typing import Any

from attrs import define, field

__all__ = ["Clock", "Event", "Later"]

Event = tuple[float, int, Callable[[Any], object], Any]
"""When, in which order among those of the same instant, what to call, and with what."""


Work = tuple[Sized, Sized]
"""Two collections of what is to be done."""

FAR = 2.0**53
"""Seconds from which on all timers are kept together."""
FEW_DEAD = 1000
"""So many that were called off may always wait for their time with the others."""


class Later:
    """An event whose time may change, and that may be called off, until it has come.

    Attributes:
        due: When.
        order: In which order among those of the same instant.
        entry: When the clock will look at it next; never after `due`.
        call: What to call, with this itself.
        state: 0 while it is to happen.
    """

    __slots__ = ("call", "due", "entry", "order", "state")

    due: float
    order: int
    entry: float
    call: Callable[[Any], object]
    state: int

    def event(self) -> Event:
        """What happens, if nothing is changed any more."""
        return self.due, self.order, self.call, self


@define(eq=False, repr=False)
class Clock:
    """The time of a network and all that is still to happen.

    What is on its way (packets, acknowledgements) and what waits for its time (timers) are kept apart, so that one can
    ask whether anything is still on its way; they happen in one order all the same. Timers of each later second are a
    list in no order: setting one costs the same however many there are. When its second has come a list is sorted, the
    next one last; what is set for that same second after that goes into a heap beside it. Those that were called off are
    left where they are until they are more than those that were not.

    Attributes:
        now: Virtual seconds since the network was made.
        traffic: What is on its way, a heap by time and then by order.
        order: Numbers for the events, in the order of scheduling.
        fired: How many events have happened, and turns been taken for them.
    """

    now: float = 0.0
    traffic: list[Event] = field(factory=list)
    order: count[int] = field(factory=count)
    fired: int = 0
    _run: list[Event] = field(factory=list)
    _soon: list[Event] = field(factory=list)
    _edge: float = 0.0
    _later: dict[int, list[Event | Later]] = field(factory=dict)
    _seconds: list[int] = field(factory=list)
    _dead: int = 0
    _tolerated: int = FEW_DEAD

    def __repr__(self) -> str:
        return f"<simulated clock at {self.now:g} s>"

    def carry(self, delay: float, call: Callable[[Any], object], argument: Any) -> None:
        """Let something arrive: `call(argument)`, so many seconds from now."""
        heappush(self.traffic, (self.now + delay, next(self.order), call, argument))

    def after(self, delay: float, call: Callable[[Any], object], argument: Any = None) -> None:
        """Call `call(argument)` so many seconds from now."""
        due = self.now + delay
        event = due, next(self.order), call, argument
        if due < self._edge:
            heappush(self._soon, event)
        else:
            self._put_off(due, event)

    def wait_for(self, later: Later) -> None:
        """Let something happen in its time, which is not before now; `due`, `order`, `call` and `state` are set."""
        due = later.entry = later.due
        if due < self._edge:
            heappush(self._soon, (due, later.order, later.call, later))
            return
        try:
            self._later[int(due)].append(later)
        except (KeyError, OverflowError):
            self._put_off(due, later)

    def _put_off(self, due: float, event: Event | Later) -> None:
        second = int(due) if due < FAR else int(FAR)
        events = self._later.get(second)
        if events is None:
            self._later[second] = [event]
            heappush(self._seconds, second)
        else:
            events.append(event)

    def _open_second(self, time: float) -> None:
        """Go over to the next second that has timers, if it begins by then; those before it have all fired."""
        while not self._run and self._seconds and self._seconds[0] <= time:
            second = heappop(self._seconds)
            self._edge = second + 1.0 if second < FAR else inf
            self._run = self._still(self._later.pop(second))
            self._run.sort(reverse=True)

    def _still(self, events: list[Event | Later]) -> list[Event]:
        """Those that are to happen in the second that has come; what was put off since is put off once more."""
        edge, still = self._edge, []
        for one in events:
            if isinstance(one, tuple):
                still.append(one)
            elif not one.state:
                due = one.due
                if due < edge:
                    still.append((due, one.order, one.call, one))
                elif one.entry < edge:
                    one.entry = due
                    self._put_off(due, one)
        return still

    @property
    def timers(self) -> list[Event]:
        """All that waits for its time, in no order."""
        waiting = chain.from_iterable(self._later.values())
        return [*self._run, *self._soon, *(one.event() if isinstance(one, Later) else one for one in waiting)]

    @property
    def waiting(self) -> int:
        """How many timers there are, those that were called off included."""
        return len(self._run) + len(self._soon) + sum(map(len, self._later.values()))

    def _next(self) -> Event | None:
        """The next event, if there is one."""
        traffic, soon = self.traffic, self._soon
        if not (self._run or soon):
            self._open_second(traffic[0][0] if traffic else inf)
        event = self._run[-1] if self._run else None
        if soon and (event is None or soon[0] < event):
            event = soon[0]
        if traffic and (event is None or traffic[0] < event):
            event = traffic[0]
        return event

    def _take(self, event: Event) -> None:
        """Take out what `_next` has said."""
        if self._run and self._run[-1] is event:
            self._run.pop()
        else:
            heappop(self._soon if self._soon and self._soon[0] is event else self.traffic)

    @property
    def next_time(self) -> float | None:
        """When the next event is due, or `None` if there is none."""
        event = self._next()
        return event[0] if event is not None else None

    def fire_due(self) -> None:
        """Let everything happen that is due now and was scheduled before this call.

        What those events schedule for this same instant waits for the next call: that is what makes `callLater(0)`
        run after input and output have had their turn.
        """
        event = self._next()
        if event is not None and event[0] <= self.now:
            self._fire(event)

    def _fire(self, event: Event | None) -> None:
        """Let the next event happen, and all that are due by now and were scheduled before it."""
        now, mark, fired = self.now, next(self.order), 0
        try:
            while event is not None and event[0] <= now and event[1] < mark:
                self._take(event)
                fired += 1
                event[2](event[3])
                event = self._next()
        finally:
            self.fired += fired

    def leap(self, horizon: float, most: float, until: Callable[[], bool], work: Work) -> bool:
        """Move from one instant to the next that has an event, as long as nothing else is to be done.

        Args:
            horizon: The last instant.
            most: Until `fired` is above this.
            until: Asked after each instant whether that was enough.
            work: What else there is to be done: it goes on while they are empty.

        Returns:
            Whether time has moved; not so if the next event is due now, or after the horizon.
        """
        moved = False
        while (event := self._next()) and self.now < event[0] <= horizon and self.fired <= most:
            moved = True
            if self._soon or self.traffic:
                self.now = event[0]
                self._fire(event)
            else:
                self._run_on(horizon, most, until, work)
            if work[0] or work[1] or until():
                break
        return moved

    def _run_on(self, horizon: float, most: float, until: Callable[[], bool], work: Work) -> None:
        """The same within this second, as long as nothing comes between its timers."""
        run, soon, traffic, (one, other) = self._run, self._soon, self.traffic, work
        now, begun, fired = self.now, self.fired, 0
        try:
            while run:
                event = run[-1]
                due = event[0]
                if due > now:
                    if soon or traffic or one or other or due > horizon or begun + fired > most or until():
                        break
                    self.now = now = due
                run.pop()
                fired += 1
                event[2](event[3])
        finally:
            self.fired += fired

    def called_off(self) -> None:
        """One `Later` will not happen. Counting what waits takes a while, so that is done only now and then."""
        self._dead += 1
        if self._dead > self._tolerated:
            if self._dead * 2 > self.waiting:
                self.discard_dead()
            self._tolerated = self._dead + max(FEW_DEAD, len(self._later))

    def discard_dead(self) -> None:
        """Take out what was called off."""
        self._dead = 0
        for ordered in (self._run, self._soon):
            ordered[:] = [event for event in ordered if not (isinstance(event[3], Later) and event[3].state)]
        heapify(self._soon)
        for events in self._later.values():
            events[:] = [one for one in events if isinstance(one, tuple) or not one.state]
