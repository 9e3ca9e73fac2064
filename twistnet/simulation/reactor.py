"""A simulated host, which is a reactor.

The rule of this module: what Twisted's base classes decide they go on deciding; only where they would ask the operating
system for the time, for a socket or for what is ready, they ask the simulation.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Sequence
from math import inf, nextafter
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorFDSet,
    IReactorMulticast,
    IReactorPluggableNameResolver,
    IReactorPluggableResolver,
    IReactorSocket,
    IReactorSSL,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUDP,
    IReactorUNIX,
    IReactorUNIXDatagram,
)
from twisted.logger import Logger
from zope.interface import implementer_only

from ..errors import WrongReactor
from .cooperators import cooperator
from .kernel import Kernel
from .kernel.files import Watch
from .naming import name_of
from .opening import Opening
from .readiness import Readiness
from .signals import Restored
from .threads import InlineThreadPool, awaited
from .timers import CALLED, LOST, Timer

if TYPE_CHECKING:
    from .network import Network

__all__ = ["Host"]

log = Logger()


class _Kept:
    """Stands where a real reactor keeps its new timers: whoever reaches it has kept a method of the real one."""

    def append(self, call: Any) -> None:
        raise WrongReactor(
            f"{name_of(call.func)} was scheduled with callLater of the real reactor, kept from before the simulation: "
            "look `reactor.callLater` up when it is needed, or pass the simulated host in"
        )

    def __iter__(self) -> Any:
        return iter(())


@implementer_only(
    IReactorCore,
    IReactorTime,
    IReactorTCP,
    IReactorSSL,
    IReactorUDP,
    IReactorMulticast,
    IReactorUNIX,
    IReactorUNIXDatagram,
    IReactorSocket,
    IReactorFDSet,
    IReactorThreads,
    IReactorPluggableResolver,
    IReactorPluggableNameResolver,
)
class Host(Readiness, Opening):
    """A host of a simulated network: a machine, and the reactor of the one program that runs on it.

    Make one with `Network.host`. Use it wherever a reactor is wanted.

    Attributes:
        name: By which other hosts find it.
        network: Where it is.
        kernel: Its sockets, ports and paths.
        skew: Seconds that its clock is ahead of the network's.
        rate: Seconds of its clock in one of the network's.
        cooperator: What `twisted.internet.task.cooperate` uses on it.
    """

    has_real_sockets = False
    """Nor real time: who would do better with the kernel's than with a reactor's asks for this."""

    def __init__(self, name: str, network: Network, kernel: Kernel) -> None:
        self.name = name
        self.network = network
        self.kernel = kernel
        self.skew = 0.0
        self.rate = 1.0
        self._itself = self
        self._clock = network.clock
        self._fire = self._fire_timer
        self._begin()

    def _begin(self) -> None:
        """Be a reactor that has not run yet."""
        self.has_run = False
        self.cooperator = cooperator(self)
        self._watches: dict[Any, Watch] = {}
        self._reads: dict[Any, None] = {}
        self.reservation = tcp._FileDescriptorReservation(self.kernel.socket)
        super().__init__()
        self._newTimedCalls: Any = _Kept()
        self.network.names.install(self)

    def __repr__(self) -> str:
        return f"<simulated host {self.name} {', '.join(self.kernel.addresses)}>"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the simulated host {self.__dict__.get('name', '?')} has no {name!r}"
            " (if code kept a method of the real reactor from before the simulation, look it up when it is needed)"
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its numeric addresses besides loopback, the one that names resolve to first."""
        return self.kernel.addresses

    # Time

    def seconds(self) -> float:
        """See `IReactorTime.seconds`: virtual seconds by this host's clock."""
        return self.seconds_at(self._clock.now)

    def seconds_at(self, time: float) -> float:
        """What this host's clock shows at a time of the network."""
        return time * self.rate + self.skew

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """See `IReactorTime.callLater`.

        Raises:
            SimulationError: It has crashed.
        """
        assert delay >= 0, f"{delay} is not greater than or equal to 0 seconds"
        if not self.kernel.is_up:
            self._usable()
        clock = self._clock
        now = clock.now
        due = now + (delay if self.rate == 1.0 else delay / self.rate)
        if due == now and delay:
            # A host's own clock may tell shorter times than the network's, and LoopingCall would spin.
            due = nextafter(now, inf)
        timer = Timer(self._fire, due, next(clock.order), callable, args, kw)
        clock.wait_for(timer)
        return timer

    def move_timer(self, timer: Timer, due: float) -> None:
        """Let a timer fire at another time; the clock hears of it only if that is earlier than it would look."""
        timer.due = due = max(due, self._clock.now)
        timer.order = next(self._clock.order)
        if due < timer.entry:
            self._clock.wait_for(timer)

    def _fire_timer(self, timer: Timer) -> None:
        if timer.state:
            return
        now = self._clock.now
        if timer.due > now:
            if timer.entry <= now:
                self._clock.wait_for(timer)
            return
        timer.state = CALLED
        network = self.network
        if network.current is not self:
            network.enter(self)
        network.trace.note(now, self.name, "timer", timer.func)
        try:
            if timer.kw:
                timer.func(*timer.args, **timer.kw)
            else:
                timer.func(*timer.args)
        except Exception:
            log.failure("while handling timed call")

    def getDelayedCalls(self) -> Sequence[Any]:
        """See `IReactorTime.getDelayedCalls`."""
        found = [event[3] for event in self._clock.timers if isinstance(event[3], Timer)]
        mine = dict.fromkeys(timer for timer in found if timer.host is self._itself and timer.active())
        return list(mine)

    # Running

    def installWaker(self) -> None:
        """There is nothing to be woken from."""

    def wakeUp(self) -> None:
        """See `IReactorFromThreads`: have the calls from threads made in the next turn."""
        self.network.attention[self._itself] = None

    def stop(self) -> None:
        """See `IReactorCore.stop`."""
        super().stop()
        self.wakeUp()

    def attend(self) -> None:
        """Make the calls from threads, and shut down if it is time; what an interrupt keeps from it, it does next time."""
        try:
            self._make_calls()
        except BaseException:
            self.wakeUp()
            raise
        if self._justStopped:
            self._justStopped = False
            self.fireSystemEvent("shutdown")

    def _make_calls(self) -> None:
        """Make those calls from threads that there are now; a crash ends them."""
        queue = self.threadCallQueue
        calls = deque(queue)
        queue.clear()
        try:
            while calls and queue is self.threadCallQueue:
                function, args, kw = calls.popleft()
                try:
                    function(*args, **kw)
                except Exception:
                    log.failure("while calling from thread")
        finally:
            queue[:0] = calls

    def start(self) -> None:
        """Fire the startup triggers, unless it has run already."""
        if not self.has_run:
            self.startRunning(installSignalHandlers=False)

    def startRunning(self, installSignalHandlers: bool = True) -> None:
        """See `ReactorBase.startRunning`."""
        super().startRunning(installSignalHandlers)
        self.has_run = True

    def _signalsFactory(self) -> Any:
        """SIGINT, SIGTERM and SIGBREAK as ever, while it runs; there are no child processes."""
        return Restored(ReactorBase._signalsFactory(self))

    def mainLoop(self) -> None:
        """Run the whole network until this host's reactor is stopped.

        Raises:
            Deadlock: Nothing is left that could stop it.
            Livelock: Things go on happening, and nobody stops it.
        """
        try:
            self.network.run_host(self._itself)
        finally:
            self._signals.uninstall()

    def callFromThread(self, f: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """See `IReactorFromThreads.callFromThread`."""
        super().callFromThread(f, *args, **kwargs)
        answers = awaited(sys._getframe(1))
        if answers is not None:
            self.network.go_on(lambda: not answers.empty(), "blockingCallFromThread is not done")

    def doIteration(self, delay: float | None) -> None:
        """See `ReactorBase.doIteration`."""
        self.network.iterate(delay)

    def runUntilCurrent(self) -> None:
        """See `ReactorBase.runUntilCurrent`: `doIteration` does it."""

    def timeout(self) -> float | None:
        """See `ReactorBase.timeout`."""
        due = self._clock.next_time
        return None if due is None else max(0.0, due - self._clock.now)

    def getThreadPool(self) -> Any:
        """A pool that runs what it is given at once, in the thread that there is."""
        if self.threadpool is None:
            self.threadpool = InlineThreadPool(self._itself)  # type: ignore[assignment]
        return self.threadpool

    def _stopThreadPool(self) -> None:
        self.threadpool = None

    # Crashing

    def lose_everything(self) -> None:
        """The machine has crashed: forget timers, transports, what was to be called, and that there was a program."""
        for timer in self.getDelayedCalls():
            timer.state = LOST
        self._clock.discard_dead()
        for watch in [*self._watches.values()]:
            watch.reader = watch.writer = None
        self._begin()
