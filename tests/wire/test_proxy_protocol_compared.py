"""The PROXY protocol's header against proxy-protocol (PyPI), and what is written against what is read."""

from __future__ import annotations

import itertools
import tracemalloc
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import SocketKind
from typing import Any

import pytest
from attrs import evolve
from hypothesis import assume, given
from hypothesis import strategies as st
from proxyprotocol import ProxyProtocol, ProxyProtocolChecksumError
from proxyprotocol.result import (
    ProxyResult,
    ProxyResultIPv4,
    ProxyResultIPv6,
    ProxyResultUnix,
    is_ipv4,
    is_ipv6,
    is_local,
)
from proxyprotocol.tlv import ProxyProtocolTLV
from proxyprotocol.v1 import ProxyProtocolV1
from proxyprotocol.v2 import ProxyProtocolV2

from twistnet import ProxyHeader, ProxyHeaderReader, RemoteProtocolError, encode_proxy_header
from twistnet.wire.crc32c import crc32c

THEIRS: dict[int, ProxyProtocol] = {1: ProxyProtocolV1(), 2: ProxyProtocolV2()}


def shown(host: IPv4Address | IPv6Address, port: int) -> tuple[str, int]:
    mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
    return f"::ffff:{mapped}" if mapped else str(host), port


PORTS = st.integers(0, 65535)
IPV4 = st.tuples(st.ip_addresses(v=4).map(str), PORTS)
IPV6 = st.tuples(st.ip_addresses(v=6), PORTS).map(lambda address: shown(*address))
PATHS = st.text("abc/\u00e9.", max_size=54) | st.text("abc", min_size=1).map(lambda name: f"\0{name}"[:108])
TLVS = st.lists(st.tuples(st.integers(0, 255).filter(lambda t: t != 3), st.binary(max_size=20)), max_size=4)
ASCII = PATHS.filter(str.isascii)
LINES = [
    b"PROXY TCP4 192.0.2.7 192.0.2.10 40000 80\r\n",
    b"PROXY TCP6 2001:db8::7 ::ffff:192.0.2.1 40000 80\r\n",
    b"PROXY UNKNOWN 192.0.2.7 192.0.2.10\r\n",
]
CHECKED = ProxyHeader(
    version=2, source=("192.0.2.7", 40000), destination=("192.0.2.1", 80), tlvs=((3, bytes(4)), (1, b"h2"))
)
CHECKSUMS = st.lists(st.just((3, bytes(4))), max_size=1)


@st.composite
def headers(draw: st.DrawFn) -> ProxyHeader:
    """Any header that can be made; of those with many TLVs, a few."""
    kinds: list[Any] = [st.none(), IPV4, IPV6]
    version = draw(st.sampled_from([1, 2]))
    kind = draw(st.sampled_from(kinds if version == 1 else [*kinds, PATHS]))
    source, destination = draw(kind), draw(kind)
    if version == 1:
        return ProxyHeader(version=1, source=source, destination=destination)
    local = source is None and draw(st.booleans())
    tlvs = tuple(draw(st.permutations(draw(TLVS) + draw(CHECKSUMS))))
    return ProxyHeader(version=2, source=source, destination=destination, local=local, tlvs=tlvs)


def read(data: bytes, cuts: list[int] | None = None) -> tuple[ProxyHeader, bytes]:
    """The header that data begin with, cut at some places, and what comes after."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    reader = ProxyHeaderReader("auto")
    for start, end in itertools.pairwise(edges):
        if found := reader.feed(data[start:end]):
            return found[0], found[1] + data[end:]
    raise AssertionError("no end to it")


@given(headers(), st.binary(max_size=10), st.lists(st.integers(0, 500), max_size=4))
def test_what_is_written_is_read(header: ProxyHeader, rest: bytes, cuts: list[int]) -> None:
    octets = encode_proxy_header(header)
    found, after = read(octets + rest, cuts)
    assert after == rest
    assert evolve(found, tlvs=blanked(found)) == evolve(header, tlvs=blanked(header))
    assert encode_proxy_header(found) == octets


def blanked(header: ProxyHeader) -> tuple[tuple[int, bytes], ...]:
    """The TLVs, but for what a checksum is."""
    return tuple((type_, bytes(4) if type_ == 3 else value) for type_, value in header.tlvs)


@given(headers())
def test_what_is_written_is_read_by_the_library(header: ProxyHeader) -> None:
    tlvs = tuple(
        sorted(dict(header.tlvs).items())
    )  # which it puts into order before it verifies the checksum
    header = evolve(header, tlvs=tlvs)
    if isinstance(header.source, str):
        assume(f"{header.source}{header.destination}".isascii())
    result = THEIRS[header.version].unpack(encode_proxy_header(header))
    assert said(result) == (header.local, header.source, header.destination)
    if header.local or header.source is not None:
        assert dict(result.tlv) == dict(read(encode_proxy_header(header))[0].tlvs)


def said(result: ProxyResult) -> tuple[bool, Any, Any]:
    """What the library has read, in our terms."""
    if is_ipv4(result) or is_ipv6(result):
        return False, shown(*result.source), shown(*result.dest)
    return is_local(result), result.source, result.dest


@given(st.tuples(IPV4, IPV4) | st.tuples(IPV6, IPV6) | st.tuples(ASCII, ASCII), TLVS, st.sampled_from([1, 2]))
def test_what_the_library_writes_is_read(
    addresses: tuple[Any, Any], tlvs: list[tuple[int, bytes]], transport: int
) -> None:
    """With a checksum, which it adds to all that it writes."""
    results: dict[str, Any] = {"4": ProxyResultIPv4, "6": ProxyResultIPv6, "path": ProxyResultUnix}
    kind = "path" if isinstance(addresses[0], str) else "6" if ":" in addresses[0][0] else "4"
    given_ = addresses if kind == "path" else [(ip_address(host), port) for host, port in addresses]
    result = results[kind](*given_, protocol=SocketKind(transport), tlv=ProxyProtocolTLV(init=dict(tlvs)))
    header, rest = read(THEIRS[2].pack(result))
    assert (header.source, header.destination, rest) == (*addresses, b"")
    assert [tlv for tlv in header.tlvs if tlv[0] != 3] == sorted(dict(tlvs).items())
    assert 3 in dict(header.tlvs)
    if kind != "path":
        assert read(THEIRS[1].pack(result))[0] == evolve(header, version=1, tlvs=())


@given(st.sampled_from(LINES), st.data())
def test_a_line_means_the_same_to_the_library_or_nothing_to_us(line: bytes, data: st.DataObject) -> None:
    """A line with an octet changed is one that the library reads alike, or one that is refused."""
    place = data.draw(st.integers(0, len(line) - 3))
    changed = (
        line[:place] + bytes([data.draw(st.sampled_from(b"0123456789abcdef:. %+_PTUK"))]) + line[place + 1 :]
    )
    try:
        header, _ = read(changed)
    except RemoteProtocolError:
        return
    assert said(THEIRS[1].unpack(changed)) == (False, header.source, header.destination)


LENIENT = [
    b"PROXY TCP4 192.0.2.7 192.0.2.1 0080 +80\r\n",
    b"PROXY TCP4 192.0.2.7 192.0.2.1 1_0 80\r\n",
    b"PROXY TCP6 fe80::1%eth0 ::1 80 80\r\n",
]


@pytest.mark.parametrize("line", LENIENT)
def test_what_only_the_library_reads(line: bytes) -> None:
    """And this is why it only stands beside: section 2.1 permits none of these."""
    assert THEIRS[1].unpack(line).proxied
    with pytest.raises(RemoteProtocolError):
        read(line)


def test_a_checksum_is_reckoned_in_the_order_in_which_the_tlvs_came() -> None:
    """The library reckons it over TLVs that it has put into order, and refuses these."""
    octets = encode_proxy_header(CHECKED)
    assert read(octets)[0].tlvs == ((3, octets[31:35]), (1, b"h2"))
    assert octets[31:35] == crc32c(octets[:31] + bytes(4) + octets[35:]).to_bytes(4, "big")
    with pytest.raises(ProxyProtocolChecksumError):
        THEIRS[2].unpack(octets)


@pytest.mark.parametrize(
    ("data", "checksum"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)],
)
def test_the_checksums_of_rfc_3720(data: bytes, checksum: int) -> None:
    assert crc32c(data) == checksum


@pytest.mark.parametrize("place", [*range(16, 28), *range(31, 35), 38, 39])
def test_a_changed_octet_does_not_pass_the_checksum(place: int) -> None:
    octets = bytearray(encode_proxy_header(CHECKED))
    octets[place] ^= 0x04
    with pytest.raises(RemoteProtocolError, match="the checksum of the header is wrong at octet 31"):
        read(bytes(octets))


LONGEST = ProxyHeader(version=2, tlvs=((0xE0, b"x" * 65525), (3, bytes(4))))


def test_the_longest_header_costs_its_own_size_at_an_octet_a_time() -> None:
    """And time in proportion: an octet costs the same at the end as at the beginning."""
    octets = encode_proxy_header(LONGEST)
    assert len(octets) == 16 + 65535
    reader = ProxyHeaderReader("v2")
    pieces = [octets[place : place + 1] for place in range(len(octets) - 1)]
    tracemalloc.start()
    assert not any(reader.feed(piece) for piece in pieces)
    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept <= peak < 2 * len(octets)
    found = reader.feed(octets[-1:])
    assert found
    assert found[0].tlvs[0] == (0xE0, b"x" * 65525)


def test_an_endless_line_is_refused_at_its_107th_octet() -> None:
    reader = ProxyHeaderReader("auto")
    line = b"PROXY UNKNOWN " + b"x" * 92
    assert not any(reader.feed(line[place : place + 1]) for place in range(len(line)))
    with pytest.raises(RemoteProtocolError, match="a PROXY line longer than 107 octets at octet 107"):
        reader.feed(b"x")


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"version": 3}, "3 is no version"),
    ({"version": 1, "source": "/run/a.sock", "destination": ""}, "need version 2"),
    ({"version": 1, "tlvs": ((1, b""),)}, "need version 2"),
    ({"version": 1, "local": True}, "need version 2"),
    ({"version": 2, "source": ("192.0.2.7", 1)}, "not addresses of one kind"),
    ({"version": 2, "source": ("192.0.2.7", 1), "destination": ("::1", 1)}, "not addresses of one kind"),
    ({"version": 2, "source": "/run/a.sock", "destination": ("::1", 1)}, "not addresses of one kind"),
    ({"version": 2, "source": ("::1", 1), "destination": ("::1", 1), "local": True}, "has no addresses"),
    (
        {"version": 2, "source": ("example", 1), "destination": ("::1", 1)},
        "does not appear to be an IPv4 or IPv6",
    ),
    ({"version": 2, "source": ("fe80::1%eth0", 1), "destination": ("::1", 1)}, "has a zone"),
    ({"version": 2, "source": ("::1", 65536), "destination": ("::1", 1)}, "65536 is no port"),
    ({"version": 2, "source": ("::1", -1), "destination": ("::1", 1)}, "-1 is no port"),
    ({"version": 2, "source": "\u00e9" * 55, "destination": ""}, "longer than 108 octets"),
    ({"version": 2, "source": "a\0b", "destination": ""}, "has a NUL in it"),
    ({"version": 2, "tlvs": ((256, b""),)}, "256 is no type of a TLV"),
    ({"version": 2, "tlvs": ((3, b""),)}, "one checksum at most"),
    ({"version": 2, "tlvs": ((3, bytes(4)),) * 2}, "one checksum at most"),
    ({"version": 2, "tlvs": ((1, bytes(65533)),)}, "the TLVs are 1 octets too long"),
    (
        {"version": 2, "source": ("::1", 1), "destination": ("::1", 1), "tlvs": ((1, bytes(65532)),)},
        "36 octets too",
    ),
]


@pytest.mark.parametrize(("says", "problem"), IMPOSSIBLE)
def test_a_header_that_cannot_be_sent_cannot_be_made(says: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ProxyHeader(**says)
