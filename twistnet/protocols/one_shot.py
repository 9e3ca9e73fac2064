"""A stream protocol that answers what comes first and closes.

The rule of this module: nothing of the answer is lost. TCP has no messages, so what comes first is all that arrives
until the peer pauses or finishes sending; and a connection closed with unread input is reset, which destroys an
answer that is still under way, so this side stops sending first and closes when the peer has.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..wire.transforms import Transform
from .stream import StreamProtocol

__all__ = ["OneShotProtocol"]

PAUSE = 0.05
"""Seconds without input that end what came first."""

LINGER = 2.0
"""Seconds that a peer has to close, once it has been sent everything."""

HELD = 65536
"""Octets of the answer that are held back until the pause; beyond that they are sent as they come."""


class Phase(Enum):
    """Where a connection is."""

    LISTENING = auto()
    LINGERING = auto()


@implementer(IPushProducer)
class OneShotProtocol(StreamProtocol):
    """Answers what comes first with its transform, then closes.

    Args:
        transform: What is done to the bytes.
        clock: Measures the peer's pauses.
    """

    def __init__(self, transform: Transform, clock: IReactorTime) -> None:
        super().__init__(transform)
        self._clock = clock
        self._phase = Phase.LISTENING
        self._held = bytearray()
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Answer what comes first; read and forget what comes after it."""
        if self._phase is Phase.LISTENING:
            self._wait(PAUSE, self._finish)  # first: writing may pause this producer, and stop the wait
            super().dataReceived(data)

    def readConnectionLost(self) -> None:
        """The peer has sent all that it will: nothing can destroy the answer any more."""
        if self._phase is Phase.LISTENING and self._answer(self._transform.finish):
            self._say_last()
        self._stop_waiting()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Everything has been sent. The peer may take its time over closing, but not for ever."""
        self._wait(LINGER, self.transport.loseConnection)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_waiting()

    def pauseProducing(self) -> None:
        """The peer does not read: stop reading, and do not take that for a pause of the peer's."""
        self._stop_waiting()
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        self.transport.resumeProducing()
        if self._phase is Phase.LISTENING:
            self._wait(PAUSE, self._finish)

    def stopProducing(self) -> None:
        self._stop_waiting()

    def _finish(self) -> None:
        if self._answer(self._transform.finish):
            self._close()

    def _send(self, answer: bytes) -> None:
        self._held += answer
        if len(self._held) > HELD:
            self._flush()

    def _flush(self) -> None:
        held, self._held = self._held, bytearray()
        self.transport.write(bytes(held))

    def _close(self) -> None:
        """Send the answer and say that it is over; TLS says so itself, and has no half-close."""
        self._say_last()
        if ISSLTransport.providedBy(self.transport):
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()

    def _say_last(self) -> None:
        """Send what was held back; nothing more is answered, and no producer holds the close up."""
        self._phase = Phase.LINGERING
        self._stop_waiting()
        self._flush()
        self.transport.unregisterProducer()

    def _wait(self, seconds: float, then: Callable[[], object]) -> None:
        self._stop_waiting()
        self._timer = self._clock.callLater(seconds, then)

    def _stop_waiting(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
