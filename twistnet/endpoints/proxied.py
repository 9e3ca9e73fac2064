"""A client endpoint that introduces its connections: the header of the PROXY protocol comes before anything else.

The rule of this module: the header is written, and then nothing stands between the application's protocol and its
transport but the calls that go to it.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from ..wire.proxy_header import Address
from ..wire.proxy_protocol import ProxyHeader, encode_proxy_header

__all__ = ["VERSIONS", "ProxiedClientEndpoint"]

VERSIONS = {"v1": 1, "v2": 2}

_OPTIONAL = (IFileDescriptorReceiver, IHalfCloseableProtocol, IHandshakeListener)
"""What a protocol may or may not provide, and is asked for by a transport."""


@implementer(IStreamClientEndpoint)
class ProxiedClientEndpoint:
    """Connects by way of another endpoint, and sends the header of the PROXY protocol first.

    An address that is not given is the connection's own: where it comes from for the source, and where it goes to for
    the destination. If neither is given and the connection has no such addresses, as that of a UNIX socket, the header
    is `LOCAL` in version 2 and `UNKNOWN` in version 1. Of IPv4 and IPv6 together, IPv4 is written as mapped into IPv6
    (RFC 4291, section 2.5.5.2).

    Args:
        endpoint: What connects. For a header that comes before TLS, wrap this endpoint in `wrapClientTLS`, not that
            one in this.
        version: `"v1"` or `"v2"`.
        source: Where the client's connection comes from: a host, written as an address, and a port; or a path.
        destination: What the client has connected to, in the same way.
        tlvs: Types and values of what else the header says (version 2); `(3, bytes(4))` is a checksum.

    Raises:
        ValueError: No header of that version can say so.
    """

    def __init__(
        self,
        endpoint: Any,
        version: str = "v2",
        source: Address = None,
        destination: Address = None,
        tlvs: tuple[tuple[int, bytes], ...] = (),
    ) -> None:
        if version not in VERSIONS:
            raise ValueError(f"the version, {version!r}, is none of {', '.join(VERSIONS)}")
        self._endpoint = endpoint
        self._version = VERSIONS[version]
        self._source = source
        self._destination = destination
        self._tlvs = tuple(tlvs)
        self._header(("::1", 1), ("::1", 1))

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Connect, and introduce the connection.

        Returns:
            A Deferred as that of the endpoint within: it fires with the protocol that `protocolFactory` has built, or
            fails as that does; cancelling it cancels the attempt.
        """
        connected: Deferred[Any] = self._endpoint.connect(_IntroducingFactory(protocolFactory, self._octets))
        return connected.addCallback(lambda introduced: introduced.protocol)

    def _octets(self, transport: Any) -> bytes:
        return encode_proxy_header(
            self._header(_host_and_port(transport.getHost()), _host_and_port(transport.getPeer()))
        )

    def _header(self, host: Address, peer: Address) -> ProxyHeader:
        """The header for a connection of its own from `host` to `peer`."""
        source, destination = self._source, self._destination
        if source is None and destination is None:
            source, destination = (host, peer) if host and peer else (None, None)
        elif source is None:
            source = _like(destination, host)
        elif destination is None:
            destination = _like(source, peer)
        source, destination = _of_one_family(source, destination)
        return ProxyHeader(
            version=self._version,
            source=source,
            destination=destination,
            local=source is None and self._version == 2,
            tlvs=self._tlvs,
        )


@implementer(IProtocolFactory)
class _IntroducingFactory:
    """Has the protocols of another factory introduced."""

    def __init__(self, factory: Any, octets: Callable[[Any], bytes]) -> None:
        self._factory = factory
        self._octets = octets
        if IProtocolNegotiationFactory.providedBy(factory):
            alsoProvides(self, IProtocolNegotiationFactory)

    def buildProtocol(self, addr: Any) -> _Introduced | None:
        protocol = self._factory.buildProtocol(addr)
        return None if protocol is None else _Introduced(protocol, self._octets)

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def acceptableProtocols(self) -> Any:
        return self._factory.acceptableProtocols()


@implementer(IProtocol, ILoggingContext)
class _Introduced:
    """Writes the header, and from then on passes on what the transport calls. What the protocol calls is the transport.

    A protocol cannot be handed to a connected transport in a way that all of Twisted's transports know, so this stays
    where an endpoint of Twisted's has something of the kind, too.
    """

    def __init__(self, protocol: Any, octets: Callable[[Any], bytes]) -> None:
        self.protocol = protocol
        self._octets = octets
        alsoProvides(self, *(interface for interface in _OPTIONAL if interface.providedBy(protocol)))

    def makeConnection(self, transport: Any) -> None:
        transport.write(self._octets(transport))
        self.protocol.makeConnection(transport)

    def connectionMade(self) -> None:
        """Of no use: the protocol hears of it by its own `makeConnection`."""

    def dataReceived(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def connectionLost(self, reason: Failure) -> None:
        self.protocol.connectionLost(reason)

    def readConnectionLost(self) -> None:
        self.protocol.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self.protocol.writeConnectionLost()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.protocol.fileDescriptorReceived(descriptor)

    def handshakeCompleted(self) -> None:
        self.protocol.handshakeCompleted()

    def logPrefix(self) -> str:
        if ILoggingContext.providedBy(self.protocol):
            return str(self.protocol.logPrefix())
        return type(self.protocol).__name__


def _host_and_port(address: Any) -> Address:
    """An end of a connection over IP, without the zone that means something on this host alone."""
    if isinstance(address, (IPv4Address, IPv6Address)):
        return address.host.partition("%")[0], address.port
    return None


def _like(given: Address, own: Address) -> Address:
    """The connection's own address, or one that says nothing if it is of another kind than the one given."""
    if isinstance(given, str):
        return ""
    return own or ("0.0.0.0", 0)


def _of_one_family(source: Address, destination: Address) -> tuple[Address, Address]:
    if (
        isinstance(source, tuple)
        and isinstance(destination, tuple)
        and _version(source) != _version(destination)
    ):
        return _mapped(source), _mapped(destination)
    return source, destination


def _version(address: tuple[str, int]) -> int:
    return ip_address(address[0]).version


def _mapped(address: tuple[str, int]) -> tuple[str, int]:
    """An address of IPv4 as one of IPv6; that which says nothing stays so."""
    host, port = address
    return address if _version(address) == 6 else ("::" if host == "0.0.0.0" else f"::ffff:{host}", port)
