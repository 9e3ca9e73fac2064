"""What is counted, and what is read from it."""

from __future__ import annotations

import json
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.client.bench.findings import Findings, shown_octets, shown_time
from twistnet.client.bench.latencies import PERCENTILES, Latencies
from twistnet.client.bench.measurement import Measurement, Throughput
from twistnet.client.bench.plan import Plan


def plan(**asked: object) -> Plan:
    """One like the command's own."""
    arguments = {
        "connections": 2, "size": 64, "window": None, "duration": 10.0, "warm_up": 1.0, "rate": None,
        "timeout": None, "expect": "echo", "datagrams": False,
    }  # fmt: skip
    return Plan.of(**(arguments | asked))  # type: ignore[arg-type]


@given(st.lists(st.floats(1e-7, 1e4), min_size=1, max_size=200))
def test_percentiles_are_those_of_the_latencies_to_three_figures(seconds: list[float]) -> None:
    latencies = Latencies()
    for value in seconds:
        latencies.record(value, 1)
    distribution = latencies.distribution()
    assert distribution is not None
    assert distribution.count == len(seconds)
    assert distribution.mean == pytest.approx(sum(seconds) / len(seconds), rel=2e-3, abs=2e-9)
    assert distribution.deviation == pytest.approx(
        statistics.pstdev(seconds), rel=1e-2, abs=2e-3 * max(seconds)
    )
    assert distribution.least == pytest.approx(min(seconds), rel=2e-3, abs=2e-9)
    assert distribution.most == pytest.approx(max(seconds), rel=2e-3, abs=2e-9)
    for percentage in PERCENTILES:
        rank = max(1, int(percentage / 100 * len(seconds) + 0.5))
        there = sorted(seconds)[rank - 1]
        assert distribution.percentiles[percentage] == pytest.approx(there, rel=2e-3, abs=2e-9)


def test_a_million_latencies_take_the_memory_of_few() -> None:
    """A class for each thousandth of a latency, from a microsecond to an hour."""
    latencies = Latencies()
    for index in range(200_000):
        latencies.record(1e-6 * 1.0001**index % 3600, 5)
    assert len(latencies._counts) < 35_000
    distribution = latencies.distribution()
    assert distribution is not None
    assert distribution.count == 1_000_000


def test_nothing_recorded_is_no_distribution() -> None:
    assert Latencies().distribution() is None


@pytest.mark.parametrize("number", [1, 7, 1000, 1001, 250_000])
def test_requests_that_wait_count_with_their_waiting(number: int) -> None:
    """Due at equal distances in two seconds: half of them have waited for more than one."""
    latencies = Latencies()
    latencies.record_waiting(2.0, number)
    distribution = latencies.distribution()
    assert distribution is not None
    assert distribution.count == pytest.approx(number, rel=0.01)
    assert distribution.most == pytest.approx(2.0, rel=2e-3)
    if number >= 1000:
        assert distribution.percentiles[50] == pytest.approx(1.0, rel=0.01)


def test_the_warm_up_is_left_out() -> None:
    measured = Measurement()
    measured.plan(1.0, 3.0)
    measured.reply(0.0, 0.5, 100)
    measured.lose(0.2)
    measured.open(1.0, 7.0)
    measured.reply(0.9, 1.5, 10)
    measured.lose(0.9)
    measured.reply(1.5, 1.75, 4)
    measured.lose(1.5)
    measured.close(3.0, 7.5)
    measured.reply(2.9, 3.5, 1)
    assert (measured.answered, measured.lost, measured.busy) == (5, 1, 0.25)
    assert measured.rate == 7, "14 replies came in the two seconds, ten of them to requests of the warm-up"
    distribution = measured.latencies.distribution()
    assert distribution is not None
    assert distribution.most == pytest.approx(0.6, rel=2e-3)


def test_a_time_is_as_long_as_it_was_meant_to_be_though_timers_ring_late() -> None:
    measured = Measurement()
    measured.plan(1.0, 2.0)
    measured.open(1.04, 0.0)
    for since, now in ((0.9, 0.95), (0.95, 1.0), (1.0, 1.01), (1.9, 1.99), (1.99, 2.0), (1.99, 2.1)):
        measured.reply(since, now, 1)
    measured.close(2.2, 0.29)
    assert (measured.seconds, measured.replies, measured.others, measured.answered) == (1.0, 3, 3, 4)
    assert measured.busy == pytest.approx(0.25)
    measured.close(9.0, 9.0)
    assert measured.seconds == 1.0
    old = Measurement()
    old.plan(85123.456789, 85123.456789 + 0.2)
    old.close(1e6, 0.0)
    assert old.seconds == 0.2


def test_of_a_time_too_short_to_tell_nobody_says_how_busy_it_was() -> None:
    """The kernel's figures move by milliseconds at a time."""
    short = Measurement()
    short.plan(0.0, 0.002)
    short.open(0.0, 0.0)
    short.reply(0.001, 0.0015, 1)
    short.close(0.002, 0.0043)
    assert short.busy is None
    assert list(findings(short).warnings()) == []
    assert "busy" not in findings(short).as_text()
    assert findings(short).as_data()["generator"]["busy"] is None
    crowded = Measurement()
    crowded.plan(0.0, 1.0)
    crowded.open(0.0, 0.0)
    crowded.close(1.0, 1.3)
    assert crowded.busy == 1.0


@given(st.lists(st.tuples(st.floats(0.001, 10), st.integers(0, 10**6)), max_size=3000))
def test_the_throughput_keeps_every_reply_in_few_pieces(pieces: list[tuple[float, int]]) -> None:
    throughput, now = Throughput(), 50.0
    for seconds, replies in pieces:
        throughput.add(now, now + seconds, replies)
        now += seconds
    points = throughput.points(50.0)
    assert len(points) <= 400
    assert sum(replies for _, _, replies in throughput._pieces) == sum(replies for _, replies in pieces)
    assert [time for time, _ in points] == sorted(time for time, _ in points)


def test_a_steady_throughput_is_steady_though_its_last_piece_is_short() -> None:
    throughput = Throughput()
    for index in range(1001):
        throughput.add(index / 10, (index + 1) / 10, 50)
    throughput.add(100.1, 100.1001, 3)
    throughput.add(100.1001, 100.1001, 10**9)
    points = throughput.points(0.0)
    assert 100 < len(points) <= 400
    assert [rate for _, rate in points[:-1]] == pytest.approx([500.0] * (len(points) - 1))


def findings(measured: Measurement, **asked: object) -> Findings:
    """What is made of a measurement."""
    return Findings.of("tcp:here:7", plan(**asked), measured, None)


def measured(*, busy: float = 5.0) -> Measurement:
    """A thousand replies in ten seconds."""
    measurement = Measurement()
    measurement.plan(0.0, 10.0)
    measurement.open(0.0, 0.0)
    for index in range(1000):
        measurement.reply(index / 100, index / 100 + 0.001, 1)
    measurement.close(10.0, busy)
    return measurement


def test_a_busy_generator_is_warned_of_and_an_idle_one_is_not() -> None:
    assert list(findings(measured(busy=8.0)).warnings()) == []
    (warning,) = findings(measured(busy=9.6)).warnings()
    assert "was busy, or waited for a processor, for 96% of the time" in warning


def test_a_generator_that_is_late_is_warned_of() -> None:
    late = measured()
    late.pace.woke(0.009, 500)
    assert list(findings(late).warnings()) == []
    late.pace.woke(0.25, 30)
    (warning,) = findings(late).warnings()
    assert "30 requests were late by 10 ms or more, the latest by 250 ms" in warning


def test_a_server_that_does_not_keep_up_is_told_of() -> None:
    behind = measured()
    behind.left(8.0, 250, 10.0)
    (warning,) = findings(behind, rate=125.0).warnings()
    assert "250 of 1250 requests could not be sent" in warning
    assert "the server does not keep up with --rate" in warning


def test_who_was_the_limit_is_said_only_where_it_is_known() -> None:
    """A generator that was busy throughout knows nothing of the server, and lost datagrams fill a window too."""
    busy = measured(busy=10.0)
    busy.left(8.0, 250, 10.0)
    both = list(findings(busy, rate=125.0).warnings())
    assert len(both) == 2
    assert "it may have been the limit" in both[0]
    assert "the generator was too slow itself, so nothing is known of whether the server keeps up" in both[1]
    lossy = measured()
    lossy.left(8.0, 250, 10.0)
    for _ in range(500):
        lossy.lose(1.0)
    full, lost = findings(lossy, rate=175.0, datagrams=True).warnings()
    assert "each lost datagram holds a place in it for 1 s (--timeout)" in full
    assert "does not keep up" not in full
    lossy.pace.woke(0.2, 300)
    late, full, _ = findings(lossy, rate=175.0, datagrams=True).warnings()
    assert "fell behind" in late
    assert "was too slow itself and each lost datagram holds a place" in full
    assert "500 datagrams, or the replies to them, were lost" in lost
    assert "--guard off" in lost


def test_the_table_says_that_a_wait_for_a_processor_is_among_the_time_of_the_generator() -> None:
    assert "generator busy  50%, or waiting for a processor" in findings(measured(busy=5.0)).as_text()


def test_json_has_plain_numbers_only() -> None:
    data = json.loads(json.dumps(findings(measured()).as_data(), allow_nan=False))
    assert data["requests"]["answered"] == 1000
    assert data["requests_per_second"] == 100
    assert data["octets_per_second"] == 6400
    assert data["latency"]["percentiles"].keys() == {"50", "75", "90", "95", "99", "99.9", "99.99"}
    nothing = json.loads(json.dumps(findings(Measurement()).as_data(), allow_nan=False))
    assert nothing["latency"] is None


def test_the_table_says_what_a_person_wants_to_know() -> None:
    text = findings(measured()).as_text()
    assert "tcp:here:7: 2 connections, 64 octets a request, window 1, closed loop, 10 s after 1 s" in text
    assert "requests a second  100.0\n" in text
    assert "99.99 %  1 ms" in text
    assert "lost" not in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (85e-6, "85 µs"),
        (0.0009996, "1 ms"),
        (0.0123, "12.3 ms"),
        (0.9996, "1 s"),
        (1234, "1,234 s"),
    ],
)
def test_times_are_shown_to_three_figures(seconds: float, text: str) -> None:
    assert shown_time(seconds) == text


def test_octets_are_shown_exactly_while_they_are_few() -> None:
    assert [shown_octets(octets) for octets in (0, 1, 64, 9999, 65536, 1.5e9, 2e13)] == [
        "0 octets", "1 octet", "64 octets", "9,999 octets", "65.5 kB", "1,500 MB", "20,000 GB",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"size": 0}, "--size 0 is for datagrams"),
        ({"size": 65508, "datagrams": True}, "65507 octets that a datagram can carry"),
        ({"size": 1, "window": 11, "datagrams": True}, "room to number 10 requests: no --window of 11"),
        ({"size": 0, "window": 2, "datagrams": True}, "room to number 1 requests"),
        ({"connections": 1025, "window": 1024}, "--connections times --window is 1049600"),
    ],
)
def test_what_cannot_be_done_names_the_option(asked: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        plan(**asked)


def test_what_is_not_said_depends_on_the_rest() -> None:
    assert (plan().window, plan().timeout) == (1, 5.0)
    assert plan(rate=5.0).window == 1000
    assert plan(rate=5.0, size=1, datagrams=True).window == 10
    assert plan(rate=5.0, connections=2048).window == 512
    assert plan(size=0, datagrams=True).window == 1
    assert plan(datagrams=True).timeout == 1.0
    assert plan(rate=0.05).requests == math.ceil(11 * 0.05)
