"""Datagram endpoints: UDP, UDP over IPv6, UNIX datagrams, and sockets that systemd opened.

The rule of this module: an endpoint holds only what was asked for; each `listen` opens a socket anew.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any, cast

from attrs import frozen
from twisted.internet.defer import Deferred, execute, maybeDeferred
from twisted.internet.endpoints import _SystemdParser
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import DatagramProtocol
from twisted.plugin import getPlugins
from zope.interface import implementer

from ..units import LONGEST_DATAGRAM, did_you_mean, parse_datagram_size, parse_flag
from .descriptions import Description, split_description
from .inherited import check_kind
from .interfaces import (
    DatagramServerEndpoint,
    IDatagramServerEndpoint,
    IDatagramServerEndpointStringParser,
)
from .unix_paths import OwnPath, clear_dead_socket

__all__ = [
    "SystemdDatagramServerEndpoint",
    "UDPServerEndpoint",
    "UNIXDatagramServerEndpoint",
    "answers_datagrams",
    "datagram_prefixes",
    "datagram_server_from_string",
    "says_datagrams",
]


@implementer(IDatagramServerEndpoint)
@frozen(kw_only=True)
class UDPServerEndpoint:
    """UDP on one interface.

    Attributes:
        reactor: Provides `IReactorUDP`, and `IReactorSocket` where `reuse_port` is set.
        port: 0 to 65535; 0 for one that the kernel chooses.
        interface: A numeric address, IPv4 or IPv6.
        reuse_port: Share the port with other sockets that ask for it too (SO_REUSEPORT).
        max_datagram: Octets of the longest datagram that is delivered whole. A longer one is delivered with one
            octet more than this, so that it can be told.
    """

    reactor: Any
    port: int
    interface: str = "127.0.0.1"
    reuse_port: bool = False
    max_datagram: int = LONGEST_DATAGRAM

    def listen(self, protocol: DatagramProtocol) -> Deferred[IListeningPort]:
        """See `IDatagramServerEndpoint.listen`."""
        special = self.reuse_port or self.interface == "::"
        return execute(self._open_special if special else self._open, protocol)

    def _open(self, protocol: DatagramProtocol) -> Any:
        return self.reactor.listenUDP(self.port, protocol, self.interface, self.max_datagram + 1)

    def _open_special(self, protocol: DatagramProtocol) -> Any:
        """With socket options that `listenUDP` has no words for: `::` is IPv6 alone, so that `udp:` can be beside it."""
        family = socket.AF_INET6 if ":" in self.interface else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as opened:
            opened.setblocking(False)
            try:
                if self.reuse_port:
                    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                if family == socket.AF_INET6:
                    opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                opened.bind((self.interface, self.port))
            except OSError as error:
                raise CannotListenError(self.interface, self.port, error) from error
            return self.reactor.adoptDatagramPort(opened.fileno(), family, protocol, self.max_datagram + 1)


@implementer(IDatagramServerEndpoint)
@frozen(kw_only=True)
class UNIXDatagramServerEndpoint:
    """A UNIX datagram socket at a path; the path is removed when the port is closed.

    Attributes:
        reactor: Provides `IReactorUNIXDatagram`.
        address: The path. A socket left there by a crash is replaced; one that is in use is not.
        mode: Its permissions.
        max_datagram: As in `UDPServerEndpoint`.
    """

    reactor: Any
    address: str
    mode: int = 0o666
    max_datagram: int = LONGEST_DATAGRAM

    def listen(self, protocol: DatagramProtocol) -> Deferred[IListeningPort]:
        """See `IDatagramServerEndpoint.listen`."""
        return execute(self._open, protocol)

    def _open(self, protocol: DatagramProtocol) -> IListeningPort:
        clear_dead_socket(self.address)
        port = self.reactor.listenUNIXDatagram(self.address, protocol, self.max_datagram + 1, self.mode)
        return _RemovingPort(port, self.address)


@implementer(IListeningPort)
class _RemovingPort:
    """A UNIX datagram port whose path goes when it is closed, which Twisted leaves behind."""

    def __init__(self, port: Any, path: str) -> None:
        self._port = port
        self._path = OwnPath(path)

    def startListening(self) -> None:
        self._port.startListening()

    def stopListening(self) -> Deferred[None]:
        self._path.remove()
        return maybeDeferred(self._port.stopListening)

    def getHost(self) -> Any:
        return self._port.getHost()


@implementer(IDatagramServerEndpoint)
@frozen(kw_only=True)
class SystemdDatagramServerEndpoint:
    """A datagram socket that systemd opened and passed on (sd_listen_fds(3)).

    Attributes:
        reactor: Provides `IReactorSocket`.
        descriptor: The file descriptor, which stays open: it can be listened on again.
        family: `AF_INET` or `AF_INET6`.
        max_datagram: As in `UDPServerEndpoint`.
    """

    reactor: Any
    descriptor: int
    family: int
    max_datagram: int = LONGEST_DATAGRAM

    def listen(self, protocol: DatagramProtocol) -> Deferred[IListeningPort]:
        """See `IDatagramServerEndpoint.listen`."""
        return execute(self._open, protocol)

    def _open(self, protocol: DatagramProtocol) -> Any:
        os.set_blocking(self.descriptor, False)
        return self.reactor.adoptDatagramPort(self.descriptor, self.family, protocol, self.max_datagram + 1)


def parse_udp(
    reactor: Any,
    port: str,
    interface: str = "127.0.0.1",
    reuse_port: str = "off",
    max_datagram: str = str(LONGEST_DATAGRAM),
) -> UDPServerEndpoint:
    """`udp:7009:interface=192.0.2.1:reuse_port=on:max_datagram=9000`."""
    _numeric(interface)
    return UDPServerEndpoint(
        reactor=reactor,
        port=int(port),
        interface=interface,
        reuse_port=parse_flag(reuse_port),
        max_datagram=parse_datagram_size(max_datagram),
    )


def parse_udp6(
    reactor: Any, port: str, interface: str = "::1", *args: str, **kwargs: str
) -> UDPServerEndpoint:
    """`udp6:7009:interface=\\:\\:`."""
    return parse_udp(reactor, port, interface, *args, **kwargs)


def parse_unix_datagram(
    reactor: Any, address: str, mode: str = "666", max_datagram: str = str(LONGEST_DATAGRAM)
) -> UNIXDatagramServerEndpoint:
    """`unix-datagram:/run/echo.sock:mode=660`."""
    return UNIXDatagramServerEndpoint(
        reactor=reactor, address=address, mode=int(mode, 8), max_datagram=parse_datagram_size(max_datagram)
    )


def parse_systemd_datagram(
    reactor: Any, domain: str, index: str = "", name: str = "", max_datagram: str = str(LONGEST_DATAGRAM)
) -> SystemdDatagramServerEndpoint:
    """`systemd-datagram:domain=INET:name=echo`, or `:index=0`."""
    families = {"INET": socket.AF_INET, "INET6": socket.AF_INET6}
    if domain not in families:
        raise ValueError(f"domain {domain!r} is neither INET nor INET6")
    descriptor = _inherited(index, name)
    check_kind(descriptor, socket.SOCK_DGRAM)
    return SystemdDatagramServerEndpoint(
        reactor=reactor,
        descriptor=descriptor,
        family=families[domain],
        max_datagram=parse_datagram_size(max_datagram),
    )


def _numeric(interface: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(interface)
    except ValueError:
        raise ValueError(f"interface {interface!r} is not a numeric address") from None


def _inherited(index: str, name: str) -> int:
    """The descriptor of that index or name among those that systemd passed on to this process."""
    if bool(index) == bool(name):
        raise ValueError("either an index or a name is needed, and not both")
    passed = _SystemdParser._sddaemon  # it has taken the list out of the environment
    try:
        if index:
            return int(passed.inheritedDescriptors()[int(index)])
        return int(passed.inheritedNamedDescriptors()[name])
    except (LookupError, ValueError):
        raise ValueError(f"systemd passed no socket {index or name!r} to this process") from None


def answers_datagrams(description: Description) -> bool:
    """Whether a string is for datagrams: `fast:` may stand before one that is, and before one that is not."""
    words = (description.prefix, *description.arguments)
    return next((word for word in words if word != "fast"), "") in datagram_prefixes()


def says_datagrams(text: str) -> bool:
    """Whether a text is an endpoint string that is for datagrams, as far as its prefixes tell."""
    try:
        (prefix, *arguments), _ = split_description(text)
    except ValueError:
        return False
    return answers_datagrams(Description(prefix, tuple(arguments)))


def datagram_prefixes() -> dict[str, Any]:
    """The parsers of datagram endpoints that are installed, by prefix."""
    return {parser.prefix: parser for parser in getPlugins(IDatagramServerEndpointStringParser)}


def datagram_server_from_string(reactor: Any, description: str) -> DatagramServerEndpoint:
    """A datagram endpoint from a string: the counterpart of `twisted.internet.endpoints.serverFromString`.

    Args:
        reactor: The reactor it will listen with.
        description: `udp:7009`, `udp6:7009:interface=\\:\\:`, `unix-datagram:/run/echo.sock`,
            `systemd-datagram:domain=INET:name=echo`, or a prefix that an installed drop-in adds. UDP is on loopback
            unless it names an interface.

    Raises:
        ValueError: Not such a string; the message says what would be right.
    """
    parsed = Description.parse(description)
    parsers = datagram_prefixes()
    if not answers_datagrams(parsed):
        raise ValueError(
            f"{description!r} begins with no datagram prefix; {did_you_mean(parsed.prefix, parsers)}"
        )
    try:
        endpoint = parsers[parsed.prefix].parse_datagram_server(reactor, *parsed.arguments, **parsed.keywords)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{description!r}: {error}") from error
    return cast("DatagramServerEndpoint", endpoint)
