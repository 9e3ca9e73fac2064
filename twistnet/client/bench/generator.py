"""Runs a plan: opens connections, has them send, watches, and closes them.

The rule of this module: every wait has an end, and whatever the end is, nothing is left open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

from twisted.internet import defer
from twisted.internet.defer import Deferred, DeferredList, FirstError, gatherResults, succeed
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from ...endpoints.datagram_client import DatagramTarget
from ...transport import fast
from ..outcome import NetworkProblem, network_problems
from ..targets import stream_target
from .asking import Asking, ClosedLoop, OpenLoop, Schedule
from .datagrams import LoadedSocket
from .load import Load
from .measurement import Measurement, Now
from .pacing import Pacer
from .payloads import WrongReply
from .plan import Plan
from .streams import LoadedStream
from .timing import timing_of

__all__ = ["generate_load"]

_Connection: TypeAlias = LoadedStream | LoadedSocket

_AT_ONCE = 32
"""Connections that are made at once: more than a listener's queue holds (50 with Twisted) would be refused, or wait a second."""

_LOOK = 0.1
_CLOSE = 1e-5
_FAREWELL = 1.0
"""Seconds that closing may take, with the farewells of TLS."""


async def generate_load(
    reactor: Any,
    target: Sequence[str],
    peer: DatagramTarget | None,
    plan: Plan,
    measurement: Measurement,
    show: Callable[[Now], None],
) -> None:
    """Put load on a peer, and measure.

    Args:
        reactor: The reactor that is running.
        target: An endpoint string, or a host and a port.
        peer: The same, if it is for datagrams.
        plan: What to do.
        measurement: Is told what happens; what it has is good whenever and however this ends.
        show: Is told how things stand, ten times a second.

    Raises:
        ValueError: The target is none, or the size is not for it.
        NetworkProblem: The network would not have it, or a reply is wrong.
    """
    shown = " ".join(target)
    with network_problems(shown, plan.timeout), _wrong_replies(shown):
        generator = _Generator(reactor, plan, measurement, show)
        stopping = reactor.addSystemEventTrigger("before", "shutdown", generator.stop)
        try:
            await generator.open(target, peer)
            await generator.run()
        finally:
            generator.stop()
            with suppress(ValueError, KeyError):
                reactor.removeSystemEventTrigger(stopping)
            await generator.close()


@contextmanager
def _wrong_replies(shown: str) -> Any:
    try:
        yield
    except WrongReply as problem:
        raise NetworkProblem("WRONG", f"{shown}: {problem}") from problem


class _Generator:
    """One run of a plan."""

    def __init__(
        self, reactor: Any, plan: Plan, measurement: Measurement, show: Callable[[Now], None]
    ) -> None:
        self._reactor = reactor
        self._plan = plan
        self._measurement = measurement
        self._show = show
        self._timing = timing_of(reactor)
        self._load = Load(plan=plan, measurement=measurement, clock=self._timing.seconds, tell=self._note)
        self._problem: Failure | None = None
        self._passing: Deferred[None] = succeed(None)
        self._finishing = False
        self._connections: list[_Connection] = []
        self._askings: Sequence[Asking] = []
        self._opening: list[Deferred[Any]] = []
        self._pacer: Pacer | None = None
        self._watching = LoopingCall(self._watch)
        self._watching.clock = reactor

    async def open(self, target: Sequence[str], peer: DatagramTarget | None) -> None:
        """Make the connections, some at once."""
        reactor = fast(self._reactor)
        endpoint = stream_target(reactor, target) if peer is None else None
        for first in range(0, self._plan.connections, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, self._plan.connections))
            self._opening = [
                Deferred.fromCoroutine(
                    self._open_stream(endpoint, number)
                    if peer is None
                    else self._open_socket(reactor, peer, number)
                )
                for number in numbers
            ]
            try:
                await gatherResults(self._opening, consumeErrors=True)
            except FirstError as error:
                error.subFailure.raiseException()

    async def _open_stream(self, endpoint: Any, number: int) -> None:
        begun = self._reactor.seconds()
        stream = LoadedStream(self._load, number)
        self._connections.append(stream)
        await endpoint.connect(Factory.forProtocol(lambda: stream)).addTimeout(
            self._plan.timeout, self._reactor
        )
        left = max(0.0, begun + self._plan.timeout - self._reactor.seconds())
        await stream.ready.addTimeout(left, self._reactor)

    async def _open_socket(self, reactor: Any, target: DatagramTarget, number: int) -> None:
        connecting = Deferred.fromCoroutine(target.connect(reactor))
        peer = await connecting.addTimeout(self._plan.timeout, self._reactor)
        self._connections.append(LoadedSocket(self._load, number, peer, self._reactor))

    async def run(self) -> None:
        """Send, until it is time or there is a problem; then wait for the replies."""
        self._begin(self._timing.seconds())
        if self._plan.warm_up:
            await self._pass_until(self._measurement.begin)
        self._measurement.open(self._timing.seconds(), self._timing.busy())
        await self._pass_until(self._measurement.end)
        if self._pacer is not None:
            self._pacer.catch_up(self._measurement.end)
        self._finish()
        if self._unanswered:
            await self._pass(self._plan.timeout + 2 * _LOOK)

    def _begin(self, now: float) -> None:
        plan, begin = self._plan, now + self._plan.warm_up
        end = begin + plan.duration
        if plan.rate:
            schedule = Schedule(now, plan.rate, plan.requests, plan.connections, plan.warm_up_requests)
            self._measurement.plan(begin, end, schedule.time(schedule.warm_up))
            self._pacer = Pacer(self._timing, schedule, self._connections, self._measurement)
            self._askings = [OpenLoop(schedule, number) for number in range(plan.connections)]
        else:
            self._measurement.plan(begin, end)
            self._askings = [ClosedLoop(end) for _ in range(plan.connections)]
        for connection, asking in zip(self._connections, self._askings, strict=True):
            connection.begin(asking)
        if self._pacer is not None:
            self._pacer.start()
        self._watching.start(_LOOK, now=False).addErrback(self._load.end)

    @property
    def _unanswered(self) -> int:
        return sum(connection.unanswered for connection in self._connections)

    def _watch(self) -> None:
        """See how things stand."""
        now = self._timing.seconds()
        if self._finishing:
            if not self._unanswered and not self._passing.called:
                self._passing.callback(None)
        else:
            self._show(self._measurement.look(now))
        for connection in self._connections:
            connection.watch(now)

    async def _pass_until(self, time: float) -> None:
        """The same, until a time: the clock of a timer is another, and it may ring early."""
        await self._pass(time - self._timing.seconds())
        while (left := time - self._timing.seconds()) > _CLOSE:
            await self._pass(left)

    async def _pass(self, seconds: float) -> None:
        """Let time pass; raises what problem there is, as soon as there is one."""
        if self._problem is not None:
            self._problem.raiseException()
        self._passing = Deferred()
        timer = self._reactor.callLater(max(0.0, seconds), self._passing.callback, None)
        try:
            await self._passing
        finally:
            if timer.active():
                timer.cancel()

    def _note(self, problem: Failure) -> None:
        self._problem = problem
        if not self._passing.called:
            self._passing.errback(problem)

    def _finish(self) -> None:
        """The measured time is over."""
        if self._finishing:
            return
        self._finishing = True
        now = self._timing.seconds()
        self._measurement.close(now, self._timing.busy())
        if self._pacer is not None:
            self._pacer.stop()
            for connection in self._connections:
                self._measurement.left(*connection.waiting(self._pacer.dealt_at), now)
        for asking in self._askings:
            asking.end = min(asking.end, now)

    def stop(self) -> None:
        """It is over, whether it was meant to be or not; nothing that comes now is counted."""
        self._finish()
        if self._watching.running:
            self._watching.stop()
        self._measurement.unanswered = self._unanswered

    async def close(self) -> None:
        """Close everything, in good order if that is possible."""
        for opening in self._opening:
            opening.cancel()
        closed = DeferredList([connection.close() for connection in self._connections])
        with suppress(defer.TimeoutError):
            await closed.addTimeout(_FAREWELL, self._reactor)
        for connection in self._connections:
            connection.abort()
