"""Policy `proxy_protocol`: what a proxy in front says of its client, before the client's first octet.

The rule of this module: nothing but a header that is right lets a connection go on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from ..errors import PolicyViolation, ProxyHeaderRefused, RemoteProtocolError

if TYPE_CHECKING:
    from ..wire.proxy_protocol import ProxyHeader

__all__ = ["Preamble"]


class Preamble:
    """Reads one PROXY header.

    Args:
        accept: `"v1"`, `"v2"` or `"auto"`.

    Attributes:
        client: The address of the client, as Twisted has it; `None` if the proxy speaks for itself, or does not know.
        server: The address that the client has connected to.
        seen: All octets so far.
    """

    def __init__(self, accept: str) -> None:
        from ..wire.proxy_protocol import ProxyHeaderReader

        self._reader = ProxyHeaderReader(accept)
        self.client: Any = None
        self.server: Any = None
        self.seen = b""

    def feed(self, data: bytes) -> tuple[ProxyHeader, bytes] | PolicyViolation | None:
        """Some octets more: the header and what follows it, what is wrong with it, or `None` if it is not all there."""
        self.seen += data
        try:
            read = self._reader.feed(data)
        except RemoteProtocolError as error:
            return ProxyHeaderRefused(str(error))
        if read is not None:
            self.client, self.server = _address(read[0].source), _address(read[0].destination)
        return read


def _address(where: tuple[str, int] | str | None) -> Any:
    if isinstance(where, str):
        return UNIXAddress(where.encode("utf-8", "surrogateescape"))
    if where is None:
        return None
    host, port = where
    return IPv6Address("TCP", host, port) if ":" in host else IPv4Address("TCP", host, port)
