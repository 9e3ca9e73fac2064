"""The client's side of datagrams: a socket with one peer.

The rule of this module: what comes from anybody else is not delivered, and a refusal is told, on every reactor.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from attrs import define, field, frozen
from twisted.internet import error
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from twisted.internet.protocol import DatagramProtocol
from zope.interface import implementer

from ..transport import fast
from ..units import did_you_mean
from .descriptions import Description, colon_hint, parse_peer, split_description

__all__ = [
    "DatagramPeer",
    "DatagramTarget",
    "FastTarget",
    "UDPTarget",
    "UNIXDatagramTarget",
    "parse_datagram_target",
]

BUFFER = 65536
"""Octets that are read at once: more than any datagram has."""


class DatagramPeer(DatagramProtocol):
    """A datagram socket that talks to one peer.

    Attributes:
        received: Called with each datagram of the peer's.
        refused: Called when the peer's machine says that nothing listens there.
    """

    noisy = False
    transport: Any

    def __init__(self) -> None:
        self.received: Any = lambda datagram: None
        self.refused: Any = lambda: None
        self._target: Any = None
        self._closing = False
        self._folder: str | None = None

    def send(self, datagram: bytes) -> bool:
        """Send one datagram.

        Returns:
            Whether the kernel took it: while a queue is full, such as that of a UNIX socket, it does not.

        Raises:
            OSError: The kernel would not have it.
            MessageLengthError: It is too long for the socket.
            ConnectionRefusedError: Nothing listens at a UNIX path.
        """
        return self.transport is not None and self.transport.write(datagram, self._target) is not None

    def close(self) -> Deferred[None]:
        """Close the socket.

        Returns:
            A Deferred that fires once it is closed.
        """
        self._closing = True
        return maybeDeferred(self.transport.stopListening) if self.transport is not None else succeed(None)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """From the peer: UDP is connected to it, and nobody else knows of the path of a UNIX socket."""
        self.received(datagram)

    def connectionRefused(self) -> None:
        self.refused()

    def stopProtocol(self) -> None:
        """The socket was closed: by us, or by a reactor that takes a refusal for the end of it (ticket 5377)."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
        if not self._closing:
            self._closing = True
            self.refused()


@contextmanager
def _opening() -> Iterator[None]:
    """A client does not listen, whatever the reactor calls it: what is wrong is the kernel's own error."""
    try:
        yield
    except error.CannotListenError as problem:
        cause = problem.socketError
        raise cause if isinstance(cause, OSError) else OSError(str(cause)) from problem


@frozen
class UDPTarget:
    """A peer reached over UDP.

    Attributes:
        host: A name or a numeric address.
        port: 1 to 65535.
        families: The address types that may be used, the preferred one first.
    """

    host: str
    port: int
    families: tuple[type, ...] = (IPv4Address, IPv6Address)

    async def connect(self, reactor: Any) -> DatagramPeer:
        """Open a socket to the peer; the reactor provides `IReactorUDP` and `IReactorPluggableNameResolver`.

        Raises:
            DNSLookupError: The name has no address.
            OSError: There is no way there.
        """
        host = await _resolve(reactor, self.host, self.families)
        peer = DatagramPeer()
        with _opening():
            reactor.listenUDP(0, peer, "::" if isIPv6Address(host) else "", BUFFER)
        try:
            peer.transport.connect(host, self.port)
        except OSError:
            await peer.close()
            raise
        return peer


@frozen
class UNIXDatagramTarget:
    """A peer at a UNIX path. The socket has a path of its own, in a temporary folder, so that it can be answered.

    Attributes:
        address: The path.
    """

    address: str

    async def connect(self, reactor: Any) -> DatagramPeer:
        """Open a socket to the peer; the reactor provides `IReactorUNIXDatagram`.

        Raises:
            ConnectionRefusedError: There is no such path.
            OSError: No socket can be opened.
        """
        if not Path(self.address).exists():
            raise error.ConnectionRefusedError(f"there is no socket at {self.address}")
        peer = DatagramPeer()
        peer._folder = tempfile.mkdtemp(prefix="twistnet-")
        peer._target = self.address
        try:
            with _opening():
                reactor.listenUNIXDatagram(f"{peer._folder}/client", peer, BUFFER, 0o666)
        except OSError:
            shutil.rmtree(peer._folder, ignore_errors=True)
            raise
        Path(peer._folder).chmod(0o711)  # the service may run as somebody else, and has to reach the path
        return peer


@implementer(IResolutionReceiver)
@define(eq=False)
class _Addresses:
    """Collects what a name resolves to."""

    found: list[Any] = field(factory=list)
    done: Deferred[list[Any]] = field(factory=Deferred)

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        pass

    def addressResolved(self, address: IAddress) -> None:
        self.found.append(address)

    def resolutionComplete(self) -> None:
        self.done.callback(self.found)


async def _resolve(reactor: Any, host: str, families: tuple[type, ...]) -> str:
    """The numeric address of a name, of the first family in which it has one."""
    if isIPAddress(host) or isIPv6Address(host):
        return host
    receiver = _Addresses()
    reactor.nameResolver.resolveHostName(receiver, host, 0, list(families), "UDP")
    addresses = await receiver.done
    hosts = [address.host for family in families for address in addresses if isinstance(address, family)]  # type: ignore[attr-defined]
    if not hosts:
        raise error.DNSLookupError(f"no address for {host}")
    return str(hosts[0])


@frozen
class FastTarget:
    """A peer that is reached through the fast transports.

    Attributes:
        peer: The same peer.
    """

    peer: UDPTarget | UNIXDatagramTarget

    async def connect(self, reactor: Any) -> DatagramPeer:
        """Open a socket to the peer; raises as the peer's own `connect` does."""
        return await self.peer.connect(fast(reactor))


DatagramTarget: TypeAlias = UDPTarget | UNIXDatagramTarget | FastTarget


def parse_datagram_target(description: str) -> DatagramTarget | None:
    """A datagram peer from `udp:HOST:PORT`, `udp6:HOST:PORT` or `unix-datagram:PATH`, or `fast:` before one of these.

    Returns:
        The target, or `None` if the string has none of these prefixes.

    Raises:
        ValueError: The rest of the string is not right.
    """
    (prefix, *arguments), keywords = split_description(description)
    if prefix == "fast" and arguments:
        inside = parse_datagram_target(str(Description(arguments[0], tuple(arguments[1:]), keywords)))
        return inside if inside is None or isinstance(inside, FastTarget) else FastTarget(inside)
    if prefix not in {"udp", "udp6", "unix-datagram"}:
        return None
    names = ("path",) if prefix == "unix-datagram" else ("host", "port")
    values = dict(zip(names, arguments, strict=False)) | keywords
    if unknown := sorted(values.keys() - set(names)):
        raise ValueError(
            f"{description!r}: {prefix} takes no {unknown[0]!r}; {did_you_mean(unknown[0], names)}"
        )
    if len(arguments) > len(names) or values.keys() != set(names) or not all(values.values()):
        hint = colon_hint(arguments) if "host" in names else ""
        raise ValueError(f"{description!r} is not {prefix}:{':'.join(name.upper() for name in names)}{hint}")
    if prefix == "unix-datagram":
        return UNIXDatagramTarget(values["path"])
    try:
        host, port = parse_peer(values["host"], values["port"])
    except ValueError as problem:
        raise ValueError(f"{description!r}: {problem}") from None
    families = (IPv6Address,) if prefix == "udp6" else (IPv4Address, IPv6Address)
    return UDPTarget(host, port, families)
