"""A stream protocol that answers what comes first and closes.

The rule of this module: nothing of the answer is lost. TCP has no messages, so what comes first is all that arrives
until the peer pauses or finishes sending. This side then stops sending, and closes when the peer has: closing before
that could reset the connection, and destroy an answer that is still under way.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from ..wire.transforms import Transform
from .farewell import LINGER, PATIENCE, Farewell
from .stream import TransformProtocol

__all__ = ["HELD", "LINGER", "PATIENCE", "PAUSE", "OneShotProtocol", "one_shot"]

PAUSE = 0.05
"""Seconds without input that end what came first."""

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
        self._farewell = Farewell(self.transport, self._clock)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Answer what comes first; read and forget what comes after it."""
        if not self._finished:
            self._wait()  # first: writing may pause this producer, and stop the wait
        super().dataReceived(data)

    def readConnectionLost(self) -> None:
        self._stop_waiting()
        super().readConnectionLost()

    def writeConnectionLost(self) -> None:
        self._farewell.sent()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_waiting()
        self._farewell.lost()

    def pauseProducing(self) -> None:
        """The peer does not read: stop reading, and do not take that for a pause of the peer's."""
        self._stop_waiting()
        super().pauseProducing()

    def resumeProducing(self) -> None:
        super().resumeProducing()
        self._wait()

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
        self._say_last()
        self._farewell.begin()

    def _wait(self) -> None:
        self._stop_waiting()
        self._timer = self._clock.callLater(PAUSE, self._finish)

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
