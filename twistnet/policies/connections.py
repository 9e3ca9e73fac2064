"""The wrapper of stream connections: one factory, one protocol and one transport for all that watches them.

The rule of this module: the protocol inside can tell no difference. Half-close, producers, TLS, file descriptors and
the log context go through; a `buildProtocol` that refuses or raises is left to do so. What happens is told to
observers, in the order in which they are given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from twisted.internet.interfaces import (
    IConsumer,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    INegotiated,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
    ITransport,
    IUNIXTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import alsoProvides, directlyProvides, implementer

from ..tls import flush_of

__all__ = ["ConnectionObserver", "WatchedConnection", "WatchedFactory", "WatchedTransport"]

_OPTIONAL: tuple[Any, ...] = (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
)
"""What a protocol may or may not provide, and its wrapper then does too."""


_TRANSPORTS: tuple[Any, ...] = (
    IConsumer,
    INegotiated,
    IPushProducer,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
    ITransport,
    IUNIXTransport,
)
"""What a transport may or may not provide, and the one that the protocol sees then does too."""


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
        self._inner = inner
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
        self._inner.makeConnection(WatchedTransport(self, transport))

    def connectionMade(self) -> None:
        """Never called: `makeConnection` goes straight to the protocol inside."""

    def dataReceived(self, data: bytes) -> None:
        self.octets_in += len(data)
        self._inner.dataReceived(data)
        if self._flush is not None:
            self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        try:
            self._inner.connectionLost(reason)
        finally:
            for observer in self._observers:
                observer.closed(self, reason)

    def readConnectionLost(self) -> None:
        self._peer_finished = True
        self._inner.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self._inner.writeConnectionLost()

    def handshakeCompleted(self) -> None:
        self._inner.handshakeCompleted()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self._inner.fileDescriptorReceived(descriptor)

    def logPrefix(self) -> str:
        return str(self._inner.logPrefix())


class WatchedTransport:
    """The transport that the protocol inside writes to: the real one, but for the counting.

    It provides those interfaces of the real one that a protocol has a use for, and all of their methods by name.
    """

    def __init__(self, connection: WatchedConnection, transport: Any) -> None:
        self._connection = connection
        self._transport = transport
        self._provide()

    def _provide(self) -> None:
        directlyProvides(self, *(i for i in _TRANSPORTS if i.providedBy(self._transport)))

    @property
    def protocol(self) -> Any:
        """The protocol inside; setting it hands the connection over, as it does on the real transport."""
        return self._connection._inner

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self._connection.hand_over(protocol)

    @property
    def disconnecting(self) -> bool:
        """Whether the connection is being closed."""
        return bool(self._transport.disconnecting)

    @property
    def TLS(self) -> bool:
        """Whether TLS has been started."""
        return bool(getattr(self._transport, "TLS", ISSLTransport.providedBy(self._transport)))

    @property
    def socket(self) -> Any:
        """The socket, for its options and credentials."""
        return self._transport.socket

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return bool(self._transport.connected)

    def write(self, data: bytes) -> None:
        self._connection.octets_out += len(data)
        self._transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        pieces = list(data)
        self._connection.octets_out += sum(map(len, pieces))
        self._transport.writeSequence(pieces)

    def loseConnection(self, *args: Any, **kwargs: Any) -> None:
        self._connection.close_asked()
        self._transport.loseConnection(*args, **kwargs)

    def abortConnection(self) -> None:
        self._connection.close_asked()
        self._transport.abortConnection()

    def loseWriteConnection(self) -> None:
        self._transport.loseWriteConnection()

    def getPeer(self) -> Any:
        return self._transport.getPeer()

    def getHost(self) -> Any:
        return self._transport.getHost()

    def fileno(self) -> int:
        return int(self._transport.fileno())

    def getHandle(self) -> Any:
        return self._transport.getHandle()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        self._transport.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        self._transport.resumeProducing()

    def stopProducing(self) -> None:
        self._transport.stopProducing()

    def getTcpNoDelay(self) -> bool:
        return bool(self._transport.getTcpNoDelay())

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._transport.setTcpNoDelay(enabled)

    def getTcpKeepAlive(self) -> bool:
        return bool(self._transport.getTcpKeepAlive())

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._transport.setTcpKeepAlive(enabled)

    def startTLS(self, *args: Any, **kwargs: Any) -> Any:
        result = self._transport.startTLS(*args, **kwargs)
        self._provide()  # from now on it is a TLS transport
        return result

    def getPeerCertificate(self) -> Any:
        return self._transport.getPeerCertificate()

    @property
    def negotiatedProtocol(self) -> Any:
        """What ALPN settled on (RFC 7301), as the TLS transport has it."""
        return self._transport.negotiatedProtocol

    def sendFileDescriptor(self, descriptor: int) -> None:
        self._transport.sendFileDescriptor(descriptor)


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
        self, inner: IProtocolFactory, observers: Sequence[ConnectionObserver], clock: IReactorTime, name: str
    ) -> None:
        self._inner: Any = inner
        self._observers = observers
        self._clock = clock
        self._name = name
        if IProtocolNegotiationFactory.providedBy(inner):
            alsoProvides(self, IProtocolNegotiationFactory)

    def doStart(self) -> None:
        self._inner.doStart()

    def doStop(self) -> None:
        self._inner.doStop()

    def buildProtocol(self, addr: Any) -> WatchedConnection | None:
        inner = self._inner.buildProtocol(addr)
        return None if inner is None else WatchedConnection(inner, self._observers, self._clock)

    def acceptableProtocols(self) -> list[bytes]:
        return list(self._inner.acceptableProtocols())

    def logPrefix(self) -> str:
        return self._name
