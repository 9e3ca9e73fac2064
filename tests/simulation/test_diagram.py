"""What a sequence diagram shows of packets and notes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.simulation.diagram import Kind, Note, draw
from twistnet.simulation.packets import ACK, FIN, PSH, RST, SYN, Endpoint, Fate, Packet, Transport

CLIENT = Endpoint("client", "10.0.0.1", 49152)
SERVER = Endpoint("server", "10.0.0.2", 7007)


def packet(
    source: Endpoint = CLIENT,
    destination: Endpoint = SERVER,
    payload: bytes = b"",
    flags: int = 0,
    seq: int = 0,
    ack: int = 0,
    *,
    sent: float = 0.0,
    took: float | None = 0.05,
    fate: Fate = Fate.ARRIVED,
    transport: Transport = Transport.TCP,
    copy: bool = False,
    tries: int = 0,
) -> Packet:
    made = Packet(sent, transport, source, destination, payload, flags, seq, ack)
    made.fate, made.copy, made.tries = fate, copy, tries
    made.arrived = sent + took if fate is Fate.ARRIVED and took is not None else None
    return made


def note(text: str, kind: Kind = Kind.MARK, host: str = "", time: float = 0.0) -> Note:
    return Note(time=time, host=host, kind=kind, text=text)


def some_hosts(count: int, name: str = "host") -> list[Endpoint]:
    return [Endpoint(f"{name}{number}", f"10.0.0.{number}", 1000 + number) for number in range(count)]


def label(record: Packet) -> str:
    """What stands at the right of the lifelines."""
    return draw([record]).splitlines()[-1].rpartition("|  ")[2].strip()


CONVERSATION = """\
           client        server
 0.000000  *             |     name: server -> 10.0.0.2
           |------------>|     49152 > 7007   SYN  +50ms
 0.050000  |<------------|     7007 > 49152   SYN ACK  +50ms
 0.100000  |------------>|     49152 > 7007   ACK 1  +50ms
           |------------>|     49152 > 7007   PSH seq 1:6 len 5 "hello"  +50ms
 0.120000  -- partition client | server begins --
 0.150000  |x------------|     7007 > 49152   PSH seq 1:6 len 5 "hello"  cut off
 0.160000  -- partition ends --
 0.350000  |<------------|     7007 > 49152   PSH seq 1:6 len 5 "hello" (retransmission)  +50ms
 0.400000  |             *     timer: Echo.idle
           |<------------|     7007 > 49152   FIN seq 6  +50ms
12.000000  |------------x|     49152 > 7007   RST  held
"""


def test_a_conversation_reads_as_one() -> None:
    hello = (b"hello", PSH | ACK, 1)
    records: list[Packet | Note] = [
        note("server -> 10.0.0.2", Kind.NAME, "client"),
        packet(flags=SYN),
        packet(SERVER, CLIENT, flags=SYN | ACK, ack=1, sent=0.05),
        packet(flags=ACK, seq=1, ack=1, sent=0.1),
        packet(CLIENT, SERVER, *hello, 1, sent=0.1),
        note("partition client | server begins", Kind.FAULT, time=0.12),
        packet(SERVER, CLIENT, *hello, 6, sent=0.15, fate=Fate.CUT_OFF),
        note("partition ends", Kind.FAULT, time=0.16),
        packet(SERVER, CLIENT, *hello, 6, sent=0.35, copy=True, tries=1),
        note("Echo.idle", Kind.TIMER, "server", 0.4),
        packet(SERVER, CLIENT, flags=FIN | ACK, seq=6, ack=6, sent=0.4),
        packet(flags=RST, seq=6, sent=12.0, fate=Fate.HELD),
    ]
    assert draw(records) + "\n" == CONVERSATION


def test_nothing_is_no_text() -> None:
    assert draw([]) == ""


@pytest.mark.parametrize("fate", [f for f in Fate if f not in {Fate.ARRIVED, Fate.IN_FLIGHT}])
def test_what_did_not_arrive_has_a_cross_for_a_head_and_the_reason(fate: Fate) -> None:
    there, back, loop = (packet(*ends, fate=fate) for ends in ((), (SERVER, CLIENT), (CLIENT, CLIENT)))
    _, first, second, third = draw([there, back, loop]).splitlines()
    assert "|------------x|" in first
    assert "|x------------|" in second
    assert "|x-)" in third
    assert all(line.endswith(f"  {fate.value}") for line in (first, second, third))


def test_what_is_in_flight_still_has_its_head() -> None:
    line = draw([packet(fate=Fate.IN_FLIGHT)]).splitlines()[1]
    assert "|------------>|" in line
    assert line.endswith("in flight")


@pytest.mark.parametrize(
    ("took", "shown"),
    [
        (0.0, "+0s"),
        (1e-6, "+1us"),
        (0.0004, "+400us"),
        (0.001, "+1ms"),
        (0.0015, "+1.5ms"),
        (0.9999999, "+1s"),
        (0.05, "+50ms"),
        (0.1 + 0.2, "+300ms"),
        (0.123456, "+123.456ms"),
        (1.5, "+1.5s"),
        (86400.25, "+86400.25s"),
    ],
)
def test_how_long_it_took_is_short_to_read(took: float, shown: str) -> None:
    assert label(packet(flags=SYN, took=took)) == f"49152 > 7007   SYN  {shown}"


@pytest.mark.parametrize(
    ("record", "shown"),
    [
        (packet(payload=b"ab", flags=ACK, seq=9, ack=4), 'seq 9:11 len 2 "ab"'),
        (packet(payload=b"ab", flags=FIN | PSH | ACK, seq=9), 'FIN PSH seq 9:11 len 2 "ab"'),
        (packet(flags=RST | ACK, seq=9), "RST"),
        (
            packet(payload=b"ab", flags=PSH, seq=1, copy=True, tries=2),
            'PSH seq 1:3 len 2 "ab" (retransmission 2)',
        ),
        (packet(payload=b"ab", flags=PSH, seq=1, copy=True), 'PSH seq 1:3 len 2 "ab" (duplicate)'),
        (packet(payload=b"ab", transport=Transport.UDP), 'UDP len 2 "ab"'),
        (packet(payload=b"", transport=Transport.UDP), "UDP len 0"),
        (packet(payload=b"a", transport=Transport.UDP, copy=True), 'UDP len 1 "a" (duplicate)'),
    ],
)
def test_a_packet_is_named_by_its_flags_numbers_and_octets(record: Packet, shown: str) -> None:
    assert label(record) == f"49152 > 7007   {shown}  +50ms"


def test_unix_sockets_are_arrows_to_oneself_with_the_path() -> None:
    path, nameless = Endpoint("server", "/run/app.sock", 0), Endpoint("server", "", 0)
    stream = packet(nameless, path, b"abc", seq=1, transport=Transport.UNIX_STREAM, took=0.0)
    datagram = packet(path, path, b"abc", transport=Transport.UNIX_DATAGRAM, took=0.0)
    assert draw([stream, datagram]).splitlines()[1:] == [
        '0.000000  |<-)  - > /run/app.sock  UNIX stream seq 1:4 len 3 "abc"  +0s',
        '          |<-)  /run/app.sock > /run/app.sock  UNIX datagram len 3 "abc"  +0s',
    ]


def test_a_group_has_a_lifeline_of_its_own() -> None:
    group = Endpoint("", "239.1.2.3", 5353)
    header, line = draw([packet(CLIENT, group, b"a", transport=Transport.UDP)]).splitlines()
    assert header.split() == ["client", "239.1.2.3"]
    assert header.index("2") == line.index(">|") + 1


def test_a_fault_of_one_host_goes_across_and_names_it() -> None:
    lines = draw([packet(flags=SYN), note("crashes", Kind.FAULT, "server")]).splitlines()
    assert lines[-1] == "          -- server: crashes --"


def test_a_fault_goes_across_all_lifelines() -> None:
    hosts = some_hosts(6)
    arrows = [packet(hosts[0], host, flags=SYN) for host in hosts]
    header, *lines = draw([*arrows, note("partition begins", Kind.FAULT)]).splitlines()
    assert lines[-1].startswith("          -- partition begins ---")
    assert set(lines[-1][38:]) == {"-"}
    assert len(lines[-1]) > header.index("host5")


@pytest.mark.parametrize("kind", Kind)
def test_a_note_of_no_host_goes_across(kind: Kind) -> None:
    assert draw([note("begins", kind)]).splitlines()[-1] == "0.000000  -- begins --"


@pytest.mark.parametrize("count", range(1, 7))
def test_every_arrow_runs_between_the_lifelines_of_its_hosts(count: int) -> None:
    hosts = some_hosts(count)
    pairs = [(a, b) for a in hosts for b in hosts]
    records: list[Packet | Note] = [note("here", Kind.TIMER, host.host) for host in hosts]
    records += [packet(a, b, flags=SYN) for a, b in pairs]
    header, *lines = draw(records).splitlines()
    column = {host: header.index(host.host) for host in hosts}
    assert [line.index("*") for line in lines[:count]] == [column[host] for host in hosts]
    for (a, b), line in zip(pairs, lines[count:], strict=True):
        if a == b:
            assert line[column[a] :].startswith("|<-)")
        elif column[a] < column[b]:
            assert set(line[column[a] + 1 : column[b] - 1]) == {"-"}
            assert line[column[b] - 1 : column[b] + 1] == ">|"
            assert line[column[a]] == "|"
        else:
            assert line[column[b] : column[b] + 2] == "|<"
            assert set(line[column[b] + 2 : column[a]]) == {"-"}
            assert line[column[a]] == "|"


@pytest.mark.parametrize("hosts", [some_hosts(7), some_hosts(4, "a-host-with-quite-a-long-name-")])
def test_many_hosts_or_long_names_are_a_list(hosts: list[Endpoint]) -> None:
    first, *others = hosts
    records: list[Packet | Note] = [packet(first, other, flags=SYN) for other in others]
    records[-1] = packet(first, others[-1], flags=SYN, fate=Fate.LOST)
    records += [note("rings", Kind.TIMER, first.host), note("partition", Kind.FAULT)]
    lines = draw(records).splitlines()
    assert lines[0] == f"0.000000  {first.host}:1000 -> {others[0].host}:1001  SYN  +50ms"
    assert lines[-3] == f"          {first.host}:1000 -x {others[-1].host}:{others[-1].port}  SYN  lost"
    assert lines[-2:] == [f"          {first.host} * timer: rings", "          -- partition --"]
    assert len(lines) == len(records)


def test_quotes_backslashes_and_spaces_are_kept_apart() -> None:
    payload = b' "a\\"\x1b[2J\xe9 '
    assert label(packet(payload=payload, seq=1)).partition("len ")[2] == (
        r"""11 " \"a\\\"\x1b[2J\xe9 "  +50ms"""
    )


def test_a_long_payload_is_cut_and_shown_as_cut() -> None:
    assert label(packet(payload=b"x" * 24, seq=1)).split()[-2] == '"' + "x" * 24 + '"'
    assert label(packet(payload=b"x" * 25, seq=1)).split()[-2] == '"' + "x" * 24 + '"...'


@given(st.binary(max_size=40))
def test_octets_are_shown_in_printable_ascii_and_can_be_read_back(payload: bytes) -> None:
    text = draw([packet(payload=payload, transport=Transport.UDP)])
    assert text.isascii()
    assert all(line.isprintable() for line in text.splitlines())
    assert len(text.split("\n")) == 2
    if payload:
        shown = text[text.index('"') + 1 : text.rindex('"')]
        read = shown.replace('\\"', '"').encode("ascii").decode("unicode_escape").encode("latin-1")
        assert read == payload[:24]


@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from(Kind), st.integers(1, 8))
def test_no_name_or_note_breaks_a_line_or_drives_a_terminal(
    name: str, text: str, kind: Kind, count: int
) -> None:
    ends = [Endpoint(f"{name}{number}", f"/{text}", 0) for number in range(count)]
    records = [packet(ends[0], end, transport=Transport.UNIX_DATAGRAM) for end in ends]
    lines = draw([*records, note(text, kind, name)]).split("\n")
    assert all(line.isprintable() for line in lines)
    assert len(lines) in {count + 1, count + 2}
