"""One end of a connection that files go over.

The rule of this module: the reactor never waits for the disk, nor memory for the network. What comes is handed over as it
is asked for, and not read while too much of it waits; what goes is read no faster than the peer takes it; and the disk is
asked in threads, one question of a connection after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar
from typing import Protocol as Boundary

from attrs import define
from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IDelayedCall, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.threads import deferToThreadPool
from twisted.python.failure import Failure
from zope.interface import implementer

from ...errors import RemoteProtocolError
from ...wire.file_messages import Content, Event, Working
from ...wire.files import FilesConnection, Role, Turn
from .partial import Source

__all__ = ["BATCH", "Conversation"]

BATCH = 1 << 20
"""Octets of a file that are written at once."""

MOST = 2 * BATCH
"""Octets that wait to be written before no more are read."""

FLUSHED = 64 << 20
"""Octets that are written before the disk is asked to begin with them."""

READ = 1 << 18
"""Octets that are read from a socket at once, where the transport may be told."""

_KEPT = 4 << 20
"""Octets that are taken and given back once, so that glibc's malloc takes such sizes from memory that it keeps (mallopt(3),
M_MMAP_THRESHOLD): else it has the kernel clear new pages for each piece of a file, which costs as much as to read it."""

STILL = 5.0
"""Seconds after which a peer is told that it is still being worked on."""

P = ParamSpec("P")
T = TypeVar("T")


class Writable(Boundary):
    """Takes the octets of a file, in threads."""

    def write(self, pieces: Sequence[bytes]) -> None:
        """Take the next octets."""

    def flush(self) -> None:
        """See to it that what was taken is on disk; others may be taken meanwhile."""


class _Signal:
    """What one coroutine waits for, again and again."""

    def __init__(self) -> None:
        self._waiting: Deferred[None] | None = None

    def wait(self) -> Deferred[None]:
        """Fires at the next call of `fire`."""
        self._waiting = Deferred()
        return self._waiting

    def fire(self) -> None:
        """Go on, whoever waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(None)


@implementer(IPushProducer)
@define(eq=False)
class _Outflow:
    """Whether the transport takes more."""

    changed: _Signal
    paused: bool = False

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False
        self.changed.fire()

    def stopProducing(self) -> None:
        self.paused = False


class Conversation(Protocol):
    """One end of a conversation about files; a coroutine of a subclass holds it.

    Args:
        role: Which end.
        reactor: Tells the time, and has the threads that wait for the disk.

    Attributes:
        moved: Octets of files that went either way.
        gone: Whether the connection is lost.
    """

    transport: Any

    def __init__(self, role: Role, reactor: Any) -> None:
        self.moved = 0
        self.gone = False
        self.clock = reactor
        self._reactor = reactor
        self._talk = FilesConnection(role)
        self._events: deque[Event] = deque()
        self._pieces: list[bytes] = []
        self._waiting_octets = 0
        self._full = False
        self._heard_at = self._waits_since = 0.0
        self._waits = False
        self._changed = _Signal()
        self._ended: Exception | None = None

    def makeConnection(self, transport: Any) -> None:
        if isinstance(transport, FileDescriptor):
            transport.bufferSize = READ
        bytes(_KEPT)
        super().makeConnection(transport)

    @property
    def silent_for(self) -> float:
        """Seconds for which the peer has kept us waiting."""
        return self.clock.seconds() - max(self._heard_at, self._waits_since) if self._waits else 0.0

    @property
    def is_idle(self) -> bool:
        """Whether a request may be made."""
        return self._talk.turn is Turn.IDLE and self._ended is None

    @property
    def is_over(self) -> bool:
        """Whether the peer has ended the conversation."""
        return self._talk.is_over

    def dataReceived(self, data: bytes) -> None:
        """Take what the peer says; what is not allowed is the end, once what came before it has been heard."""
        self._heard_at = self.clock.seconds()
        try:
            for event in self._talk.feed(data):
                self._take(event)
        except RemoteProtocolError as error:
            self.end(error)
        if self._waiting_octets > MOST and not self._full:
            self._full = True
            self.transport.pauseProducing()
        if self._events or self._waiting_octets >= BATCH or not self._talk.content_left:
            self._changed.fire()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.gone = True
        self.end(reason.value if isinstance(reason.value, Exception) else ConnectionAborted())

    def end(self, reason: Exception) -> None:
        """Hear nothing more, once what has come was heard."""
        if self._ended is None:
            self._ended = reason
        self._changed.fire()

    def say(self, event: Event) -> None:
        """Say something, which must be in turn."""
        self.transport.write(self._talk.send(event))

    async def hear(self) -> Event:
        """The next message of the peer's.

        Raises:
            RemoteProtocolError: It is none, or out of turn.
            Exception: The connection is lost; this is the reason.
        """
        while not self._events:
            if self._ended is not None:
                raise self._ended
            await self._wait()
        return self._events.popleft()

    async def contents(self) -> list[bytes]:
        """The next octets of the file that comes: about as many as are written at once; none at its end.

        When the connection is lost, what came before is given first.
        """
        while self._talk.content_left and self._waiting_octets < BATCH and self._ended is None:
            await self._wait()
        pieces, self._pieces = self._pieces, []
        self._waiting_octets = 0
        if self._full:
            self._full = False
            self.transport.resumeProducing()
        if not pieces and self._talk.content_left and self._ended is not None:
            raise self._ended
        return pieces

    async def receive(self, target: Writable, report: Callable[[int], object] = lambda octets: None) -> None:
        """Have the octets that come written. The disk begins with them meanwhile, so that little is left for the end.

        Args:
            target: Takes them, in threads.
            report: Is told how many more of them are written.

        Raises:
            FilesError: The disk would not have them.
            Exception: The connection is lost; this is the reason. What came before is written.
        """
        waiting, flushing = 0, succeed(None)
        try:
            while pieces := await self.contents():
                await self.in_thread(target.write, pieces)
                octets = sum(map(len, pieces))
                report(octets)
                waiting += octets
                if waiting >= FLUSHED and flushing.called:
                    await flushing
                    waiting, flushing = 0, self.in_thread(target.flush)
        except Exception:
            await flushing.addErrback(lambda _: None)  # until then the file is in use
            raise
        await flushing

    async def pour(self, source: Source, report: Callable[[int], object] = lambda octets: None) -> None:
        """Send what is left of a file; stops when the peer has ended the conversation.

        Args:
            source: The file.
            report: Is told how many octets of it the transport has.

        Raises:
            FilesError: The file has become shorter.
            Exception: The connection is lost; this is the reason.
        """
        flow = _Outflow(self._changed)
        self.transport.registerProducer(flow, True)
        ahead = self.in_thread(source.read_ahead)
        try:
            while self._talk.content_left:
                pieces = await ahead
                ahead = self.in_thread(source.read_ahead)
                for piece in pieces:
                    self._pour_some(piece)
                    report(source.size - self._talk.content_left)
                    await self._until_taken(flow)
        except Exception:
            await ahead.addErrback(lambda _: list[memoryview]())  # until then the file is in use
            raise
        finally:
            self.transport.unregisterProducer()
        await ahead

    async def _until_taken(self, flow: _Outflow) -> None:
        """Wait until the transport takes more, or nothing more is to be sent."""
        while flow.paused and not self.gone and self._talk.content_left:
            await self._wait()
        if self.gone and self._ended is not None:
            raise self._ended

    async def on_disk(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The result of what blocks; the peer is told when it takes long."""
        timer = _Again(self.clock, STILL, self._still_working)
        try:
            return await self.in_thread(work, *args, **kwargs)
        finally:
            timer.stop()

    async def _wait(self) -> None:
        """Wait for something to change, and know for how long."""
        self._waits, self._waits_since = True, self.clock.seconds()
        try:
            await self._changed.wait()
        finally:
            self._waits = False

    def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """Do what blocks, and is short."""
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work, *args, **kwargs)

    def _pour_some(self, data: memoryview) -> None:
        if self._talk.content_left and not self.gone:
            self.moved += len(data)
            self.transport.write(self._talk.send(Content(bytes(data))))

    def _take(self, event: Event) -> None:
        if isinstance(event, Content):
            self.moved += len(event.data)
            self._waiting_octets += len(event.data)
            self._pieces.append(event.data)
        elif not isinstance(event, Working):
            self._events.append(event)

    def _still_working(self) -> None:
        if not self.gone and self._talk.is_ours and self._talk.turn not in {Turn.UPLOADING, Turn.DOWNLOADING}:
            self.say(Working())


class _Again:
    """Calls a function every so many seconds, until it is stopped."""

    def __init__(self, clock: Any, seconds: float, call: Callable[[], object]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._call = call
        self._timer: IDelayedCall = clock.callLater(seconds, self._due)

    def _due(self) -> None:
        self._timer = self._clock.callLater(self._seconds, self._due)
        self._call()

    def stop(self) -> None:
        """Call it no more."""
        if self._timer.active():
            self._timer.cancel()
