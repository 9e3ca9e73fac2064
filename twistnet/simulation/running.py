"""How time passes: turns, and when to stop taking them.

The rule of this module: nothing hangs. Either what was waited for happens, or an error says who waits for what, who goes
round in circles, or what was logged.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from math import inf
from typing import TYPE_CHECKING, Any, Self, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ..errors import Deadlock, Livelock, SimulationError
from ..units import did_you_mean
from . import reports
from .clock import Clock
from .global_reactor import GlobalReactor
from .kernel.files import Watch
from .logged import Logged, only_new_garbage

if TYPE_CHECKING:
    from .links import Links
    from .reactor import Host
    from .trace import Trace

__all__ = ["Running"]

T = TypeVar("T")
SPIN = 100_000
"""Turns within one instant, after which nobody is believed to get any further."""
CREEP = 1000
"""Turns with input or output within one instant, after which time moves on all the same, by a microsecond for each:
where there is no latency, as on loopback, it is the work itself that takes the time."""


class Running:
    """What a network does with time.

    Attributes:
        clock: Virtual time.
        ready: Watches whose socket may have become ready, in that order.
        attention: Hosts that have calls from threads, or are to shut down.
        current: The host that the global reactor stands for.
        timeout: Virtual seconds after which `run` gives up.
    """

    hosts: dict[str, Host]
    links: Links
    trace: Trace
    bystander: Host

    def __init__(self, patience: int, timeout: float) -> None:
        if patience < 1:
            raise ValueError(f"patience must be a whole number, at least 1: {patience!r}")
        if not timeout > 0:
            raise ValueError(f"timeout must be seconds, above 0: {timeout!r}")
        self.timeout = timeout
        self.clock = Clock()
        self.ready: dict[Watch, None] = {}
        self.attention: dict[Host, None] = {}
        self.current: Host
        self._patience = patience
        self._reactor = GlobalReactor()
        self._logged = Logged()
        self._depth = 0
        self._blocks: list[ExitStack] = []
        self._named: list[Host] = []
        self._is_turning = False
        self._tasks: dict[Deferred[Any], Any] = {}

    def host_named(self, host: str | Host) -> Host:
        """A host, by its name.

        Raises:
            SimulationError: There is none.
        """
        if not isinstance(host, str):
            if self.hosts.get(host.name) is not host._itself:
                raise SimulationError(f"{host!r} is not a host of this network")
            return host
        if host not in self.hosts:
            raise SimulationError(f"there is no host {host!r}; {did_you_mean(host, self.hosts)}")
        return self.hosts[host]

    # The global reactor

    def enter(self, host: Host) -> None:
        """Let the global reactor stand for a host."""
        self.current = host
        self._reactor.stand_for(host)

    def choose_current(self) -> None:
        """Whom the global reactor stands for when nobody's turn it is: the host that a test has named, else the only
        host, or none of them."""
        hosts = self._named[-1:] or list(self.hosts.values())
        self.enter(hosts[0] if len(hosts) == 1 and hosts[0].kernel.is_up else self.bystander)

    def hosts_changed(self) -> None:
        """There is one host more or less to choose from, once nobody's turn it is."""
        if not self._is_turning:
            self.choose_current()

    @contextmanager
    def on(self, host: Host | str) -> Iterator[Host]:
        """Let the global reactor stand for a host while the block runs: for code that takes no reactor."""
        before, named = self.current, host if host is self.current else self.host_named(host)
        self._named.append(named)
        with self.in_force():
            self.enter(named)
            try:
                yield named
            finally:
                self._named.pop()
                self.enter(before)

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Have the global reactor lent, and errors listened for, while the block runs."""
        first, asks = not self._depth, not self._reactor.is_foremost
        self._depth += 1
        if first:
            self._logged.listen()
        if asks:
            self._reactor.lend(self.current)
        try:
            yield
        finally:
            self._depth -= 1
            if asks:
                self._reactor.give_back()
            if not self._depth:
                self._logged.ignore()

    def __enter__(self) -> Self:
        with ExitStack() as block:
            block.enter_context(only_new_garbage())
            block.enter_context(self.in_force())
            self._blocks.append(block.pop_all())
        return self

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        with self._blocks.pop():
            if kind is None:
                self.check_errors(thoroughly=True)

    # Errors

    @contextmanager
    def expected_errors(self, *types: type[BaseException]) -> Iterator[list[Failure]]:
        """Errors of these types (any, if none is given) may be logged while the block runs; they are in the list."""
        with self.in_force(), self._logged.expecting(types) as caught:
            yield caught
            gc.collect()

    def check_errors(self, *, thoroughly: bool = False) -> None:
        """See whether anything has gone wrong unnoticed.

        Args:
            thoroughly: Look for Deferreds that failed with nobody listening wherever they are; it takes longer.

        Raises:
            ErrorsLogged: Something has.
        """
        __tracebackhide__ = True
        gc.collect() if thoroughly else gc.collect(0)
        self._logged.check()

    # Turns

    @contextmanager
    def _taking_turns(self) -> Iterator[None]:
        """Let the global reactor stand for whose turn it is; if a host's callback has asked for it, that host goes on."""
        before = self.current if self._is_turning else None
        self._is_turning = True
        with self.in_force():
            try:
                yield
            finally:
                self._is_turning = before is not None
                if before is not None:
                    self.enter(before)
                else:
                    self.choose_current()

    def turn(self) -> None:
        """Let every host have one turn: calls from threads, what is due, then input and output."""
        if self.attention:
            self._attend()
        self.clock.fire_due()
        self.clock.fired += 1
        self._serve()

    def _attend(self) -> None:
        for host in [*self.attention]:
            self.attention.pop(host, None)
            self.enter(host)
            host.attend()

    def _serve(self) -> None:
        """Let those read and write whose sockets are ready."""
        if self.ready:
            for watch, events in self._poll():
                host = watch.owner
                if self.current is not host:
                    self.enter(host)
                host.serve(watch, events)

    def _poll(self) -> list[tuple[Watch, int]]:
        """What is ready, as epoll_wait(2) tells it: it stays in its place, before whatever becomes ready meanwhile."""
        ready, told = self.ready, []
        for watch in [*ready]:
            events = watch.events()
            if events:
                told.append((watch, events))
            else:
                del ready[watch]
        return told

    @property
    def is_busy(self) -> bool:
        """Whether anything is to be done at this instant."""
        if self.ready or self.attention:
            return True
        due = self.clock.next_time
        return due is not None and due <= self.clock.now

    def _go(self, until: Callable[[], bool], horizon: float, waiting_for: str, budget: int | None) -> bool:
        """Take turns until something is so, or nothing is left before the horizon; returns whether it is so."""
        __tracebackhide__ = True
        clock, spins, instant = self.clock, 0, -1.0
        most = inf if budget is None else clock.fired + budget
        with self._taking_turns():
            self._start_hosts()
            while not until():
                moves = bool(self.ready)
                if not (moves or self.attention):
                    if clock.leap(horizon, most, until, (self.ready, self.attention)):
                        self._serve()
                        continue
                    due = clock.next_time
                    if due is None or due > horizon:
                        return until()
                spins = spins + 1 if clock.now == instant else 0
                instant = clock.now
                self.turn()
                if moves and spins >= CREEP:
                    if clock.now >= horizon:
                        return until()
                    self._creep(horizon)
                elif spins > SPIN or clock.fired > most:
                    self._spinning(waiting_for)
        return True

    def _creep(self, horizon: float) -> None:
        later, due = min(self.clock.now + CREEP * 1e-6, horizon), self.clock.next_time
        self.clock.now = later if due is None or due > later else max(self.clock.now, due)

    def _start_hosts(self) -> None:
        for host in self.hosts.values():
            if not host.has_run and host.kernel.is_up:
                with self.on(host):
                    host.start()

    def _spinning(self, waiting_for: str, task: Any = None) -> None:
        __tracebackhide__ = True
        summary = f"{waiting_for}, and things go on happening at {self.clock.now:g} s without an end"
        lines = [*self._logged.lines(), *reports.where(task), *reports.who_spins(self)]
        raise Livelock(summary, (*lines, *(reports.who_waits(self) if task is not None else ())))

    def _stuck(self, waiting_for: str, task: Any) -> Deadlock:
        lines = [*self._logged.lines(), *reports.where(task), *reports.who_waits(self)]
        lines += [f"the real reactor is to call {name}" for name in self._reactor.pending()]
        return Deadlock(f"{waiting_for}, and nothing is left to happen at {self.clock.now:g} s", tuple(lines))

    # What a test calls

    def start(self, awaitable: Awaitable[T], *, on: Host | str | None = None) -> Deferred[T]:
        """Begin something, and let it go on while the network runs.

        Args:
            awaitable: A coroutine or a Deferred.
            on: The host that the global reactor stands for while it begins; the one that it stands for now by default.

        Returns:
            A Deferred with its result. If it fails and nobody looks, the run fails.
        """
        started = self._begin(awaitable, on)
        self._tasks[started] = awaitable
        return started.addBoth(self._finished, started)

    def _begin(self, awaitable: Awaitable[T], on: Host | str | None) -> Deferred[T]:
        with self.in_force():
            self._start_hosts()
            with self.on(on) if on is not None else nullcontext():
                return _as_deferred(awaitable)

    def _finished(self, result: Any, task: Deferred[Any]) -> Any:
        self._tasks.pop(task, None)
        return result

    def run(
        self, awaitable: Awaitable[T], *, timeout: float | None = None, on: Host | str | None = None
    ) -> T:
        """Let things happen until something is done.

        Args:
            awaitable: A coroutine or a Deferred.
            timeout: Virtual seconds after which it is given up; the network's by default.
            on: The host that the global reactor stands for while it begins; the one that it stands for now by default.

        Returns:
            Its result.

        Raises:
            ValueError: `timeout` is not above 0.
            Deadlock: Nothing is left to happen, and it is not done; says who waits for what.
            Livelock: Things go on happening, and it is not done; says who goes round in circles.
            ErrorsLogged: It is done, and something has gone wrong unnoticed.
            Exception: Whatever it failed with.
        """
        __tracebackhide__ = True
        timeout = self.timeout if timeout is None else timeout
        if not timeout > 0:
            raise ValueError(f"timeout must be seconds, above 0: {timeout!r}")
        outcome: list[Any] = []
        self._begin(awaitable, on).addBoth(outcome.append)
        name = reports.called(awaitable)
        begun = self.clock.now
        if not self._go(lambda: bool(outcome), begun + timeout, f"{name} is not done", self._patience):
            if self._nothing_is_left():
                raise self._stuck(f"{name} is not done", awaitable)
            self.clock.now = max(self.clock.now, begun + timeout)
            self._spinning(f"{name} is not done after {timeout:g} s (`timeout` can be longer)", awaitable)
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        self.check_errors()
        result: T = outcome[0]
        return result

    def advance(self, seconds: float) -> None:
        """Let so much virtual time pass, and everything happen that is due in it.

        Raises:
            ValueError: The seconds are negative or without end.
            Livelock: Time stands still, because something goes on happening at one instant.
            ErrorsLogged: Something has gone wrong unnoticed.
        """
        __tracebackhide__ = True
        if not 0 <= seconds < inf:
            raise ValueError(f"seconds must be a number, at least 0: {seconds!r}")
        end = self.clock.now + seconds
        self._go(lambda: False, end, f"advance({seconds:g}) does not get there", None)
        self.clock.now = max(self.clock.now, end)
        self.check_errors()

    def settle(self) -> None:
        """Let everything arrive that is on its way, lost segments that are sent again included.

        Timers that are set for later do not fire, unless something on its way takes that long.

        Raises:
            Deadlock: Nothing is left to happen, not even a timer, and what `start` has begun is not done.
            Livelock: It does not come to rest.
            ErrorsLogged: Something has gone wrong unnoticed.
        """
        __tracebackhide__ = True
        somebody_runs = self._is_turning
        self._go(self._is_settled, inf, "the network does not settle", self._patience)
        if self._tasks and not somebody_runs and self._nothing_is_left():
            task = next(iter(self._tasks.values()))
            raise self._stuck(f"{reports.called(task)} is not done", task)
        self.check_errors()

    def _nothing_is_left(self) -> bool:
        """Whether nothing is to be done, and no event is still to come; timers that were cancelled are none."""
        self.clock.discard_dead()
        return not self.is_busy and self.clock.next_time is None

    def _is_settled(self) -> bool:
        return not (self.is_busy or self.clock.traffic or self.links.retransmissions_come)

    # What a host's own run() calls

    def run_host(self, host: Host) -> None:
        """Let things happen until a host's reactor is stopped.

        Raises:
            Deadlock: Nothing is left that could stop it.
            Livelock: Things go on happening, and nobody stops it.
        """
        self.go_on(lambda: not host._started, f"the reactor of {host.name} is not stopped")

    def go_on(self, until: Callable[[], bool], waiting_for: str) -> None:
        """Let things happen until something is so, which one who blocks waits for.

        Args:
            until: Whether it is so.
            waiting_for: That it is not, in words.

        Raises:
            Deadlock: Nothing is left to happen, and it is not so.
            Livelock: Things go on happening, and it is not so.
        """
        __tracebackhide__ = True
        if not self._go(until, inf, waiting_for, self._patience):
            raise self._stuck(waiting_for, None)

    def iterate(self, delay: float | None) -> None:
        """One turn, after waiting for something to happen for so many virtual seconds at most."""
        due = self.clock.next_time
        if not self.is_busy and delay and due is not None:
            self.clock.now = min(due, self.clock.now + delay)
        with self._taking_turns():
            self.turn()


def _as_deferred(awaitable: Any) -> Deferred[Any]:
    if isinstance(awaitable, Deferred):
        return awaitable
    if isinstance(awaitable, Coroutine):
        return Deferred.fromCoroutine(awaitable)
    raise TypeError(f"a coroutine or a Deferred can be run, not {awaitable!r}")
