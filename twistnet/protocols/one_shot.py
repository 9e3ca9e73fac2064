"""A stream protocol that answers what comes first and closes.

The rule of this module: nothing of the answer is lost. TCP has no messages, so what comes first is all that arrives
until the peer pauses or finishes sending. This side then stops sending, and closes when the peer has: closing before
that could reset the connection, and destroy an answer that is still under way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ..wire.transforms import Transform
from .stream import TransformProtocol

__all__ = ["HELD", "LINGER", "PATIENCE", "PAUSE", "OneShotProtocol", "one_shot"]

PAUSE = 0.05
"""Seconds without input that end what came first."""

LINGER = 2.0
"""Seconds that a peer has to close, once it has received everything."""

PATIENCE = 60.0
"""Seconds that a peer has to receive everything, once the kernel has it."""

HELD = 65536
"""Octets of the answer that are held back until the pause; beyond that they are sent as they come."""


class OneShotProtocol(TransformProtocol):
    """Answers what comes first with its transform, then closes.

    Args:
        transform: What is done to the bytes.
        clock: Measures the peer's pauses.
    """

    def __init__(self, transform: Transform, clock: IReactorTime) -> None:
        super().__init__(transform)
        self._clock = clock
        self._held = bytearray()
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        self._over_tls = ISSLTransport.providedBy(self.transport)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Answer what comes first; read and forget what comes after it."""
        if not self._finished:
            self._wait(PAUSE, self._finish)  # first: writing may pause this producer, and stop the wait
        super().dataReceived(data)

    def readConnectionLost(self) -> None:
        self._stop_waiting()
        super().readConnectionLost()

    def writeConnectionLost(self) -> None:
        """The kernel has everything. The peer may take its time over closing, but not for ever."""
        self._linger(PATIENCE)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_waiting()

    def pauseProducing(self) -> None:
        """The peer does not read: stop reading, and do not take that for a pause of the peer's."""
        self._stop_waiting()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._wait(PAUSE, self._finish)

    def stopProducing(self) -> None:
        self._stop_waiting()

    def _finish(self) -> None:
        if self._answer(self._transform.finish):
            self._end()

    def _send(self, answer: bytes) -> None:
        """Hold the answer back until it is whole; over TLS the peer's farewell could overtake it."""
        self._held += answer
        if self._over_tls or len(self._held) > HELD:
            self._let_go()

    def _let_go(self) -> None:
        held, self._held = self._held, bytearray()
        self.transport.write(bytes(held))

    def _say_last(self) -> None:
        self._stop_waiting()
        self._let_go()
        super()._say_last()

    def _end(self) -> None:
        super()._end()
        if self._over_tls:
            self._wait(LINGER, self.transport.abortConnection)

    def _linger(self, patience: float) -> None:
        """Close in a while, or look again then if the peer has not received everything."""
        if patience > 0 and _unacknowledged(self.transport):
            self._wait(LINGER, lambda: self._linger(patience - LINGER))
        else:
            self._wait(LINGER, self.transport.loseConnection)

    def _wait(self, seconds: float, then: Callable[[], object]) -> None:
        self._stop_waiting()
        self._timer = self._clock.callLater(seconds, then)

    def _stop_waiting(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


def one_shot(make: Callable[[], Transform], clock: IReactorTime | None) -> Callable[[], OneShotProtocol]:
    """A maker of one-shot protocols.

    Raises:
        ValueError: There is no clock.
    """
    if clock is None:
        raise ValueError("once needs a clock: pass the reactor")
    return lambda: OneShotProtocol(make(), clock)


def _unacknowledged(transport: Any) -> int:
    """Octets that the peer's machine has not acknowledged (tcp(7), SIOCOUTQ); 0 where that cannot be known."""
    try:
        import fcntl
        import termios

        answer = fcntl.ioctl(transport.getHandle(), termios.TIOCOUTQ, b"\0" * 4)
    except (ImportError, AttributeError, OSError):
        return 0
    return int.from_bytes(answer, "little")
