"""The PROXY protocol's header: the same at every split, or one fault at one place."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet import ProxyHeader, ProxyHeaderReader, RemoteProtocolError, encode_proxy_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
IPV4 = struct.pack("!4s4sHH", bytes([192, 0, 2, 7]), bytes([192, 0, 2, 1]), 40000, 80)
IPV6 = struct.pack("!16s16sHH", b"\x20\x01\x0d\xb8" + bytes(11) + b"\x07", bytes(15) + b"\x01", 40000, 80)
PATHS = struct.pack("!108s108s", b"/run/a.sock", b"\0abstract")
FROM_7: Any = {"source": ("192.0.2.7", 40000), "destination": ("192.0.2.1", 80)}
WIDEST = (":".join(["ffff"] * 8), 65535)
TLVS = b"\x01\x00\x02h2" + b"\xe0\x00\x00" + b"\x04\x00\x03\x00\x00\x00"
AS_READ = ((0x01, b"h2"), (0xE0, b""), (0x04, bytes(3)))


def v2(command: int, kind: int, block: bytes) -> bytes:
    return SIGNATURE + bytes([command, kind]) + len(block).to_bytes(2, "big") + block


GOOD = {
    b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 80\r\n": ProxyHeader(version=1, **FROM_7),
    b"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n": ProxyHeader(
        version=1, source=("0.0.0.0", 0), destination=("255.255.255.255", 65535)
    ),
    b"PROXY TCP6 2001:DB8:0:0::7 ::1 40000 80\r\n": ProxyHeader(
        version=1, source=("2001:db8::7", 40000), destination=("::1", 80)
    ),
    b"PROXY TCP6 ::ffff:192.0.2.7 ::FFFF:C000:0201 1 2\r\n": ProxyHeader(
        version=1, source=("::ffff:192.0.2.7", 1), destination=("::ffff:192.0.2.1", 2)
    ),
    b"PROXY TCP6 %b %b 65535 65535\r\n" % ((b":".join([b"ffff"] * 8),) * 2): ProxyHeader(
        version=1, source=WIDEST, destination=WIDEST
    ),
    b"PROXY UNKNOWN\r\n": ProxyHeader(version=1),
    b"PROXY UNKNOWN \r\n": ProxyHeader(version=1),
    b"PROXY UNKNOWN 1.2.3.4 \xff \n \r \0 what\r\n": ProxyHeader(version=1),
    b"PROXY UNKNOWN " + b"x" * 91 + b"\r\n": ProxyHeader(version=1),
    v2(0x21, 0x11, IPV4): ProxyHeader(version=2, **FROM_7),
    v2(0x21, 0x12, IPV4 + TLVS): ProxyHeader(version=2, **FROM_7, tlvs=AS_READ),
    v2(0x21, 0x21, IPV6): ProxyHeader(version=2, source=("2001:db8::7", 40000), destination=("::1", 80)),
    v2(0x21, 0x22, IPV6 + TLVS): ProxyHeader(
        version=2, source=("2001:db8::7", 40000), destination=("::1", 80), tlvs=AS_READ
    ),
    v2(0x21, 0x31, PATHS + TLVS): ProxyHeader(
        version=2, source="/run/a.sock", destination="\0abstract", tlvs=AS_READ
    ),
    v2(0x21, 0x32, b"p" * 108 + b"q\0" * 54): ProxyHeader(version=2, source="p" * 108, destination="q"),
    v2(0x21, 0x00, b""): ProxyHeader(version=2),
    v2(0x21, 0x00, TLVS): ProxyHeader(version=2, tlvs=AS_READ),
    v2(0x21, 0x10, IPV4 + TLVS): ProxyHeader(version=2, tlvs=AS_READ),
    v2(0x21, 0x02, b"addresses of a kind unknown"): ProxyHeader(version=2),
    v2(0x20, 0x00, b""): ProxyHeader(version=2, local=True),
    v2(0x20, 0x00, TLVS): ProxyHeader(version=2, local=True, tlvs=AS_READ),
    v2(0x20, 0x11, IPV4 + TLVS): ProxyHeader(version=2, local=True, tlvs=AS_READ),
    v2(0x20, 0x11, b"few"): ProxyHeader(version=2, local=True),
    v2(0x20, 0xFF, b"\x01\x00\x00"): ProxyHeader(version=2, local=True),
    v2(0x20, 0x00, b"\x01\xff\xff"): ProxyHeader(version=2, local=True),
}

BAD = [
    (b"G", "no PROXY header", 0),
    (b"PROXX", "no PROXY header", 4),
    (b"PROXY\r", "no PROXY header", 5),
    (b"PROXY\t", "no PROXY header", 5),
    (b"\r\n\r\n\x00\r\nQUIT\r", "no PROXY header", 11),
    (b"\r\n\r\nG", "no PROXY header", 4),
    (b"PROXY " + b"x" * 101, "a PROXY line longer than 107 octets", 107),
    (b"PROXY UNKNOWN " + b"x" * 92 + b"\r", "a PROXY line longer than 107 octets", 107),
    (b"PROXY \r\n", "'' is none of TCP4, TCP6 and UNKNOWN", 6),
    (b"PROXY UNKNOWNS\r\n", "'UNKNOWNS' is none of TCP4, TCP6 and UNKNOWN", 6),
    (b"PROXY UDP4 192.0.2.7 192.0.2.1 1 2\r\n", "'UDP4' is none of TCP4, TCP6 and UNKNOWN", 6),
    (b"PROXY tcp4 192.0.2.7 192.0.2.1 1 2\r\n", "'tcp4' is none of TCP4, TCP6 and UNKNOWN", 6),
    (b"PROXY TCP4\r\n", "0 words after TCP4, not 4", 6),
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 1\r\n", "3 words after TCP4, not 4", 6),
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 3\r\n", "5 words after TCP4, not 4", 6),
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2 \r\n", "5 words after TCP4, not 4", 6),
    (b"PROXY TCP4  192.0.2.7 192.0.2.1 1 2\r\n", "5 words after TCP4, not 4", 6),
    (b"PROXY TCP4 ::1 192.0.2.1 1 2\r\n", "'::1' is no address of IPv4", 11),
    (b"PROXY TCP4 192.0.2.7 192.0.2.01 1 2\r\n", "'192.0.2.01' is no address of IPv4", 21),
    (b"PROXY TCP4 192.0.2.7 192.0.2 1 2\r\n", "'192.0.2' is no address of IPv4", 21),
    (b"PROXY TCP4 192.0.2.7 192.0.2.1\t 1 2\r\n", "'192.0.2.1\\t' is no address of IPv4", 21),
    (b"PROXY TCP4 192.0.2.\xb2 192.0.2.1 1 2\r\n", "'192.0.2.\\xb2' is no address of IPv4", 11),
    (b"PROXY TCP6 192.0.2.7 ::1 1 2\r\n", "'192.0.2.7' is no address of IPv6", 11),
    (b"PROXY TCP6 ::1 fe80::1%eth0 1 2\r\n", "'fe80::1%eth0' is no address of IPv6", 15),
    (b"PROXY TCP6 ::1 1::2::3 1 2\r\n", "'1::2::3' is no address of IPv6", 15),
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 01 2\r\n", "'01' is no port (0 to 65535)", 31),
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 65536\r\n", "'65536' is no port (0 to 65535)", 33),
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 +2\r\n", "'+2' is no port (0 to 65535)", 33),
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 1_0 2\r\n", "'1_0' is no port (0 to 65535)", 31),
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 2\n\r\n", "'2\\n' is no port (0 to 65535)", 33),
    (b"PROXY TCP4 192.0.2.7 192.0.2.1 1 \r\n", "'' is no port (0 to 65535)", 33),
    (SIGNATURE + b"\x11", "version 1 of the PROXY protocol, not 2", 12),
    (SIGNATURE + b"\x31", "version 3 of the PROXY protocol, not 2", 12),
    (SIGNATURE + b"\x22", "a command that is not known, 2", 12),
    (SIGNATURE + b"\x21\x41", "a family and transport that are not known, 0x41", 13),
    (SIGNATURE + b"\x21\x13", "a family and transport that are not known, 0x13", 13),
    (SIGNATURE + b"\x21\x11\x00\x0b", "11 octets are too few for the addresses", 14),
    (SIGNATURE + b"\x21\x22\x00\x0c", "12 octets are too few for the addresses", 14),
    (SIGNATURE + b"\x21\x31\x00\xd7", "215 octets are too few for the addresses", 14),
    (v2(0x21, 0x11, IPV4 + b"\x01"), "a TLV without its length", 28),
    (v2(0x21, 0x11, IPV4 + TLVS + b"\x01\x00"), "a TLV without its length", 42),
    (v2(0x21, 0x11, IPV4 + b"\x01\x00\x02h"), "a TLV of 2 octets, which ends after the header", 28),
    (v2(0x21, 0x11, IPV4 + b"\x03\x00\x00"), "a second checksum, or one not of 4 octets", 28),
    (v2(0x21, 0x11, IPV4 + b"\x03\x00\x04abcd" * 2), "a second checksum, or one not of 4 octets", 35),
    (v2(0x21, 0x11, IPV4 + b"\x03\x00\x04abcd"), "the checksum of the header is wrong", 31),
    (v2(0x20, 0x00, b"\x04\x00\x00\x03\x00\x04abcd"), "the checksum of the header is wrong", 22),
]  # fmt: skip


def read(pieces: Iterable[bytes], accept: str = "auto") -> Any:
    """What a reader makes of the pieces: a header and the rest, the reason and offset of a fault, or nothing yet."""
    reader = ProxyHeaderReader(accept)
    rest = iter(pieces)
    try:
        for piece in rest:
            if found := reader.feed(piece):
                return found[0], found[1] + b"".join(rest)
    except RemoteProtocolError as error:
        return error.reason, error.offset
    return None


def one_by_one(data: bytes) -> list[bytes]:
    return [data[place : place + 1] for place in range(len(data))]


@pytest.mark.parametrize("octets", GOOD)
def test_a_header_is_the_same_at_every_split(octets: bytes) -> None:
    expected = (GOOD[octets], b"hello")
    data = octets + b"hello"
    assert read([data]) == expected
    assert read(one_by_one(data)) == expected
    for place in range(len(data) + 1):
        assert read([data[:place], b"", data[place:]]) == expected


@pytest.mark.parametrize("octets", GOOD)
def test_a_header_is_read_with_its_last_octet_and_not_before(octets: bytes) -> None:
    assert read([octets[:-1]]) is None
    assert read(one_by_one(octets[:-1])) is None
    assert read([octets]) == (GOOD[octets], b"")


@pytest.mark.parametrize(("octets", "reason", "offset"), BAD)
def test_a_fault_is_the_same_at_every_split(octets: bytes, reason: str, offset: int) -> None:
    assert read([octets]) == (reason, offset)
    assert read([octets + b"hello"]) == (reason, offset)
    assert read(one_by_one(octets)) == (reason, offset)
    for place in range(len(octets)):
        assert read([octets[:place], octets[place:]]) == (reason, offset)


@pytest.mark.parametrize(("octets", "reason", "offset"), BAD)
def test_a_fault_is_told_with_the_octet_that_makes_it_certain(
    octets: bytes, reason: str, offset: int
) -> None:
    assert read([octets[:-1]]) is None
    assert read(one_by_one(octets[:-1])) is None


def test_only_the_versions_that_are_accepted_are_read() -> None:
    v1_header, v2_header = b"PROXY UNKNOWN\r\n", v2(0x20, 0, b"")
    assert read([v1_header], "v1") == (ProxyHeader(version=1), b"")
    assert read([v2_header], "v2") == (ProxyHeader(version=2, local=True), b"")
    assert read([v1_header], "v2") == ("no PROXY header of version 2", 0)
    assert read([v2_header], "v1") == ("no PROXY header of version 1", 0)
    with pytest.raises(ValueError, match="'v3' is none of v1, v2, auto"):
        ProxyHeaderReader("v3")


PIECES = st.lists(st.binary(max_size=40), max_size=10)
BEGINNINGS = st.sampled_from(
    [b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21", SIGNATURE + b"\x21\x11\x00"]
)


@given(BEGINNINGS, PIECES)
def test_whatever_comes_is_a_header_or_a_fault_wherever_it_is_cut(start: bytes, pieces: list[bytes]) -> None:
    whole = read([start + b"".join(pieces)])
    assert read([start, *pieces]) == whole
    assert read(one_by_one(start + b"".join(pieces))) == whole


@given(st.sampled_from(list(GOOD)), st.data())
def test_a_header_with_some_octets_changed_is_a_header_or_a_fault(octets: bytes, data: st.DataObject) -> None:
    changed = bytearray(octets)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    whole = read([bytes(changed)])
    assert read(one_by_one(bytes(changed))) == whole
    if whole and isinstance(whole[0], ProxyHeader):
        again = read([encode_proxy_header(whole[0])])
        assert again == (whole[0], b"") or has_checksum(whole[0])


def has_checksum(header: ProxyHeader) -> bool:
    return 3 in dict(header.tlvs)
