"""Packets as a capture file, for Wireshark, tshark, tcpdump and whatever else reads one.

The rule of this module: each frame is one that a network could have carried: its lengths are right, its checksums are
right, and what no IP packet can hold is cut as a host would have cut it. What a simulation doesn't have (a time to
live, a window) gets a constant.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import IO

from .packets import ACK, FIN, PSH, RST, SYN, Endpoint, Fate, Packet, Transport

__all__ = ["LONGEST_SEGMENT", "write_pcap"]

LONGEST_SEGMENT = 65495
"""Octets of payload in a TCP segment at most: what IPv4 holds (65,535), less 20 of IP and 20 of TCP (RFC 791, 9293)."""

_NANOSECONDS = 0xA1B23C4D  # the magic number of a file whose time stamps count nanoseconds
_LINKTYPE_RAW = 101  # no link layer: each frame begins with an IPv4 or IPv6 header
_SNAPLEN = 262144  # nothing is cut: the longest frame is one of IPv6, 65,575 octets

_PROTOCOLS = {Transport.TCP: 6, Transport.UDP: 17}
_HOPS = 64  # the default that the registry of IP parameters gives (RFC 1700)
_DO_NOT_FRAGMENT = 0x4000  # so that the identification may be 0 (RFC 6864, section 4.1)
_WINDOW = 0xFFFF
_WINDOW_SCALE = b"\x01\x03\x03\x0e"  # 2**14, with a no-op before it (RFC 7323, section 2.2)

_NEVER_THERE = frozenset({Fate.LOST, Fate.CUT_OFF, Fate.OVERFLOWED, Fate.UNREACHABLE})


def write_pcap(file: IO[bytes], packets: Iterable[Packet], *, lost: bool = True) -> None:
    """Write packets as a classic pcap file of raw IP, in the order in which they were sent.

    Addresses and ports are those of the packets; IPv4-mapped addresses (RFC 4291, section 2.5.5.2) are IPv4. Sequence
    numbers start from 0 and go round at 2**32. A segment of more than `LONGEST_SEGMENT` octets is written as several.
    The window is as wide as TCP allows, so that no reader of the file takes it for full. Packets of UNIX sockets never
    are on a network, and are left out.

    Args:
        file: Where to; it is not closed.
        packets: In any order. Time stamps are their `sent`, in nanoseconds; the seconds go round at 2**32.
        lost: Whether to write those as well that the network lost: lost, cut off, overflowed or unreachable.

    Raises:
        ValueError: An address is no IP address, or a datagram has more octets than UDP can carry: 65,507 over IPv4
            and 65,527 over IPv6.
        OSError: From the file.

    Source: https://www.tcpdump.org/manpages/pcap-savefile.5.txt, https://www.tcpdump.org/linktypes.html, RFC 768,
    RFC 791, RFC 1071, RFC 8200, RFC 9293.
    """
    file.write(struct.pack("<IHHIIII", _NANOSECONDS, 2, 4, 0, 0, _SNAPLEN, _LINKTYPE_RAW))
    written = (p for p in packets if p.transport in _PROTOCOLS and (lost or p.fate not in _NEVER_THERE))
    for packet in sorted(written, key=lambda packet: packet.sent):
        seconds, nanoseconds = divmod(round(packet.sent * 1e9), 1_000_000_000)
        for frame in _frames(packet):
            file.write(struct.pack("<IIII", seconds & 0xFFFFFFFF, nanoseconds, len(frame), len(frame)))
            file.write(frame)


def _frames(packet: Packet) -> Iterator[bytes]:
    """The IP packets that carry a segment or a datagram."""
    source, destination = _addresses(packet.source, packet.destination)
    ports = struct.pack("!HH", packet.source.port, packet.destination.port)
    protocol = _PROTOCOLS[packet.transport]
    for header, payload in _segments(packet) if packet.transport is Transport.TCP else _datagram(packet):
        header[:4] = ports
        length = len(header) + len(payload)
        # The pseudo-header of IPv4 writes length and protocol shorter, which is the same sum (RFC 8200, section 8.1).
        pseudo_header = source + destination + struct.pack("!II", length, protocol)
        total = checksum(pseudo_header + header + payload)
        if packet.transport is Transport.UDP:
            struct.pack_into("!H", header, 6, total or 0xFFFF)  # 0 would say that there is none (RFC 768)
        else:
            struct.pack_into("!H", header, 16, total)
        yield _ip_header(source, destination, protocol, length) + header + payload


def _segments(packet: Packet) -> Iterator[tuple[bytearray, bytes]]:
    """The headers of TCP, still without ports and checksum, and what each carries (RFC 9293, section 3.1)."""
    payload, seq = packet.payload, packet.seq
    longest = LONGEST_SEGMENT - len(_WINDOW_SCALE) if packet.flags & SYN else LONGEST_SEGMENT
    for start in range(0, len(payload) or 1, longest):
        piece = payload[start : start + longest]
        flags = packet.flags
        if start:
            flags &= ~SYN
        if start + len(piece) < len(payload):
            flags &= ~(FIN | PSH | RST)  # they come with the last octet
        options = _WINDOW_SCALE if flags & SYN else b""
        words = 5 + len(options) // 4
        ack = packet.ack if flags & ACK else 0
        fields = (0, 0, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, words << 4, flags, _WINDOW, 0, 0)
        yield bytearray(struct.pack("!HHIIBBHHH", *fields) + options), piece
        seq += len(piece) + bool(flags & SYN)


def _datagram(packet: Packet) -> Iterator[tuple[bytearray, bytes]]:
    """The header of UDP, still without ports and checksum, and the payload (RFC 768)."""
    length = 8 + len(packet.payload)
    if length > 0xFFFF:
        raise ValueError(f"UDP carries no datagram of {len(packet.payload)} octets")
    yield bytearray(struct.pack("!HHHH", 0, 0, length, 0)), packet.payload


def _ip_header(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    """The header of IPv4 (RFC 791, section 3.1) or of IPv6 (RFC 8200, section 3) before that many octets."""
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, length, protocol, _HOPS) + source + destination
    if length > 0xFFFF - 20:
        raise ValueError(f"an IPv4 packet holds no datagram of {length - 8} octets")
    start = struct.pack("!BBHHHBB", 0x45, 0, 20 + length, 0, _DO_NOT_FRAGMENT, _HOPS, protocol)
    addresses = source + destination
    return start + struct.pack("!H", checksum(start + addresses)) + addresses


def _addresses(source: Endpoint, destination: Endpoint) -> tuple[bytes, bytes]:
    """Both as they are on the wire: 4 octets each, or 16 each where one of the two can't be IPv4."""
    both = ip_address(source.address), ip_address(destination.address)
    first, second = map(_as_ipv4, both)
    if first and second:
        return first.packed, second.packed
    return _as_ipv6(both[0]).packed, _as_ipv6(both[1]).packed


def _as_ipv4(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    return address if isinstance(address, IPv4Address) else address.ipv4_mapped


def _as_ipv6(address: IPv4Address | IPv6Address) -> IPv6Address:
    return address if isinstance(address, IPv6Address) else IPv6Address(f"::ffff:{address}")


def checksum(octets: bytes) -> int:
    """The checksum of the Internet: the complement of the ones' complement sum of 16-bit words (RFC 1071).

    A sum of ones' complement is a remainder by 2**16 - 1, except that it is 0 only where all octets are; the one who
    asks here always has a length among them.
    """
    padded = octets + b"\0" if len(octets) % 2 else octets
    return -int.from_bytes(padded, "big") % 0xFFFF
