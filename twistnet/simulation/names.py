"""Names, which resolve through the simulation and never leave it.

The rule of this module: a name is a host of the network, an alias that the test has given, or unknown; how long the answer
takes and whether it comes at all can be set.
"""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter
from typing import TYPE_CHECKING, Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHostnameResolver, IHostResolution
from zope.interface import implementer

if TYPE_CHECKING:
    from .reactor import Host

__all__ = ["Names", "key"]


@implementer(IHostResolution)
class _Resolution:
    """One question."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


@implementer(IHostnameResolver)
class _Resolver:
    """A host's resolver, which asks the network."""

    def __init__(self, names: Names, host: Host) -> None:
        self._names = names
        self._host = host

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str | bytes,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """See `IHostnameResolver.resolveHostName`."""
        name = hostName.decode("ascii", "replace") if isinstance(hostName, bytes) else hostName
        resolution = _Resolution(name)
        resolutionReceiver.resolutionBegan(resolution)

        def answer() -> None:
            if resolution.cancelled:
                return
            for address in self._names.lookup(name):
                kind: Any = IPv6Address if ":" in address else IPv4Address
                if addressTypes is None or kind in addressTypes:
                    resolutionReceiver.addressResolved(kind(transportSemantics, address, portNumber))
            resolutionReceiver.resolutionComplete()

        self._names.ask(self._host, name, answer)
        return resolution


class Names:
    """The names of a network.

    Attributes:
        delay: Seconds until an answer comes.
        failing: How many faults keep a name from being found; `"*"` stands for all names.
        silent: How many faults keep questions for a name from being answered; `"*"` stands for all.
    """

    def __init__(self) -> None:
        self.delay = 0.0
        self.failing: Counter[str] = Counter()
        self.silent: Counter[str] = Counter()
        self._addresses: dict[str, tuple[str, ...]] = {"localhost": ("127.0.0.1", "::1")}

    def add(self, name: str, *addresses: str) -> None:
        """Let a name stand for addresses, the preferred first.

        Raises:
            ValueError: An address is not numeric.
        """
        for address in addresses:
            ipaddress.ip_address(address)
        self._addresses[key(name)] = addresses

    def remove(self, name: str) -> None:
        """Forget a name."""
        self._addresses.pop(key(name), None)

    def lookup(self, name: str) -> tuple[str, ...]:
        """The addresses of a name; none if it is unknown. A numeric address is its own name, and nobody is asked."""
        if isIPAddress(name) or isIPv6Address(name):
            return (str(ipaddress.ip_address(name)),)
        text = key(name)
        return () if self.failing[text] or self.failing["*"] else self._addresses.get(text, ())

    def getaddrinfo(self, host: str, port: int, family: int = 0, kind: int = 0, *_: int) -> list[Any]:
        """See getaddrinfo(3); it answers at once, or not at all.

        Raises:
            socket.gaierror: The name has no such address.
        """
        silent = self.silent[key(host)] or self.silent["*"]
        kinds = (kind,) if kind else (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        found = [
            (of, each, 0, "", (address, port, 0, 0) if of == socket.AF_INET6 else (address, port))
            for address in (() if silent else self.lookup(host))
            for of in (socket.AF_INET6 if ":" in address else socket.AF_INET,)
            if family in {0, of}
            for each in kinds
        ]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    def ask(self, host: Host, name: str, answer: Any) -> None:
        """Have an answer given in its time."""
        if isIPAddress(name) or isIPv6Address(name):
            host.callLater(0, answer)
        elif not (self.silent[key(name)] or self.silent["*"]):
            host.callLater(self.delay, answer)

    def install(self, host: Host) -> None:
        """Let a host resolve names here."""
        host.installNameResolver(_Resolver(self, host))


def key(name: str) -> str:
    """Names are the same whatever their case, and whether or not they end with the root's dot (RFC 4343)."""
    return name.lower().rstrip(".")
