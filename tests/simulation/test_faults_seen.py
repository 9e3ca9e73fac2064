"""What each fault does to those who meet with it."""

from __future__ import annotations

import pytest
from twisted.internet.error import (
    CannotListenError,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    TimeoutError,
)
from twisted.internet.protocol import Factory

from tests.simulation.stage import Stage
from twistnet.errors import SimulationError
from twistnet.simulation import (
    BlackHole,
    Crash,
    Degrade,
    NamesFail,
    NamesSilent,
    NamesSlow,
    Network,
    Partition,
    Refuse,
    Reset,
    Skew,
)

# Partitions and holds


def test_a_stream_goes_on_after_a_partition_with_nothing_missing_or_twice() -> None:
    stage = Stage()
    client, server = stage.connected()
    with stage.net.fault(Partition(stage.a, stage.b)):
        client.transport.write(b"from a")
        server.transport.write(b"from b")
        stage.net.advance(60)
        assert client.octets == server.octets == b""
    stage.net.settle()
    assert (client.octets, server.octets) == (b"from b", b"from a")
    assert client.lost == server.lost == []


def test_a_partition_of_one_way_lets_the_other_way_through() -> None:
    stage = Stage()
    client, server = stage.connected()
    with stage.net.fault(Partition("a", "b", both=False)):
        client.transport.write(b"up")
        server.transport.write(b"down")
        stage.net.advance(10)
        assert (client.octets, server.octets) == (b"down", b"")
    stage.net.settle()
    assert (client.octets, server.octets) == (b"down", b"up")


def test_a_partition_may_have_several_hosts_on_a_side() -> None:
    stage = Stage()
    near, near_server = stage.connected(stage.a)
    far, far_server = stage.connected(stage.c)
    with stage.net.fault(Partition(("a", "b"), stage.c)):
        near.transport.write(b"near")
        far.transport.write(b"far")
        stage.net.advance(1)
        assert (near_server.octets, far_server.octets) == (b"near", b"")


def test_a_connection_that_was_begun_in_a_partition_is_made_when_it_ends() -> None:
    stage = Stage()
    with stage.net.fault(Partition("a", "b")):
        assert stage.why_not(timeout=10) is TimeoutError
        waiting = stage.calls(stage.a, timeout=60)
        stage.net.advance(10)
        assert not waiting.called
    assert stage.net.run(waiting).transport.getPeer().port == 7


def test_one_who_keeps_sending_into_a_partition_gives_up_after_a_quarter_of_an_hour() -> None:
    stage = Stage()
    client, server = stage.connected()
    begun = stage.net.clock.now
    stage.net.partition("a", "b")
    client.transport.write(b"anybody?")
    stage.net.advance(2000)
    assert client.lost == [pytest.approx(begun + 924.6, rel=0.02)]
    assert client.reasons == [ConnectionLost]
    assert server.lost == []


def test_what_is_held_arrives_in_order_when_it_is_released() -> None:
    stage = Stage()
    client, server = stage.connected()
    token = stage.net.hold("a", "b")
    for data in (b"one ", b"two ", b"three"):
        client.transport.write(data)
        stage.sender.transport.write(data)
        stage.net.advance(1)
    assert server.octets == b""
    assert stage.datagrams.heard == []
    stage.net.release(token)
    stage.net.settle()
    assert server.octets == b"one two three"
    assert stage.datagrams.heard == [b"one ", b"two ", b"three"]


def test_releasing_ends_every_hold_and_nothing_else() -> None:
    stage = Stage()
    stage.net.hold("a", "b", both=False)
    stage.net.hold("b", "a", both=False)
    stage.net.partition("b", "c")
    stage.net.release()
    assert stage.a_datagram_arrives()
    assert not stage.net.direction("b", "c").is_open


def test_releasing_one_hold_leaves_another() -> None:
    stage = Stage()
    first, second = stage.net.hold("a", "b"), stage.net.hold("a", "b")
    stage.net.release(first)
    assert not stage.a_datagram_arrives()
    stage.net.release(second)
    stage.net.advance(0.01)
    assert len(stage.datagrams.heard) == 1


def test_a_degraded_link_is_what_it_was_afterwards() -> None:
    stage = Stage(latency=0.01)
    client, server = stage.connected()

    def arrival() -> float:
        sent = stage.net.clock.now
        client.transport.write(b"x")
        stage.net.settle()
        return server.heard[-1][0] - sent

    assert arrival() == pytest.approx(0.01, abs=1e-4)
    with stage.net.fault(Degrade("a", "b", latency=0.5)):
        assert arrival() == pytest.approx(0.5, abs=1e-4)
    assert arrival() == pytest.approx(0.01, abs=1e-4)


# Ports


def test_a_port_that_refuses_refuses_new_connections_only() -> None:
    stage = Stage()
    client, server = stage.connected()
    with stage.net.fault(Refuse(stage.b, 7)):
        begun = stage.net.clock.now
        assert stage.why_not() is ConnectionRefusedError
        assert stage.net.clock.now - begun < 0.1
        client.transport.write(b"still here")
        stage.net.settle()
    assert server.octets == b"still here"
    stage.connected()


def test_a_black_hole_answers_nothing_until_the_caller_gives_up() -> None:
    stage = Stage()
    client, server = stage.connected()
    with stage.net.fault(BlackHole("b", 7)):
        begun = stage.net.clock.now
        assert stage.why_not(timeout=20) is TimeoutError
        assert stage.net.clock.now - begun == pytest.approx(20, abs=0.1)
        client.transport.write(b"still here")
        stage.net.settle()
    assert server.octets == b"still here"
    stage.connected()


def test_datagrams_to_a_port_that_refuses_are_told_so_and_to_a_black_hole_are_not() -> None:
    stage = Stage()
    with stage.net.fault(Refuse("b", 9, transport="udp")):
        assert not stage.a_datagram_arrives()
    assert stage.sender.refused == 1
    with stage.net.fault(BlackHole("b", 9, transport="udp")):
        assert not stage.a_datagram_arrives()
    assert stage.sender.refused == 1


# Crashes


def test_those_who_wait_for_a_crashed_machine_see_nothing() -> None:
    stage = Stage()
    client, server = stage.connected()
    stage.net.crash("b")
    stage.net.advance(100_000)
    assert client.lost == []
    assert server.lost == [], "a program that has crashed is told nothing"


def test_those_who_send_to_a_crashed_machine_are_not_answered_and_give_up() -> None:
    stage = Stage()
    client, _ = stage.connected()
    stage.net.crash("b")
    begun = stage.net.clock.now
    client.transport.write(b"anybody?")
    stage.net.advance(600)
    assert client.lost == []
    stage.net.advance(600)
    assert client.lost == [pytest.approx(begun + 924.6, rel=0.02)]


def test_those_who_send_to_a_machine_that_runs_again_are_reset() -> None:
    stage = Stage()
    client, _ = stage.connected()
    with stage.net.fault(Crash(stage.b)):
        stage.net.advance(60)
    stage.net.advance(60)
    assert client.lost == []
    begun = stage.net.clock.now
    client.transport.write(b"anybody?")
    stage.net.advance(1)
    assert client.lost == [pytest.approx(begun + 0.002)]
    assert client.reasons == [ConnectionLost]


def test_octets_that_a_crash_met_on_their_way_are_answered_with_a_reset_by_who_runs_again() -> None:
    stage = Stage()
    client, _ = stage.connected()
    client.transport.write(b"too late")
    with stage.net.fault(Crash("b")):
        stage.net.advance(5)
        assert client.lost == []
    stage.net.advance(10)
    assert client.reasons == [ConnectionLost]
    assert all(server.octets == b"" for server in stage.served)


def test_a_crashed_machine_cannot_be_connected_to_until_it_runs_again() -> None:
    stage = Stage()
    assert stage.boots == 1
    with stage.net.fault(Crash("b")):
        assert stage.why_not(timeout=20) is TimeoutError
        waiting = stage.calls(stage.a, timeout=60)
        stage.net.advance(5)
    assert stage.boots == 2
    stage.net.run(waiting)


def test_the_connections_that_a_crashed_machine_had_made_are_as_dead() -> None:
    stage = Stage()
    client, server = stage.connected()
    with stage.net.fault(Crash("a")):
        server.transport.write(b"anybody?")
        stage.net.advance(10)
        assert server.lost == []
    stage.net.advance(60)
    assert server.reasons == [ConnectionLost]
    assert client.lost == []


def test_the_timers_of_a_crashed_machine_do_not_fire() -> None:
    stage = Stage()
    fired: list[str] = []
    for host in (stage.a, stage.b):
        host.callLater(5, fired.append, host.name)
    with stage.net.fault(Crash("b")):
        stage.net.advance(1)
    stage.net.advance(10)
    assert fired == ["a"]
    assert stage.b.getDelayedCalls() == []


def test_a_machine_that_runs_again_takes_over_the_paths_and_locks_that_it_had_left() -> None:
    stage = Stage()
    stage.b.listenUNIX("/run/b", Factory(), wantPID=True)
    with pytest.raises(CannotListenError):
        stage.b.listenUNIX("/run/b", Factory(), wantPID=True)
    with stage.net.fault(Crash("b")):
        stage.net.advance(1)
    stage.b.listenUNIX("/run/b", Factory(), wantPID=True)
    with pytest.raises(CannotListenError):
        stage.b.listenUNIX("/run/b", Factory(), wantPID=True)


def test_a_crashed_machine_opens_no_ports() -> None:
    stage = Stage()
    stage.net.crash("c")
    with pytest.raises(SimulationError, match="c has crashed: restart it first"):
        stage.c.listenTCP(7, Factory())
    stage.net.restart("c")
    stage.c.listenTCP(7, Factory())


def test_a_machine_crashes_and_starts_again_once() -> None:
    stage = Stage()
    for _ in range(2):
        stage.net.crash("b")
    for _ in range(2):
        stage.net.restart("b")
    assert stage.boots == 2


# Clocks


def test_a_clock_that_jumps_moves_no_timer() -> None:
    stage = Stage()
    fired: list[float] = []
    stage.b.callLater(10, lambda: fired.append(stage.net.clock.now))
    with stage.net.fault(Skew(stage.b, 3600)):
        assert stage.b.seconds() - stage.a.seconds() == 3600
        with stage.net.fault(Skew("b", -7200)):
            assert stage.b.seconds() - stage.a.seconds() == -3600
            stage.net.advance(5)
    stage.net.advance(10)
    assert fired == [10.0]
    assert stage.b.seconds() == stage.a.seconds() == 15


# Resets


def test_a_reset_ends_the_connections_that_there_are_and_no_others() -> None:
    stage = Stage()
    ends = [*stage.connected(), *stage.connected()]
    other = stage.connected(stage.c)
    stage.net.begin(Reset("a", "b"))
    stage.net.settle()
    assert [end.reasons for end in ends] == [[ConnectionLost]] * 4
    assert [end.reasons for end in other] == [[], []]
    client, server = stage.connected()
    client.transport.write(b"new")
    stage.net.settle()
    assert server.octets == b"new"


def test_a_reset_may_mean_one_port_only() -> None:
    stage = Stage()
    client, server = stage.connected()
    stage.net.begin(Reset("a", "b", port=8))
    stage.net.settle()
    assert client.lost == server.lost == []
    stage.net.begin(Reset("b", "a", port=client.transport.getHost().port))
    stage.net.settle()
    assert client.reasons == [ConnectionLost]
    assert server.reasons == [ConnectionLost]


def test_a_reset_of_one_way_is_heard_by_the_other_end_when_it_speaks() -> None:
    stage = Stage()
    client, server = stage.connected()
    stage.net.begin(Reset("a", "b", both=False))
    stage.net.advance(10)
    assert client.reasons == [ConnectionLost]
    assert server.lost == []
    server.transport.write(b"anybody?")
    stage.net.advance(1)
    assert server.reasons == [ConnectionLost]


@pytest.mark.parametrize("latency", [0.0, 0.25])
def test_a_reset_at_an_octet_comes_after_what_was_sent_and_lets_nothing_more_through(latency: float) -> None:
    stage = Stage(latency=latency)
    client, server = stage.connected()
    stage.net.schedule(Reset("a", "b"), offset=5, between=("a", "b"))
    client.transport.write(b"0123456789")
    stage.net.settle()
    assert server.octets == b"01234"
    assert client.reasons == [ConnectionLost]
    assert server.reasons == [ConnectionLost]


def test_a_reset_leaves_nothing_to_be_sent_again() -> None:
    stage = Stage()
    client, server = stage.connected()
    with stage.net.fault(Partition("a", "b")):
        client.transport.write(b"lost")
        server.transport.write(b"lost")
        stage.net.advance(1)
        stage.net.begin(Reset("a", "b"))
        stage.net.advance(100)
    assert client.reasons == server.reasons == [ConnectionLost]
    assert not stage.net.links.retransmissions_come


# Names


@pytest.mark.parametrize("fault", [NamesFail("b"), NamesFail(), NamesFail("B")])
def test_a_name_that_fails_is_not_found(fault: NamesFail) -> None:
    stage = Stage()
    with stage.net.fault(fault):
        assert stage.why_not() is DNSLookupError
    stage.connected()


def test_a_name_that_fails_is_the_same_in_any_spelling() -> None:
    stage = Stage()
    with stage.net.fault(NamesFail("B.")):
        assert not stage.a_name_is_found()
    assert stage.a_name_is_found()


def test_only_the_names_that_are_meant_fail() -> None:
    stage = Stage()
    with stage.net.fault(NamesFail("c", "elsewhere.example")):
        stage.connected()


def test_an_address_needs_no_name() -> None:
    stage = Stage()
    with stage.net.fault(NamesFail()), stage.net.fault(NamesSilent()):
        address = stage.b.addresses[0]
        assert stage.net.run(stage.a.resolve(address)) == address


def test_a_question_for_a_name_that_is_not_answered_runs_into_the_callers_time_limit() -> None:
    stage = Stage()
    with stage.net.fault(NamesSilent("b")):
        assert stage.why_not(timeout=20) is TimeoutError
    assert stage.net.clock.now == pytest.approx(20)
    stage.connected()


def test_a_slow_answer_makes_connecting_take_that_long() -> None:
    stage = Stage()
    begun = stage.net.clock.now
    with stage.net.fault(NamesSlow(5)):
        stage.net.run(stage.calls(stage.a))
    assert stage.net.clock.now - begun == pytest.approx(5, abs=0.1)


def test_nothing_can_be_set_for_later_on_a_host_that_has_crashed() -> None:
    net = Network()
    host = net.host("a")
    net.crash(host)
    with pytest.raises(SimulationError, match="a has crashed"):
        host.callLater(1, lambda: None)
    net.restart(host)
    host.callLater(1, lambda: None)
