"""The transport that a guarded protocol writes to.

The rule of this module: every method of the real transport by its name; what policies hold back goes through the outlet and
the intake, the rest straight to the real one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import (
    IConsumer,
    INegotiated,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
    ITransport,
    IUNIXTransport,
)
from zope.interface import directlyProvides

from ..config import ConnectionConfig
from ..errors import PolicyViolation
from .byte_rate import ByteRate
from .intake import Intake, Stop
from .outlet import Outlet
from .unsent import tell_when_empty, unsent_of
from .write_marks import WriteMarks

if TYPE_CHECKING:
    from .guarded_connection import GuardedConnection

__all__ = ["GuardedTransport"]

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


class GuardedTransport:
    """The transport that the protocol inside writes to: the real one, but for the counting and the holding back.

    It provides those interfaces of the real one that a protocol has a use for, and all of their methods by name.

    Args:
        connection: Whose transport it is.
        transport: The real one.
        clock: Tells the time.
        config: What is allowed.

    Attributes:
        intake: What holds back reading, or `None` if nothing does.
        outlet: What holds back writing, or `None` if nothing does.
    """

    def __init__(
        self, connection: GuardedConnection, transport: Any, clock: IReactorTime, config: ConnectionConfig
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._seconds = clock.seconds
        self.intake: Intake | None = None
        self.outlet: Outlet | None = None
        self._started_tls = False
        marks = WriteMarks(config.high_water_mark, config.low_water_mark, config.write_buffer_limit)
        if config.rate is not None or marks != WriteMarks():
            now, dry = clock.seconds(), config.dry_run
            rates = [
                None if config.rate is None else ByteRate.of(config.rate, config.burst, now) for _ in "io"
            ]
            self.intake = Intake(connection, transport, rates[0], clock, dry=dry)
            self.outlet = Outlet(connection, transport, self.intake, rates[1], marks, clock, dry=dry)
        self._provide()

    @property
    def unsent(self) -> int:
        """Octets that were written and are still in this process."""
        return unsent_of(self._transport) if self.outlet is None else self.outlet.unsent

    def protocol_changed(self) -> None:
        """The protocol inside is a guard whose own protocol has changed, and with it what both provide."""
        self._connection.hand_over(self._connection.inner)

    def tell_when_empty(self) -> None:
        """Resume the producer once all is sent, however little that is."""
        if self.outlet is not None:
            self.outlet.tell_when_empty()
        else:
            tell_when_empty(self._transport)

    @property
    def bufferSize(self) -> int:
        """Octets beyond which a producer is paused."""
        return self.outlet.pause_at if self.outlet is not None else getattr(self._transport, "bufferSize", 0)

    @bufferSize.setter
    def bufferSize(self, size: int) -> None:
        if self.outlet is not None:
            self.outlet.lower(size)
        else:
            self._transport.bufferSize = size

    @property
    def ended_by(self) -> PolicyViolation | None:
        """Why a policy ended the connection, or `None`."""
        return self._connection.ended_by

    @property
    def was_aborted(self) -> bool:
        """Whether this side has aborted the connection."""
        return self._connection.was_aborted

    @property
    def proxy_header(self) -> Any:
        """What a PROXY header said (`twistnet.ProxyHeader`), or `None`."""
        return self._connection.proxy_header

    def lost(self) -> None:
        """The connection was lost."""
        if self.intake is not None:
            self.intake.lost()
        if self.outlet is not None:
            self.outlet.lost()

    def _provide(self) -> None:
        directlyProvides(self, *(i for i in _TRANSPORTS if i.providedBy(self._transport)))

    @property
    def protocol(self) -> Any:
        """The protocol inside, or TLS that was started; setting it hands the connection over, as on the real transport."""
        return self._transport.protocol if self._started_tls else self._connection.inner

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self._connection.hand_over(protocol)

    @property
    def disconnecting(self) -> bool:
        """Whether the connection is being closed or aborted: TCP's own transport says so only of the first."""
        outlet = self.outlet
        return (
            self._connection.aborted
            or bool(self._transport.disconnecting)
            or (outlet is not None and outlet.closing)
        )

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
        connection = self._connection
        connection.octets_out += len(data)
        connection.wrote_at = self._seconds()
        outlet = self.outlet
        if outlet is None:
            self._transport.write(data)
            return
        room = outlet.room - len(data)
        if room < 0:
            outlet.write(data)
        else:
            outlet.room = room
            self._transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        if self.outlet is not None:
            self.write(b"".join(data))
            return
        pieces = list(data)
        self._connection.octets_out += sum(map(len, pieces))
        self._connection.wrote_at = self._seconds()
        self._transport.writeSequence(pieces)

    def loseConnection(self, *args: Any, **kwargs: Any) -> None:
        self._connection.close_asked()
        if self.outlet is not None:
            self.outlet.close()
        else:
            self._transport.loseConnection(*args, **kwargs)

    def abortConnection(self) -> None:
        self._connection.aborted = True
        self._connection.close_asked()
        if self.intake is not None:
            self.intake.close()
        if self.outlet is not None:
            self.outlet.abort()
        getattr(self._transport, "abortConnection", self._transport.loseConnection)()

    def loseWriteConnection(self) -> None:
        if self.outlet is not None:
            self.outlet.finish()
        else:
            self._transport.loseWriteConnection()

    def getPeer(self) -> Any:
        return self._connection.peer if self._knows_addresses else self._transport.getPeer()

    def getHost(self) -> Any:
        return self._connection.host if self._knows_addresses else self._transport.getHost()

    @property
    def _knows_addresses(self) -> bool:
        """Whether the transport may not be asked: a header has said more than it knows, or it is gone."""
        return self._connection.proxy_header is not None or self._connection.is_lost

    def fileno(self) -> int:
        return int(self._transport.fileno())

    def getHandle(self) -> Any:
        return self._transport.getHandle()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        (self._transport.registerProducer if self.outlet is None else self.outlet.register)(
            producer, streaming
        )

    def unregisterProducer(self) -> None:
        (self._transport.unregisterProducer if self.outlet is None else self.outlet.unregister)()

    def pauseProducing(self) -> None:
        if self.intake is not None:
            self.intake.stop(Stop.PROTOCOL)
        else:
            self._transport.pauseProducing()

    def resumeProducing(self) -> None:
        if self.intake is not None:
            self.intake.go(Stop.PROTOCOL)
        else:
            self._transport.resumeProducing()

    def stopProducing(self) -> None:
        self.loseConnection()

    def getTcpNoDelay(self) -> bool:
        return bool(self._transport.getTcpNoDelay())

    def setTcpNoDelay(self, enabled: bool) -> None:
        self._transport.setTcpNoDelay(enabled)

    def getTcpKeepAlive(self) -> bool:
        return bool(self._transport.getTcpKeepAlive())

    def setTcpKeepAlive(self, enabled: bool) -> None:
        self._transport.setTcpKeepAlive(enabled)

    def startTLS(self, *args: Any, **kwargs: Any) -> Any:
        if self.outlet is not None:
            self.outlet.flush()
        if self.intake is not None:
            self.intake.give(self._have_tls_receive)
        result = self._transport.startTLS(*args, **kwargs)
        self._provide()  # from now on it is a TLS transport
        self._started_tls = True
        self._connection.watch.handshake_begins()
        return result

    def _have_tls_receive(self, data: bytes) -> None:
        self._transport.protocol.dataReceived(data)

    def getPeerCertificate(self) -> Any:
        return self._transport.getPeerCertificate()

    @property
    def negotiatedProtocol(self) -> Any:
        """What ALPN settled on (RFC 7301), as the TLS transport has it."""
        return self._transport.negotiatedProtocol

    def sendFileDescriptor(self, descriptor: int) -> None:
        if self.outlet is not None:
            self.outlet.send_descriptor(descriptor)
        else:
            self._transport.sendFileDescriptor(descriptor)
