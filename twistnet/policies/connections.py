"""The wrapper of stream connections: one factory, one protocol and one transport for all that watches them.

The rule of this module: the protocol inside can tell no difference. Half-close, producers, TLS, file descriptors and
the log context go through; a `buildProtocol` that refuses or raises is left to do so. What happens is told to
observers, in the order in which they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
)
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from zope.interface import alsoProvides, directlyProvides, implementer

from ..tls import flush_of
from .watched_transport import WatchedTransport

__all__ = ["ConnectionObserver", "WatchedConnection", "WatchedFactory"]

_OPTIONAL: tuple[Any, ...] = (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
)
"""What a protocol may or may not provide, and its wrapper then does too."""


class ConnectionObserver(Protocol):
    """Somebody who is told of connections."""

    def opened(self, connection: WatchedConnection) -> None:
        """A connection was made, before the protocol inside hears of it."""

    def closed(self, connection: WatchedConnection, reason: Failure) -> None:
        """A connection was lost, after the protocol inside has heard of it."""


@implementer(IProtocol)
class WatchedConnection:
    """A stream connection as its transport sees it: the protocol around the protocol.

    Args:
        inner: The protocol inside.
        observers: Who is told.
        clock: Tells the time.

    Attributes:
        peer: The address of the other side.
        host: The address of this side.
        inner: The protocol inside.
        opened_at: When the connection was made, in seconds of the clock.
        seconds: How long it has been open, or was.
        octets_in: Octets received.
        octets_out: Octets written by the protocol inside.
        closing: Whether this side asked for the connection to be closed, before the peer finished sending.
    """

    def __init__(
        self, inner: IProtocol, observers: Sequence[ConnectionObserver], clock: IReactorTime
    ) -> None:
        self.octets_in = 0
        self.octets_out = 0
        self.closing = False
        self._peer_finished = False
        self.transport: Any = None
        self._observers = observers
        self._clock = clock
        self._flush: Callable[[], None] | None = None
        self.hand_over(inner)

    def hand_over(self, inner: Any) -> None:
        """Another protocol takes the connection over, and may be half-closed or not."""
        self.inner = inner
        directlyProvides(self, *(i for i in _OPTIONAL if i.providedBy(inner)))

    @property
    def seconds(self) -> float:
        """How long the connection has been open."""
        return self._clock.seconds() - self.opened_at

    def close_asked(self) -> None:
        """This side has asked for the connection to be closed."""
        self.closing = self.closing or not self._peer_finished

    def abort(self) -> None:
        """End the connection now, whatever is still unsent."""
        self.close_asked()
        getattr(self.transport, "abortConnection", self.transport.loseConnection)()

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.peer, self.host = transport.getPeer(), transport.getHost()
        self.opened_at = self._clock.seconds()
        self._flush = flush_of(transport)
        for observer in self._observers:
            observer.opened(self)
        self.inner.makeConnection(WatchedTransport(self, transport))

    def connectionMade(self) -> None:
        """Never called: `makeConnection` goes straight to the protocol inside."""

    def dataReceived(self, data: bytes) -> None:
        self.octets_in += len(data)
        self.inner.dataReceived(data)
        if self._flush is not None:
            self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        try:
            self.inner.connectionLost(reason)
        finally:
            for observer in self._observers:
                observer.closed(self, reason)

    def readConnectionLost(self) -> None:
        self._peer_finished = True
        self.inner.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self.inner.writeConnectionLost()

    def handshakeCompleted(self) -> None:
        self.inner.handshakeCompleted()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.inner.fileDescriptorReceived(descriptor)

    def logPrefix(self) -> str:
        return str(self.inner.logPrefix())


@implementer(IProtocolFactory, ILoggingContext)
class WatchedFactory:
    """Wraps the protocols of another factory in `WatchedConnection`.

    Args:
        inner: The factory inside.
        observers: Who is told of its connections.
        clock: Tells the time.
        name: What listening ports call it in the log.
    """

    noisy = False

    def __init__(
        self,
        inner: Factory | IProtocolFactory,
        observers: Sequence[ConnectionObserver],
        clock: IReactorTime,
        name: str,
    ) -> None:
        self.inner: Any = inner
        self._observers = observers
        self._clock = clock
        self._name = name
        if IProtocolNegotiationFactory.providedBy(inner):
            alsoProvides(self, IProtocolNegotiationFactory)

    def doStart(self) -> None:
        self.inner.doStart()

    def doStop(self) -> None:
        self.inner.doStop()

    def buildProtocol(self, addr: Any) -> WatchedConnection | None:
        inner = self.inner.buildProtocol(addr)
        return None if inner is None else WatchedConnection(inner, self._observers, self._clock)

    def acceptableProtocols(self) -> list[bytes]:
        return list(self.inner.acceptableProtocols())

    def logPrefix(self) -> str:
        return self._name
