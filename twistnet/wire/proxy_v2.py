"""Version 2 of the PROXY protocol: octets (section 2.2 of the specification that `proxy_protocol` names).

The rule of this module: what the specification tells a receiver to ignore is no fault, whatever it is. All else must be
right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from struct import Struct

from ..errors import RemoteProtocolError
from .crc32c import crc32c
from .proxy_header import CHECKSUM, Address, Family, ProxyHeader, decode_path, encode_path

__all__ = ["SIGNATURE", "encode_v2", "parse_v2", "size_of_v2"]

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
"""What a header begins with."""

_FIXED = 16
_LOCAL, _PROXY = 0x20, 0x21
_STREAM, _DATAGRAM = 0x1, 0x2
_LAYOUTS = {
    Family.INET: Struct("!4s4sHH"),
    Family.INET6: Struct("!16s16sHH"),
    Family.UNIX: Struct("!108s108s"),
}
_TLV = Struct("!BH")


def size_of_v2(octets: bytearray) -> int | None:
    """How long the header is at the beginning of `octets`; `None` if that has yet to come."""
    if len(octets) > 12:
        _check_command(octets[12])
    if len(octets) > 13 and octets[12] == _PROXY:
        _check_kind(octets[13])
    if len(octets) < _FIXED:
        return None
    length = int.from_bytes(octets[14:_FIXED], "big")
    if octets[12] == _PROXY and _is_specified(octets[13]) and length < Family(octets[13] >> 4).size:
        raise RemoteProtocolError(f"{length} octets are too few for the addresses", 14)
    return _FIXED + length


def parse_v2(octets: bytes) -> ProxyHeader:
    """What the octets of a header say, after `size_of_v2` has passed them."""
    local, kind = octets[12] == _LOCAL, octets[13]
    ignored = local or not _is_specified(kind)
    start = _FIXED + Family(kind >> 4).size if kind >> 4 in list(Family) else len(octets)
    source, destination = (None, None) if ignored else _unpack_addresses(octets[_FIXED:start], kind >> 4)
    try:
        tlvs = tuple(_unpack_tlvs(octets, start))
    except RemoteProtocolError:
        if not ignored:
            raise
        tlvs = ()
    _verify_checksum(octets, start, tlvs)
    return ProxyHeader(version=2, source=source, destination=destination, local=local, tlvs=tlvs)


def encode_v2(header: ProxyHeader) -> bytes:
    """The octets that say what `header` does; they call the client's connection a stream."""
    kind = header.family << 4 | _STREAM if header.family else 0
    block = _pack_addresses(header) + b"".join(_TLV.pack(t, len(value)) + value for t, value in header.tlvs)
    command = _LOCAL if header.local else _PROXY
    octets = SIGNATURE + bytes([command, kind]) + len(block).to_bytes(2, "big") + block
    for end in _ends_of_checksums(_FIXED + header.family.size, header.tlvs):
        octets = octets[: end - 4] + crc32c(_blanked(octets, end)).to_bytes(4, "big") + octets[end:]
    return octets


def _check_command(octet: int) -> None:
    if octet >> 4 != 2:
        raise RemoteProtocolError(f"version {octet >> 4} of the PROXY protocol, not 2", 12)
    if octet not in {_LOCAL, _PROXY}:
        raise RemoteProtocolError(f"a command that is not known, {octet & 15}", 12)


def _check_kind(octet: int) -> None:
    if octet >> 4 not in list(Family) or octet & 15 > _DATAGRAM:
        raise RemoteProtocolError(f"a family and transport that are not known, {octet:#04x}", 13)


def _is_specified(kind: int) -> bool:
    """Whether both the family and the transport are; otherwise the addresses are to be ignored."""
    return bool(kind >> 4 and kind & 15)


def _unpack_addresses(block: bytes, family: int) -> tuple[Address, Address]:
    source, destination, *ports = _LAYOUTS[Family(family)].unpack(block)
    if family == Family.UNIX:
        return decode_path(source), decode_path(destination)
    return (str(ip_address(source)), ports[0]), (str(ip_address(destination)), ports[1])


def _unpack_tlvs(octets: bytes, start: int) -> Iterator[tuple[int, bytes]]:
    """Those from `start` to the end."""
    checksums = 0
    while start < len(octets):
        if len(octets) < start + _TLV.size:
            raise RemoteProtocolError("a TLV without its length", start)
        type_, length = _TLV.unpack_from(octets, start)
        value = octets[start + _TLV.size : start + _TLV.size + length]
        if len(value) < length:
            raise RemoteProtocolError(f"a TLV of {length} octets, which ends after the header", start)
        checksums += type_ == CHECKSUM
        if type_ == CHECKSUM and (length != 4 or checksums > 1):
            raise RemoteProtocolError("a second checksum, or one not of 4 octets", start)
        yield type_, value
        start += _TLV.size + length


def _pack_addresses(header: ProxyHeader) -> bytes:
    source, destination = header.source, header.destination
    if isinstance(source, tuple) and isinstance(destination, tuple):
        hosts = (ip_address(host).packed for host in (source[0], destination[0]))
        return _LAYOUTS[header.family].pack(*hosts, source[1], destination[1])
    if isinstance(source, str) and isinstance(destination, str):
        return _LAYOUTS[Family.UNIX].pack(encode_path(source), encode_path(destination))
    return b""


def _verify_checksum(octets: bytes, start: int, tlvs: Iterable[tuple[int, bytes]]) -> None:
    """See section 2.2.3; it is reckoned over the octets as they came, with zeros where it stands itself."""
    for end in _ends_of_checksums(start, tlvs):
        if int.from_bytes(octets[end - 4 : end], "big") != crc32c(_blanked(octets, end)):
            raise RemoteProtocolError("the checksum of the header is wrong", end - 4)


def _ends_of_checksums(start: int, tlvs: Iterable[tuple[int, bytes]]) -> Iterator[int]:
    """Where a checksum ends among TLVs that begin at `start`; there is one at most."""
    for type_, value in tlvs:
        start += _TLV.size + len(value)
        if type_ == CHECKSUM:
            yield start


def _blanked(octets: bytes, end: int) -> bytes:
    """The octets with zeros for the four before `end`."""
    return octets[: end - 4] + bytes(4) + octets[end:]
