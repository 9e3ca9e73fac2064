"""The transport that a watched protocol writes to.

The rule of this module: every method of the real transport by its name; counting is all that is added.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import (
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
from zope.interface import directlyProvides

if TYPE_CHECKING:
    from .connections import WatchedConnection

__all__ = ["WatchedTransport"]

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
        return self._connection.inner

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
