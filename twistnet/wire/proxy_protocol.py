"""The PROXY protocol, versions 1 and 2: the header with which a proxy says whom it speaks for.

The specification is "The PROXY protocol, versions 1 & 2" (doc/proxy-protocol.txt of HAProxy, 2020/03/05). The rule of
this module: a header is all or nothing. Nothing in it is believed before its last octet has come, and whatever the
octets, what is raised is `RemoteProtocolError`, with the same reason and offset wherever they were cut.
"""

from __future__ import annotations

from ..errors import RemoteProtocolError
from . import proxy_v1, proxy_v2
from .proxy_header import Address, ProxyHeader

__all__ = ["Address", "ProxyHeader", "ProxyHeaderReader", "encode_proxy_header"]

_SIGNATURES = {
    "v1": (proxy_v1.SIGNATURE,),
    "v2": (proxy_v2.SIGNATURE,),
    "auto": (proxy_v1.SIGNATURE, proxy_v2.SIGNATURE),
}


class ProxyHeaderReader:
    """Reads one header off the beginning of a stream, at any segmentation.

    It keeps 65,551 octets at most, besides the piece of input that completes the header.

    Args:
        accept: `"v1"`, `"v2"`, or `"auto"` for either.

    Raises:
        ValueError: `accept` is none of these.
    """

    def __init__(self, accept: str) -> None:
        if accept not in _SIGNATURES:
            raise ValueError(f"{accept!r} is none of {', '.join(_SIGNATURES)}")
        self._signatures = _SIGNATURES[accept]
        self._absence = "no PROXY header" if accept == "auto" else f"no PROXY header of version {accept[1:]}"
        self._buffer = bytearray()
        self._wanted = 1

    def feed(self, data: bytes) -> tuple[ProxyHeader, bytes] | None:
        """Take the next octets.

        Returns:
            `None` while the header is incomplete; then the header and the octets after it, and the reader is of no
            more use.

        Raises:
            RemoteProtocolError: What has come begins no header; raised as soon as that is certain. The reader is of
                no more use.
        """
        self._buffer += data
        if len(self._buffer) < self._wanted:
            return None
        signature = self._recognise()
        if len(self._buffer) < len(signature):
            return None
        if signature is proxy_v1.SIGNATURE:
            size, parse = proxy_v1.size_of_v1(self._buffer), proxy_v1.parse_v1
        else:
            size, parse = proxy_v2.size_of_v2(self._buffer), proxy_v2.parse_v2
        self._wanted = size or self._wanted
        if size is None or len(self._buffer) < size:
            return None
        return parse(bytes(self._buffer[:size])), bytes(self._buffer[size:])

    def _recognise(self) -> bytes:
        """The signature that the octets begin with, as far as they go."""
        signature = min(self._signatures, key=lambda known: known[0] != self._buffer[0])
        for offset, (seen, right) in enumerate(zip(self._buffer, signature, strict=False)):
            if seen != right:
                raise RemoteProtocolError(self._absence, offset)
        return signature


def encode_proxy_header(header: ProxyHeader) -> bytes:
    """The octets of a header, to be sent before any others; of version 2, as a stream's and not a datagram's."""
    return proxy_v1.encode_v1(header) if header.version == 1 else proxy_v2.encode_v2(header)
