"""Version 1 of the PROXY protocol: a line of text (section 2.1 of the specification that `proxy_protocol` names).

The rule of this module: a line of TCP is exactly as specified, with one space between words and no heading zeros. After
UNKNOWN, anything may stand.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address

from ..errors import RemoteProtocolError
from .proxy_header import ProxyHeader

__all__ = ["SIGNATURE", "encode_v1", "parse_v1", "size_of_v1"]

SIGNATURE = b"PROXY "
"""What a line begins with."""

_LONGEST = 107
_PORT = re.compile(r"0|[1-9][0-9]{0,4}", re.ASCII)


def size_of_v1(octets: bytearray) -> int | None:
    """How long the header is at the beginning of `octets`, with its CRLF; `None` if that has yet to come."""
    end = octets.find(b"\r\n", 0, _LONGEST)
    if end < 0 and len(octets) >= _LONGEST:
        raise RemoteProtocolError(f"a PROXY line longer than {_LONGEST} octets", _LONGEST)
    return end + 2 if end >= 0 else None


def parse_v1(octets: bytes) -> ProxyHeader:
    """What a line says; it ends with its CRLF."""
    words = octets[len(SIGNATURE) : -2].decode("latin-1").split(" ")
    if words[0] == "UNKNOWN":
        return ProxyHeader(version=1)
    if words[0] not in {"TCP4", "TCP6"}:
        raise RemoteProtocolError(f"{words[0]!a} is none of TCP4, TCP6 and UNKNOWN", len(SIGNATURE))
    if len(words) != 5:
        raise RemoteProtocolError(f"{len(words) - 1} words after {words[0]}, not 4", len(SIGNATURE))
    offsets = [len(SIGNATURE) + sum(len(word) + 1 for word in words[:place]) for place in range(5)]
    read_host = _read_ipv4 if words[0] == "TCP4" else _read_ipv6
    source, destination = (read_host(words[place], offsets[place]) for place in (1, 2))
    source_port, destination_port = (_read_port(words[place], offsets[place]) for place in (3, 4))
    return ProxyHeader(version=1, source=(source, source_port), destination=(destination, destination_port))


def encode_v1(header: ProxyHeader) -> bytes:
    """The line that says what `header` does."""
    if not isinstance(header.source, tuple) or not isinstance(header.destination, tuple):
        return SIGNATURE + b"UNKNOWN\r\n"
    (source, source_port), (destination, destination_port) = header.source, header.destination
    words = f"TCP{6 if ':' in source else 4} {source} {destination} {source_port} {destination_port}\r\n"
    return SIGNATURE + words.encode("ascii")


def _read_ipv4(word: str, offset: int) -> str:
    try:
        return str(IPv4Address(word))
    except ValueError:
        raise RemoteProtocolError(f"{word!a} is no address of IPv4", offset) from None


def _read_ipv6(word: str, offset: int) -> str:
    try:
        if "%" not in word:  # a zone means nothing on another host
            return str(IPv6Address(word))
    except ValueError:
        pass
    raise RemoteProtocolError(f"{word!a} is no address of IPv6", offset)


def _read_port(word: str, offset: int) -> int:
    if not _PORT.fullmatch(word) or int(word) > 65535:
        raise RemoteProtocolError(f"{word!a} is no port (0 to 65535)", offset)
    return int(word)
