"""When faults begin and end: in a block, at a time, at an octet; and that nothing of them is left afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Factory, Protocol

from tests.simulation.stage import End, Stage
from twistnet.errors import SimulationError
from twistnet.simulation import (
    BlackHole,
    Crash,
    Degrade,
    Hold,
    NamesFail,
    NamesSilent,
    NamesSlow,
    Partition,
    Refuse,
    Reset,
    Skew,
)
from twistnet.simulation.trace import Note

LASTING: list[tuple[Any, Callable[[Stage], bool]]] = [
    (Partition("a", "b"), Stage.a_datagram_arrives),
    (Partition("a", "b", both=False), Stage.a_datagram_arrives),
    (Hold("a", "b"), Stage.a_datagram_arrives),
    (Degrade("a", "b", loss=1.0), Stage.a_datagram_arrives),
    (Refuse("b", 9, transport="udp"), Stage.a_datagram_arrives),
    (BlackHole("b", 9, transport="udp"), Stage.a_datagram_arrives),
    (Crash("b"), Stage.a_datagram_arrives),
    (Skew("b", 5), Stage.clocks_agree),
    (NamesFail("b"), Stage.a_name_is_found),
    (NamesFail(), Stage.a_name_is_found),
    (NamesSilent("b"), Stage.a_name_is_found),
    (NamesSilent(), Stage.a_name_is_found),
    (NamesSlow(5), Stage.a_name_is_found),
]
every_lasting_fault = pytest.mark.parametrize(("fault", "works"), LASTING, ids=lambda one: str(one)[:30])


@every_lasting_fault
def test_a_fault_lasts_as_long_as_its_block(fault: Any, works: Callable[[Stage], bool]) -> None:
    stage = Stage()
    assert works(stage)
    with stage.net.fault(fault) as begun:
        assert begun is fault
        assert not works(stage)
    stage.net.advance(0.01)
    assert works(stage)


@every_lasting_fault
def test_a_fault_begins_at_its_time_and_lasts_as_long_as_was_said(
    fault: Any, works: Callable[[Stage], bool]
) -> None:
    stage = Stage()
    assert stage.net.schedule(fault, at=5, lasting=3) is stage.net
    for until, expected in ((4.9, True), (5.05, False), (7.9, False), (8.1, True)):
        stage.net.advance(until - stage.net.clock.now)
        assert works(stage) is expected, until


@every_lasting_fault
def test_a_fault_begins_at_an_octet_of_a_connection(fault: Any, works: Callable[[Stage], bool]) -> None:
    stage = Stage()
    client, server = stage.connected()
    stage.net.schedule(fault, offset=5, between=("a", "b"), port=7, lasting=3)
    client.transport.write(b"0123")
    stage.net.advance(0.1)
    assert works(stage)
    assert server.octets == b"0123"
    client.transport.write(b"456789")
    stage.net.advance(0.0)
    assert not works(stage)
    stage.net.advance(3.5)
    assert works(stage)


@every_lasting_fault
def test_healing_ends_every_fault_for_good(fault: Any, works: Callable[[Stage], bool]) -> None:
    stage = Stage()
    token = stage.net.begin(fault)
    assert not works(stage)
    stage.net.heal()
    stage.net.end(token)
    stage.net.advance(0.01)
    assert works(stage)


def test_a_block_that_fails_ends_its_fault() -> None:
    stage = Stage()
    with pytest.raises(ZeroDivisionError), stage.net.fault(Partition("a", "b")):
        raise ZeroDivisionError
    assert stage.a_datagram_arrives()


def test_faults_are_in_the_trace() -> None:
    stage = Stage()
    with stage.net.fault(Degrade("a", ("b", "c"), both=False, loss=0.5)):
        stage.net.advance(1)
    stage.net.schedule(Refuse("b", 7), at=3, lasting=1).advance(5)
    noted = [(note.time, note.text) for note in stage.net.trace.records if isinstance(note, Note)]
    assert noted == [
        (0.0, "Degrade a -> b c loss=0.5 begins"),
        (1.0, "Degrade a -> b c loss=0.5 ends"),
        (3.0, "Refuse b:7/tcp begins"),
        (4.0, "Refuse b:7/tcp ends"),
    ]


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"at": 1, "offset": 5, "between": ("a", "b")},
        {"offset": 5},
        {"at": -1},
        {"at": float("inf")},
        {"at": 1, "lasting": -1},
        {"at": 1, "lasting": float("inf")},
        {"offset": 0, "between": ("a", "b")},
        {"offset": 1.5, "between": ("a", "b")},
    ],
)
def test_a_time_or_a_place_that_cannot_be_is_refused(where: dict[str, Any]) -> None:
    stage = Stage()
    with pytest.raises(ValueError, match=r"at|offset|lasting"):
        stage.net.schedule(Crash("b"), **where)
    stage.net.advance(10)
    assert stage.b.kernel.is_up


@pytest.mark.parametrize(
    "fault", [Partition("a", "bb"), Crash("bb"), Refuse("bb", 7), Skew("bb", 1), Reset("a", "bb")]
)
def test_a_host_that_is_not_there_is_named(fault: Any) -> None:
    stage = Stage()
    with pytest.raises(SimulationError, match="no host 'bb'"), stage.net.fault(fault):
        pass


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Degrade("a", "b", lattency=1), "lattency"),
        (lambda: Degrade("a", "b", loss=2), "loss"),
        (lambda: Refuse("b", 0), "port"),
        (lambda: BlackHole("b", 70000), "port"),
        (lambda: Refuse("b", 7, transport="sctp"), "transport"),
        (lambda: NamesSlow(-1), "seconds"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(make: Callable[[], Any], problem: str) -> None:
    with pytest.raises((TypeError, ValueError), match=problem):
        make()


# Octets


def test_a_partition_at_an_octet_cuts_the_stream_exactly_there() -> None:
    stage = Stage()
    client, server = stage.connected()
    stage.net.schedule(Partition("a", "b"), offset=5, between=(stage.a, stage.b), lasting=2)
    client.transport.write(b"0123456789")
    stage.net.advance(1)
    assert server.octets == b"01234"
    stage.net.advance(10)
    assert server.octets == b"0123456789"


def test_a_crash_of_the_sender_at_an_octet_leaves_what_it_had_sent() -> None:
    stage = Stage()
    client, server = stage.connected()
    stage.net.schedule(Crash("a"), offset=5, between=("a", "b"))
    client.transport.write(b"0123456789")
    stage.net.advance(3600)
    assert server.octets == b"01234"
    assert server.lost == []


def test_an_octet_may_be_of_the_answer_and_of_one_port_only() -> None:
    stage = Stage()
    client, server = stage.connected()
    stage.net.schedule(Hold("a", "b"), offset=3, between=("b", "a"), port=8)
    stage.net.schedule(Hold("a", "b"), offset=6, between=("b", "a"), port=7)
    client.transport.write(b"a question that is longer than six octets")
    server.transport.write(b"an answer")
    stage.net.advance(10)
    assert client.octets == b"an ans"


def test_an_octet_is_counted_on_each_connection_and_met_once() -> None:
    stage = Stage()
    ends = [stage.connected() for _ in range(3)]
    stage.net.schedule(Refuse("b", 7), offset=5, between=("a", "b"), lasting=1)
    for client, _ in ends:
        client.transport.write(b"0123")
    stage.net.advance(1)
    stage.connected()
    ends[1][0].transport.write(b"4")
    stage.net.advance(0)
    assert stage.why_not() is ConnectionRefusedError
    stage.net.advance(2)
    ends[2][0].transport.write(b"4")
    stage.net.advance(0)
    stage.connected()


# Several at once


@pytest.mark.parametrize("fault", [Partition, Hold, Degrade], ids=lambda kind: str(kind.__name__))
def test_a_fault_that_names_a_host_that_is_not_there_leaves_the_others_alone(fault: Any) -> None:
    stage = Stage()
    with pytest.raises(SimulationError):
        stage.net.begin(fault("a", ["b", "bb"], **({"loss": 1.0} if fault is Degrade else {})))
    assert stage.a_datagram_arrives()


def test_a_machine_that_crashes_twice_at_once_starts_when_both_are_over() -> None:
    stage = Stage()
    first, second = stage.net.begin(Crash("b")), stage.net.begin(Crash("b"))
    stage.net.end(second)
    assert stage.boots == 1
    stage.net.end(first)
    assert stage.boots == 2


def test_seconds_that_were_added_are_taken_away_without_a_rest() -> None:
    stage = Stage()
    kinds: list[Callable[[float], Any]] = [lambda seconds: Skew("b", seconds), NamesSlow]
    for kind in kinds:
        for token in [stage.net.begin(kind(0.1)), stage.net.begin(kind(0.2))]:
            stage.net.end(token)
    assert stage.b.skew == 0
    assert stage.net.names.delay == 0


def test_the_network_knows_what_goes_wrong_now() -> None:
    stage = Stage()
    with stage.net.fault(Crash("b")) as crash, stage.net.fault(Hold("a", "c")) as hold:
        assert stage.net.faults == [crash, hold]
    assert stage.net.faults == []


@pytest.mark.parametrize("fault", [Crash, None, "Crash b"])
def test_what_is_no_fault_is_refused(fault: Any) -> None:
    with pytest.raises(TypeError, match="a fault is"):
        Stage().net.begin(fault)


def test_an_octet_may_be_of_a_unix_stream() -> None:
    stage = Stage()
    accepted: list[End] = []

    def accept() -> End:
        accepted.append(End(stage.b))
        return accepted[-1]

    stage.b.listenUNIX("/socket", Factory.forProtocol(accept))
    stage.net.schedule(Skew("b", 5), offset=3, between=("b", "b"))
    made = stage.net.run(UNIXClientEndpoint(stage.b, "/socket").connect(Factory.forProtocol(Protocol)))
    assert made.transport is not None
    made.transport.write(b"ab")
    stage.net.settle()
    assert stage.b.skew == 0
    made.transport.write(b"cdef")
    stage.net.settle()
    assert stage.b.skew == 5
    assert accepted[0].octets == b"abcdef"


def test_a_crash_at_an_octet_of_a_unix_stream_ends_it_there() -> None:
    stage = Stage()
    stage.b.listenUNIX("/socket", Factory.forProtocol(lambda: End(stage.b)))
    stage.net.schedule(Crash("b"), offset=3, between=("b", "b"))
    made = stage.net.run(UNIXClientEndpoint(stage.b, "/socket").connect(Factory.forProtocol(Protocol)))
    assert made.transport is not None
    made.transport.write(b"abcdef")
    stage.net.settle()
    assert [packet.payload for packet in stage.net.trace.packets if packet.payload] == [b"abc"]
