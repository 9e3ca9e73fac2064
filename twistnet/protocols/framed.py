"""A Twisted protocol whose events are frames: any framer of `twistnet.wire.framing` in a small shell.

The rule of this module: one event at a time, and none that nobody wants. No frame is delivered within the delivery of
another, while the protocol is paused, or after either side has ended the connection.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Any

from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IPushProducer,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..addresses import show_address
from ..errors import RemoteProtocolError
from ..tls import flush_of
from ..wire.framing import Framer
from .farewell import Farewell

__all__ = ["FramedProtocol"]

_log = Logger("twistnet")


class Stage(Enum):
    """How far a connection has come."""

    OPEN = auto()
    FINISHING = auto()
    """The peer has finished sending; what it sent is not all delivered yet."""
    LAST = auto()
    """The end itself has been looked at: what is left is to tell of it."""
    ENDED = auto()
    """All has been told."""
    FAILED = auto()
    """The peer broke the framing: what still comes is read and forgotten."""
    OVER = auto()
    """This side has ended it, and reads and forgets likewise."""
    LOST = auto()


class Stop(Enum):
    """Why nothing is read."""

    ASKED = auto()
    UNREAD = auto()


@implementer(IHalfCloseableProtocol)
class FramedProtocol(Protocol):
    """Receives and sends frames.

    Override `frameReceived`, and any of `endReceived`, `framingFailed`, `connectionMade` and `connectionLost` (call
    `super().connectionLost`). After `transport.loseConnection`, `transport.abortConnection` or `close` there is no event but
    `connectionLost`, whatever has been received already.

    Reads no more from a peer that does not read: it is the producer of its own output. A subclass that registers another
    producer sets `backpressure = False`.

    Over TLS, which ends both directions at once, a frame that the end cuts short is dropped.

    Args:
        framer: One of the connection's own, such as `LineFramer()`.
        clock: The reactor, which measures how long a peer takes to close after `close`; without one, it takes as long as
            it likes.
    """

    backpressure = True
    transport: Any

    def __init__(self, framer: Framer, clock: IReactorTime | None = None) -> None:
        self._framer = framer
        self._clock = clock
        self._stage = Stage.OPEN
        self._stops: set[Stop] = set()
        self._frames: Iterator[bytes] = iter(())
        self._delivering = False
        self._peer_finished = False
        self._flush: Callable[[], None] | None = None

    # What a subclass overrides

    def frameReceived(self, frame: bytes) -> None:
        """A frame has come."""

    def endReceived(self) -> None:
        """The peer will send nothing more, and all that it sent was delivered. By default the connection is closed."""
        self.close()

    def framingFailed(self, error: RemoteProtocolError) -> None:
        """The peer broke the framing; nothing more is delivered. By default that is a line, and the connection is closed."""
        _log.info("closing {peer}: {error}", peer=show_address(self.transport.getPeer()), error=error)
        self.close()

    # What a subclass calls

    def sendFrame(self, frame: bytes) -> None:
        """Send a frame.

        Raises:
            LocalProtocolError: It cannot be framed.
        """
        self.transport.write(self._framer.encode(frame))

    def close(self) -> None:
        """Close so that all that was written arrives, though the peer may still be sending.

        What it sends is read and forgotten until it closes, or for two seconds after it has received everything.
        """
        if self._stage in {Stage.OVER, Stage.LOST} or self._is_closing():
            return
        self._stage = Stage.OVER
        if self.backpressure:
            self.transport.unregisterProducer()
        if self._peer_finished:
            self.transport.loseConnection()
        else:
            self.transport.resumeProducing()
            self._farewell.begin()

    def pauseProducing(self) -> None:
        """Deliver nothing more, and read nothing more, until `resumeProducing`; from within `frameReceived`, too."""
        self._pause(Stop.ASKED)

    def resumeProducing(self) -> None:
        """Deliver what has come, at once unless this is called from within a delivery, and read on."""
        self._resume(Stop.ASKED)

    # What the transport calls

    def makeConnection(self, transport: ITransport) -> None:
        self._flush = flush_of(transport)
        self._farewell = Farewell(transport, self._clock)
        if self.backpressure:
            transport.registerProducer(_Output(self), True)  # type: ignore[attr-defined]
        super().makeConnection(transport)

    def dataReceived(self, data: bytes) -> None:
        if self._stage is not Stage.OPEN or self._is_closing():
            return
        self._frames = self._framer.feed(data)
        self._deliver()
        if self._flush is not None:
            self._flush()

    def readConnectionLost(self) -> None:
        self._peer_finished = True
        if self._stage is Stage.OPEN:
            self._stage = Stage.FINISHING
            self._deliver()
        elif self._stage in {Stage.FAILED, Stage.OVER}:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        self._farewell.sent()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stage = Stage.LOST
        self._farewell.lost()

    def peer_reads(self, reads: bool) -> None:
        """Whether the peer takes what is sent."""
        if not reads:
            self._pause(Stop.UNREAD)
            return
        self._resume(Stop.UNREAD)
        if self.backpressure and self._stage is not Stage.OVER:
            self.transport.unregisterProducer()  # which lets go of a close that was held up by the pause
            self.transport.registerProducer(_Output(self), True)

    def _pause(self, why: Stop) -> None:
        self._stops.add(why)
        self.transport.pauseProducing()

    def _resume(self, why: Stop) -> None:
        self._stops.discard(why)
        self._deliver()
        if not self._stops and not self._peer_finished:
            self.transport.resumeProducing()

    def _is_closing(self) -> bool:
        """Whether somebody has closed the transport; of an abort, TCP's own says so with a flag of its own."""
        return bool(self.transport.disconnecting or getattr(self.transport, "_aborting", False))

    def _deliver(self) -> None:
        """Have all events that there are, unless this is called from within one."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while not self._stops and self._stage in _DELIVERING and not self._is_closing():
                if not self._next_event():
                    return
        finally:
            self._delivering = False

    def _next_event(self) -> bool:
        """One event; `False` if there is none, or there can be no further one."""
        try:
            frame = next(self._frames, None)
            if frame is None and self._stage is Stage.FINISHING:
                self._stage = Stage.LAST
                frame = self._framer.finish()
        except RemoteProtocolError as error:
            self._stage = Stage.FAILED
            self.framingFailed(error)
            return False
        if frame is not None:
            self.frameReceived(frame)
        elif self._stage is Stage.LAST:
            self._stage = Stage.ENDED
            self.endReceived()
        return frame is not None


_DELIVERING = (Stage.OPEN, Stage.FINISHING, Stage.LAST)  # a set would ask each for its hash, for every frame


@implementer(IPushProducer)
class _Output:
    """What produces the output of a protocol: its input, which pauses with it."""

    def __init__(self, protocol: FramedProtocol) -> None:
        self._protocol = protocol

    def pauseProducing(self) -> None:
        self._protocol.peer_reads(False)

    def resumeProducing(self) -> None:
        self._protocol.peer_reads(True)

    def stopProducing(self) -> None:
        """The connection is lost."""
