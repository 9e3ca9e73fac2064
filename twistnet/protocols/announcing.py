"""A stream protocol that speaks first.

The rule of this module: what it says does not depend on what it is sent, which is read and forgotten; and nothing of it is
lost, though the peer may be sending when the connection is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from .farewell import Farewell

__all__ = ["AnnouncingProtocol"]


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class AnnouncingProtocol(Protocol):
    """Says something, once the connection is made and TLS is agreed on; then closes, or stays until the peer does.

    Closing means to stop sending at once, and to close when the peer has; or, if it does not, two seconds after it has
    received everything.

    Args:
        say: What is said, given the transport.
        clock: The reactor, which measures how long the peer takes to close.
        stay: Whether it stays.
    """

    transport: Any

    def __init__(self, say: Callable[[Any], bytes], clock: IReactorTime, *, stay: bool = False) -> None:
        self._say = say
        self._clock = clock
        self._stay = stay

    def connectionMade(self) -> None:
        self._farewell = Farewell(self.transport, self._clock)
        if not ISSLTransport.providedBy(self.transport):
            self._speak()

    def handshakeCompleted(self) -> None:
        """TLS is agreed on. To close before would be to give up."""
        self._speak()

    def _speak(self) -> None:
        self.transport.write(self._say(self.transport))
        if not self._stay:
            self._farewell.begin()

    def dataReceived(self, data: bytes) -> None:
        """Forget it."""

    def readConnectionLost(self) -> None:
        """The peer has finished, and so has this side; what is unsent is sent."""
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        self._farewell.sent()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._farewell.lost()
