"""The datagram guard: pure decisions, told the time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet import DatagramConfig, DatagramGuard, Drop
from twistnet.policies.datagram_guard import HOLD, PEERS, RETURNS, RUN, SOURCES, Source

PUBLIC = ("192.0.2.1", 7009)
CLIENT = ("198.51.100.7", 40000)


def guard(local: Source = PUBLIC, **settings: Any) -> DatagramGuard:
    return DatagramGuard(DatagramConfig(**settings), local)


@pytest.mark.parametrize(
    ("source", "drop"),
    [
        (CLIENT, None),
        (("198.51.100.7", 1024), None),
        (("198.51.100.7", 7), Drop.SOURCE_PORT),
        (("198.51.100.7", 1023), Drop.SOURCE_PORT),
        (("198.51.100.7", 2049), Drop.SOURCE_PORT),
        (("198.51.100.7", 0), Drop.SOURCE_PORT),
        (("0.1.2.3", 40000), Drop.SPECIAL_ADDRESS),
        (("224.0.0.1", 40000), Drop.SPECIAL_ADDRESS),
        (("239.255.255.255", 40000), Drop.SPECIAL_ADDRESS),
        (("255.255.255.255", 40000), Drop.SPECIAL_ADDRESS),
        (("255.1.2.3", 40000), Drop.SPECIAL_ADDRESS),
        (("127.0.0.1", 40000), Drop.LOOPBACK),
        (("127.1.2.3", 40000), Drop.LOOPBACK),
        (("::1", 40000), Drop.LOOPBACK),
        (("::", 40000), Drop.SPECIAL_ADDRESS),
        (("ff02::1", 40000), Drop.SPECIAL_ADDRESS),
        (("::ffff:198.51.100.7", 40000), Drop.SPECIAL_ADDRESS),
        (("2001:db8::1", 40000), None),
        (("fe80::1%eth0", 40000), None),
        (("nonsense", 40000), Drop.SPECIAL_ADDRESS),
        (PUBLIC, Drop.ITSELF),
        ("/run/client.sock", None),
        (None, Drop.UNBOUND),
        ("", Drop.UNBOUND),
    ],
)
def test_sources(source: Source, drop: Drop | None) -> None:
    tested = guard()
    assert tested.receive(0.0, source, b"x") is drop
    assert tested.counters["received"] == 1
    if drop:
        assert tested.counters[drop] == 1


@pytest.mark.parametrize("local", [("127.0.0.1", 7009), ("127.9.9.9", 7009), ("::1", 7009)])
def test_loopback_is_answered_on_loopback(local: Source) -> None:
    assert guard(local).receive(0.0, ("127.0.0.1", 40000), b"x") is None
    assert guard(local).receive(0.0, ("::1", 40000), b"x") is None


def test_what_is_longer_than_max_datagram_is_dropped_guard_or_not() -> None:
    for on in (True, False):
        tested = guard(max_datagram=10, guard=on)
        assert tested.receive(0.0, CLIENT, b"x" * 10) is None
        assert tested.receive(0.0, CLIENT, b"x" * 11) is Drop.TOO_LONG


def test_with_the_guard_off_the_rest_goes_through() -> None:
    tested = guard(guard=False, packet_rate=1, packet_burst=1)
    for _ in range(5000):
        assert tested.receive(0.0, ("198.51.100.7", 7), b"x") is None
        tested.replied(0.0, ("198.51.100.7", 7), b"x")
    assert tested.counters["answered"] == 5000


def test_a_source_has_its_burst_and_then_its_rate() -> None:
    tested = guard(packet_rate=10, packet_burst=20)
    verdicts = [tested.receive(0.0, ("198.51.100.7", 2000 + n * 100), b"%d" % n) for n in range(25) if n]
    assert verdicts.count(None) == 20
    assert verdicts.count(Drop.SOURCE_RATE) == 4
    assert tested.receive(0.0, ("203.0.113.1", 40000), b"x") is None, "another source has its own"
    assert [tested.receive(1.0, CLIENT, b"y%d" % n) for n in range(11)].count(None) == 10


def test_a_64_of_ipv6_is_one_source() -> None:
    tested = guard(("2001:db8:ffff::1", 7009), packet_rate=1, packet_burst=3)
    sources = [(f"2001:db8:0:1::{n:x}", 40000) for n in range(1, 6)]
    assert [tested.receive(0.0, source, b"x") for source in sources].count(None) == 3
    assert tested.receive(0.0, ("2001:db8:0:2::1", 40000), b"x") is None


def test_all_sources_share_the_total() -> None:
    tested = guard(total_packet_rate=50)
    verdicts = [tested.receive(0.0, (f"198.51.100.{n}", 40000), b"x") for n in range(100)]
    assert verdicts.count(None) == 50
    assert verdicts.count(Drop.TOTAL_RATE) == 50


def test_an_answer_longer_than_its_question_is_counted_and_costs_more() -> None:
    tested = guard(packet_rate=1, packet_burst=10)
    assert tested.receive(0.0, CLIENT, b"x") is None
    tested.replied(0.0, CLIENT, b"x" * 6)
    assert tested.counters["amplified"] == 1
    assert [tested.receive(0.0, CLIENT, b"%d" % n) for n in range(9)].count(None) == 4


def bounce(
    tested: DatagramGuard, payload: bytes, seconds: float, times: int, start: float = 0.0
) -> list[Drop | None]:
    """A peer that sends back whatever it is sent, and the verdicts on that."""
    verdicts: list[Drop | None] = []
    for turn in range(times):
        now = start + seconds * turn / times
        verdicts.append(tested.receive(now, CLIENT, payload))
        if verdicts[-1] is None:
            tested.replied(now, CLIENT, payload)
    return verdicts


def test_a_payload_that_keeps_coming_back_is_a_loop() -> None:
    tested = guard(packet_rate=1e6, packet_burst=10**6, total_packet_rate=1e6)
    verdicts = bounce(tested, b"PING", 0.5, RETURNS + 100)
    assert Drop.LOOP in verdicts
    assert set(verdicts[verdicts.index(Drop.LOOP) :]) == {Drop.LOOP}
    returns, seconds = tested.loop_of(CLIENT)
    assert returns == RETURNS
    assert seconds <= 0.5
    assert tested.receive(0.5, CLIENT, b"something else") is None, "only what comes back is not answered"
    assert tested.receive(0.5 + HOLD, CLIENT, b"PING") is None, "and not for ever"


def test_several_payloads_in_flight_are_a_loop_too() -> None:
    tested = guard(packet_rate=1e6, packet_burst=10**6, total_packet_rate=1e6)
    payloads = [b"%d" % n for n in range(20)]
    verdicts = [v for _ in range(200) for p in payloads for v in bounce(tested, p, 0.0, 1)]
    assert Drop.LOOP in verdicts


@pytest.mark.parametrize(("round_trip", "payloads"), [(0.02, 1), (0.1, 1), (0.4, 1), (0.1, 80)])
def test_a_slow_loop_ends_too(round_trip: float, payloads: int) -> None:
    """However long it takes to come round, and with many payloads in it."""
    tested, now, answers = guard(), 0.0, 0
    alive = {b"%d" % n for n in range(payloads)}
    while alive:
        now += round_trip
        for number, payload in enumerate(sorted(alive)):
            if tested.receive(now + number * 1e-4, CLIENT, payload) is None:
                tested.replied(now + number * 1e-4, CLIENT, payload)
                answers += 1
            else:
                alive.remove(payload)
        assert answers <= 2 * RUN
    assert tested.counters[Drop.LOOP] + tested.counters[Drop.SOURCE_RATE] == payloads


def test_a_monitor_that_sends_the_same_for_ever_is_no_loop() -> None:
    tested = guard()
    for second in range(3 * RUN):
        assert tested.receive(float(second), CLIENT, b"are you there") is None
        tested.replied(second + 0.001, CLIENT, b"are you there")


def test_a_listener_on_every_address_knows_its_own() -> None:
    tested = DatagramGuard(DatagramConfig(), ("0.0.0.0", 7009), lambda host: host == "192.0.2.1")
    assert tested.receive(0.0, ("192.0.2.1", 7009), b"x") is Drop.ITSELF
    assert tested.receive(0.0, ("192.0.2.1", 7010), b"x") is None
    assert tested.receive(0.0, ("192.0.2.2", 7009), b"x") is None


def test_answers_that_nobody_asked_for_cost_their_receiver() -> None:
    tested = guard(packet_rate=1, packet_burst=10)
    assert tested.receive(0.0, CLIENT, b"12345") is None
    for _ in range(5):
        tested.replied(0.0, CLIENT, b"12345")
    assert tested.counters["amplified"] == 4
    assert tested.receive(0.0, CLIENT, b"again") is Drop.SOURCE_RATE


def test_a_clock_that_is_put_back_makes_no_loop_of_a_question_and_ends_one_in_time() -> None:
    tested = guard(packet_rate=1e6, packet_burst=10**6, total_packet_rate=1e6)
    assert set(bounce(tested, b"PING", 0.1, 10, start=7200.0)) == {None}
    assert set(bounce(tested, b"PING", 0.1, 10, start=3600.0)) == {None}
    assert Drop.LOOP in bounce(tested, b"PING", 0.5, RETURNS + 100, start=3600.0)
    assert tested.receive(0.0, CLIENT, b"PING") is None


def test_ipv4_mapped_into_ipv6_is_the_ipv4_source() -> None:
    tested = guard(packet_rate=1, packet_burst=10)
    tested.replied(0.0, ("::ffff:198.51.100.7", 40000), b"x" * 100)
    assert tested.receive(0.0, CLIENT, b"x") is Drop.SOURCE_RATE
    assert tested.receive(0.0, ("198.51.100.8", 40000), b"x") is None


def test_a_client_that_asks_the_same_in_a_hurry_is_no_loop_unless_it_is_as_fast_as_one() -> None:
    tested = guard(packet_rate=1e6, packet_burst=10**6, total_packet_rate=1e6)
    assert set(bounce(tested, b"PING", 50.0, 4900)) == {None}, "a hundred a second, for most of a minute"
    assert set(bounce(tested, b"PING", 0.1, 900, start=100.0)) == {None}


def test_questions_that_differ_from_their_answers_are_no_loop() -> None:
    tested = guard(packet_rate=1e6, packet_burst=10**6, total_packet_rate=1e6)
    for n in range(3 * RETURNS):
        assert tested.receive(n * 1e-5, CLIENT, b"ping") is None
        tested.replied(n * 1e-5, CLIENT, b"PING")


def test_a_flood_of_forged_sources_is_forgotten_again() -> None:
    tested = guard(total_packet_rate=1e9)
    for n in range(SOURCES + 5000):
        tested.receive(0.0, (f"198.{n >> 16}.{n >> 8 & 255}.{n & 255}", 40000), b"x")
    assert len(tested._buckets) == len(tested._verdicts) == SOURCES
    assert len(tested._peers) == PEERS


SOURCE: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.ip_addresses().map(str), st.integers(0, 65535)),
    st.text(),
    st.none(),
    st.tuples(st.text(), st.integers(0, 65535)),
)


@given(st.lists(st.tuples(SOURCE, st.binary(max_size=30), st.floats(0, 2)), max_size=60), st.booleans())
def test_every_datagram_has_one_verdict_and_every_drop_is_counted(
    events: list[tuple[Any, bytes, float]], on: bool
) -> None:
    tested, now, answered = guard(guard=on, packet_rate=5, packet_burst=5, max_datagram=20), 0.0, 0
    for source, payload, pause in events:
        now += pause
        if tested.receive(now, source, payload) is None:
            tested.replied(now, source, payload)
            answered += 1
    counters = tested.counters
    assert counters["received"] == len(events) == answered + sum(counters[drop] for drop in Drop)
    assert counters["answered"] == answered
