"""The capture file: read back by a parser of our own everywhere, and by tshark where there is one."""

from __future__ import annotations

import io
import struct
import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.simulation.packets import ACK, FIN, PSH, RST, SYN, Endpoint, Fate, Packet, Transport
from twistnet.simulation.pcap import LONGEST_SEGMENT, write_pcap

V4 = ("10.0.0.1", "10.0.0.2")
V6 = ("2001:db8::1", "2001:db8::2")
MAPPED = ("::ffff:10.0.0.1", "::ffff:10.0.0.2")


def packet(
    payload: bytes = b"",
    flags: int = 0,
    seq: int = 0,
    ack: int = 0,
    *,
    addresses: tuple[str, str] = V4,
    ports: tuple[int, int] = (49152, 40007),
    transport: Transport = Transport.TCP,
    sent: float = 0.0,
    fate: Fate = Fate.ARRIVED,
) -> Packet:
    source, destination = (Endpoint("host", *end) for end in zip(addresses, ports, strict=True))
    made = Packet(sent, transport, source, destination, payload, flags, seq, ack)
    made.fate = fate
    return made


def written(*packets: Packet, lost: bool = True) -> bytes:
    file = io.BytesIO()
    write_pcap(file, packets, lost=lost)
    return file.getvalue()


class Frame(NamedTuple):
    """What our own parser finds in a frame; 0 for the numbers that UDP does not have."""

    time: int
    version: int
    source: str
    destination: str
    protocol: int
    ports: tuple[int, int]
    flags: int
    seq: int
    ack: int
    payload: bytes


def words_sum(octets: bytes) -> int:
    """The ones' complement sum, word by word with the carry brought round (RFC 1071, section 4.1)."""
    total = 0
    for (word,) in struct.iter_unpack("!H", octets + bytes(len(octets) % 2)):
        total += word
        total = (total & 0xFFFF) + (total >> 16)
    return total


def frames(capture: bytes) -> list[Frame]:
    """All frames of a file, each checked for its lengths and checksums."""
    assert struct.unpack_from("<IHHIIII", capture) == (0xA1B23C4D, 2, 4, 0, 0, 262144, 101)
    found, at = [], 24
    while at < len(capture):
        seconds, nanoseconds, kept, length = struct.unpack_from("<IIII", capture, at)
        assert kept == length
        assert nanoseconds < 10**9
        frame = capture[at + 16 : at + 16 + kept]
        assert len(frame) == kept
        found.append(parsed(seconds * 10**9 + nanoseconds, frame))
        at += 16 + kept
    return found


def parsed(time: int, frame: bytes) -> Frame:
    version = frame[0] >> 4
    if version == 4:
        assert frame[0] == 0x45
        assert struct.unpack_from("!H", frame, 2)[0] == len(frame)
        assert words_sum(frame[:20]) == 0xFFFF
        source, destination, protocol, body = frame[12:16], frame[16:20], frame[9], frame[20:]
        pseudo_header = source + destination + struct.pack("!BBH", 0, protocol, len(body))
    else:
        assert version == 6
        assert struct.unpack_from("!H", frame, 4)[0] == len(frame) - 40
        source, destination, protocol, body = frame[8:24], frame[24:40], frame[6], frame[40:]
        pseudo_header = source + destination + struct.pack("!IHBB", len(body), 0, 0, protocol)
    assert words_sum(pseudo_header + body) == 0xFFFF
    first, second = struct.unpack_from("!HH", body)
    flags = seq = ack = 0
    if protocol == 17:
        length, checksum = struct.unpack_from("!HH", body, 4)
        assert length == len(body)
        assert checksum
        payload = body[8:]
    else:
        assert protocol == 6
        seq, ack, offset, flags = struct.unpack_from("!IIBB", body, 4)
        payload = body[(offset >> 4) * 4 :]
    addresses = str(ip_address(source)), str(ip_address(destination))
    return Frame(time, version, *addresses, protocol, (first, second), flags, seq, ack, payload)


def test_no_packets_are_a_file_with_a_header_alone() -> None:
    assert written() == bytes.fromhex("4d3cb2a1 0200 0400 00000000 00000000 00000400 65000000")


@given(
    st.binary(max_size=70),
    st.integers(0, 0x1F),
    st.integers(0, 2**40),
    st.integers(0, 2**40),
    st.sampled_from([V4, V6, MAPPED, (V4[0], MAPPED[1])]),
    st.tuples(st.integers(0, 65535), st.integers(0, 65535)),
    st.sampled_from([Transport.TCP, Transport.UDP]),
)
def test_a_packet_is_read_back_as_it_was(
    payload: bytes,
    flags: int,
    seq: int,
    ack: int,
    addresses: tuple[str, str],
    ports: tuple[int, int],
    transport: Transport,
) -> None:
    tcp = transport is Transport.TCP
    made = packet(payload, flags, seq, ack, addresses=addresses, ports=ports, transport=transport)
    (frame,) = frames(written(made))
    version, plain = (6, V6) if addresses == V6 else (4, V4)
    numbers = (flags, seq % 2**32, ack % 2**32 if flags & ACK else 0) if tcp else (0, 0, 0)
    assert frame == Frame(0, version, *plain, 6 if tcp else 17, ports, *numbers, payload)


def test_an_address_of_each_family_is_ipv6_with_the_other_mapped() -> None:
    (frame,) = frames(written(packet(addresses=("10.0.0.1", "2001:db8::2"))))
    assert frame.version == 6
    assert ip_address(frame.source) == ip_address("::ffff:10.0.0.1")


@given(st.floats(0, 2**31))
def test_time_stamps_are_in_nanoseconds(sent: float) -> None:
    (frame,) = frames(written(packet(sent=sent)))
    assert abs(frame.time - sent * 1e9) <= max(1.0, sent * 1e9 * 1e-15)


def test_a_time_that_floats_cannot_say_is_the_nearest_nanosecond() -> None:
    assert 1.001 * 1e9 < 1_001_000_000
    assert frames(written(packet(sent=1.001)))[0].time == 1_001_000_000


def test_seconds_go_round_where_their_field_ends() -> None:
    assert frames(written(packet(sent=2.0**32)))[0].time == 0


def test_the_order_is_that_of_sending_and_then_of_recording() -> None:
    sent = [(0.3, b"d"), (0.1, b"b"), (0.2, b"c"), (0.1, b"B"), (0.0, b"a")]
    capture = written(*(packet(payload, sent=time) for time, payload in sent))
    assert [frame.payload for frame in frames(capture)] == [b"a", b"b", b"B", b"c", b"d"]


def test_what_was_lost_is_written_unless_it_is_not_wanted() -> None:
    packets = [packet(fate.value.encode(), fate=fate) for fate in Fate]
    assert len(frames(written(*packets))) == len(Fate)
    kept = {frame.payload for frame in frames(written(*packets, lost=False))}
    assert kept == {b"in flight", b"arrived", b"held", b"refused"}


def test_packets_of_unix_sockets_are_left_out() -> None:
    ends = Endpoint("host", "", 0), Endpoint("host", "/run/app.sock", 0)
    unix = [Packet(0.0, kind, *ends, b"a") for kind in (Transport.UNIX_STREAM, Transport.UNIX_DATAGRAM)]
    assert [frame.payload for frame in frames(written(*unix, packet(b"b")))] == [b"b"]


@pytest.mark.parametrize("addresses", [V4, V6])
@pytest.mark.parametrize("syn", [0, SYN])
@pytest.mark.parametrize("size", [LONGEST_SEGMENT - 4, LONGEST_SEGMENT, LONGEST_SEGMENT + 1, 200_000])
def test_a_segment_that_no_packet_holds_is_several(addresses: tuple[str, str], syn: int, size: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    start = 2**32 - 100
    found = frames(written(packet(payload, syn | FIN | PSH | ACK, start, 7, addresses=addresses)))
    longest = LONGEST_SEGMENT - 4 if syn else LONGEST_SEGMENT
    assert len(found) == -(-size // longest)
    assert b"".join(frame.payload for frame in found) == payload
    expected = start
    for number, frame in enumerate(found):
        assert (frame.seq, frame.ack) == (expected % 2**32, 7)
        first, last = number == 0, number == len(found) - 1
        assert frame.flags == ACK | (syn if first else 0) | (FIN | PSH if last else 0)
        expected += len(frame.payload) + (1 if frame.flags & SYN else 0)


def test_a_reset_comes_with_the_last_octet() -> None:
    found = frames(written(packet(bytes(LONGEST_SEGMENT + 1), RST)))
    assert [frame.flags for frame in found] == [0, RST]


@pytest.mark.parametrize(("addresses", "most"), [(V4, 65507), (V6, 65527)])
def test_the_longest_datagram_is_one_packet_and_a_longer_one_is_refused(
    addresses: tuple[str, str], most: int
) -> None:
    longest = packet(bytes(most), addresses=addresses, transport=Transport.UDP)
    assert [len(frame.payload) for frame in frames(written(longest))] == [most]
    with pytest.raises(ValueError, match=str(most + 1)):
        written(packet(bytes(most + 1), addresses=addresses, transport=Transport.UDP))


def test_the_window_is_as_wide_as_tcp_allows() -> None:
    syn, data = (written(packet(flags=flags))[24 + 16 + 20 :] for flags in (SYN, ACK))
    assert (syn[12] >> 4, data[12] >> 4) == (6, 5)
    assert syn[20:] == bytes([1, 3, 3, 14])
    assert syn[14:16] == data[14:16] == b"\xff\xff"


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        written(packet(addresses=("nowhere", "10.0.0.1")))


@pytest.mark.parametrize("addresses", [V4, V6])
def test_a_checksum_of_udp_that_comes_to_0_is_written_as_ones(addresses: tuple[str, str]) -> None:
    plain = written(packet(b"\0\0", addresses=addresses, transport=Transport.UDP))
    balance = plain[-4:-2]  # the checksum, where the payload adds nothing to the sum
    capture = written(packet(balance, addresses=addresses, transport=Transport.UDP))
    assert capture[-4:-2] == b"\xff\xff"
    assert frames(capture)[0].payload == balance


FIELDS = (
    *("frame.time_epoch", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst"),
    *("tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.seq_raw", "tcp.ack_raw", "tcp.payload"),
    *("udp.srcport", "udp.dstport", "udp.length", "udp.payload"),
    *(
        "ip.checksum.status",
        "tcp.checksum.status",
        "udp.checksum.status",
        "_ws.malformed",
        "_ws.expert.message",
    ),
)


def dissected(path: Path) -> list[dict[str, str]]:
    """What tshark finds in each frame, with all checksums checked; empty fields left out."""
    command = ["tshark", "-n", "-r", str(path), "-T", "fields"]
    for protocol in ("ip", "tcp", "udp"):
        command += ["-o", f"{protocol}.check_checksum:TRUE"]
    for field in FIELDS:
        command += ["-e", field]
    answer = subprocess.run(command, check=True, timeout=60, capture_output=True, text=True).stdout
    rows = [line.split("\t") for line in answer.splitlines()]
    return [{name: value for name, value in zip(FIELDS, row, strict=True) if value} for row in rows]


GOOD = "1"  # a checksum that was verified, in the fields `*.checksum.status`


@pytest.mark.needs("tshark")
@pytest.mark.parametrize(("addresses", "layer"), [(V4, "ip"), (MAPPED, "ip"), (V6, "ipv6")])
def test_tshark_reads_a_stream(tmp_path: Path, addresses: tuple[str, str], layer: str) -> None:
    there, back = addresses, (addresses[1], addresses[0])
    packets = [
        packet(flags=SYN, addresses=there),
        packet(flags=SYN | ACK, ack=1, sent=0.05, addresses=back, ports=(40007, 49152)),
        packet(b"hello", PSH | ACK, 1, 1, sent=0.1, addresses=there),
        packet(bytes(100_000), ACK, 1, 6, sent=0.15, addresses=back, ports=(40007, 49152)),
        packet(flags=FIN | ACK, seq=6, ack=100_001, sent=1.25, addresses=there),
    ]
    path = tmp_path / "stream.pcap"
    path.write_bytes(written(*packets))
    rows = dissected(path)
    plain = V6 if layer == "ipv6" else V4
    ends = [(row[f"{layer}.src"], row[f"{layer}.dst"]) for row in rows]
    assert ends == [plain, plain[::-1], plain, plain[::-1], plain[::-1], plain]
    assert [int(row["tcp.flags"], 16) for row in rows] == [SYN, SYN | ACK, PSH | ACK, ACK, ACK, FIN | ACK]
    assert [int(row["tcp.seq_raw"]) for row in rows] == [0, 0, 1, 1, 1 + LONGEST_SEGMENT, 6]
    assert [int(row["tcp.ack_raw"]) for row in rows] == [0, 1, 1, 6, 6, 100_001]
    lengths = [len(row.get("tcp.payload", "")) // 2 for row in rows]
    assert lengths == [0, 0, 5, LONGEST_SEGMENT, 100_000 - LONGEST_SEGMENT, 0]
    assert bytes.fromhex(rows[2]["tcp.payload"]) == b"hello"
    assert [row["tcp.srcport"] for row in rows] == ["49152", "40007", "49152", "40007", "40007", "49152"]
    assert {row["tcp.checksum.status"] for row in rows} == {GOOD}
    if layer == "ip":
        assert {row["ip.checksum.status"] for row in rows} == {GOOD}
    assert [float(row["frame.time_epoch"]) for row in rows] == [0.0, 0.05, 0.1, 0.15, 0.15, 1.25]
    complaints = "".join(row.get("_ws.expert.message", "") + row.get("_ws.malformed", "") for row in rows)
    assert not [word for word in ("window", "Malformed", "lost", "unseen") if word in complaints]


@pytest.mark.needs("tshark")
@pytest.mark.parametrize(("addresses", "layer", "most"), [(V4, "ip", 65507), (V6, "ipv6", 65527)])
def test_tshark_reads_datagrams(tmp_path: Path, addresses: tuple[str, str], layer: str, most: int) -> None:
    payloads = [b"", b"odd", bytes(range(256)), b"x" * most]
    path = tmp_path / "datagrams.pcap"
    path.write_bytes(
        written(*(packet(payload, addresses=addresses, transport=Transport.UDP) for payload in payloads))
    )
    rows = dissected(path)
    assert [bytes.fromhex(row.get("udp.payload", "")) for row in rows] == payloads
    assert [int(row["udp.length"]) for row in rows] == [8 + len(payload) for payload in payloads]
    assert {(row[f"{layer}.src"], row[f"{layer}.dst"]) for row in rows} == {addresses}
    assert {(row["udp.srcport"], row["udp.dstport"]) for row in rows} == {("49152", "40007")}
    assert {row["udp.checksum.status"] for row in rows} == {GOOD}
    assert not any("_ws.malformed" in row for row in rows)


@pytest.mark.needs("tshark")
def test_tshark_knows_a_retransmission_and_a_checksum_that_is_wrong(tmp_path: Path) -> None:
    first = packet(b"hello", PSH | ACK, 1, 1, fate=Fate.LOST)
    capture = written(first, first.again(0.2))
    path = tmp_path / "again.pcap"
    path.write_bytes(capture[:-1] + b"?")
    rows = dissected(path)
    assert "retransmission" in rows[1]["_ws.expert.message"]
    assert [row["tcp.checksum.status"] for row in rows] == [GOOD, "0"]
