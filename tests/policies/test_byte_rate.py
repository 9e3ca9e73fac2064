"""The policy `rate` and `burst`."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.policies.byte_rate import ByteRate

NOW = 1.8e9
"""A time such as the clock tells today: a float of it is exact to a quarter of a microsecond."""

RATES = st.one_of(
    st.integers(1, 50), st.sampled_from([1024, 65536, 10**6, 100 * 1024**2]), st.integers(1, 10**9)
)
STEPS = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 5)),
        st.sampled_from(["grant", "advance", "pass", "give back"]),
        st.floats(0, 3),
    ),
    max_size=60,
)


def most_in_any_window(passed: list[tuple[float, int]], rate: float) -> float:
    """The most octets of any window, above `rate` times how long it is."""
    most, level, before = 0.0, 0.0, passed[0][0] if passed else 0.0
    for now, octets in passed:
        level = max(0.0, level - rate * (now - before)) + octets
        most, before = max(most, level), now
    return most


@given(RATES, st.one_of(st.none(), st.integers(1, 10**6)), STEPS)
def test_no_window_gets_more_than_its_rate_and_one_burst(
    rate: int, burst: int | None, steps: list[tuple[float, str, float]]
) -> None:
    """Whatever is asked for, passed later or given back; what was granted in advance counts when it passes."""
    tested, now, advanced = ByteRate.of(rate, burst, NOW), NOW, 0
    passed: list[tuple[float, int]] = []
    for pause, step, share in steps:
        now += pause
        if step == "grant":
            wanted = int(share * tested.burst) + 1
            passed.append((now, tested.grant(now, wanted)))
            assert 0 <= passed[-1][1] <= wanted
        elif step == "advance":
            tested.give_back(advanced)
            advanced = tested.advance(now, limit := int(share * tested.burst))
            assert advanced <= limit
        elif step == "pass":
            octets = min(advanced, int(share * advanced))
            advanced -= octets
            passed.append((now, octets))
        else:
            tested.give_back(advanced)
            advanced = 0
    assert most_in_any_window(passed, rate) <= tested.burst + 1e-6 * tested.burst + 1e-3


def test_the_window_that_is_looked_for_is_the_worst() -> None:
    assert most_in_any_window([(0.0, 10), (1.0, 10), (9.0, 10), (9.5, 6)], 4.0) == 16


@given(RATES, st.one_of(st.none(), st.integers(1, 10**6)), st.integers(1, 10**6), st.floats(0, 1))
def test_a_pause_is_worth_waiting_for(rate: int, burst: int | None, wanted: int, later: float) -> None:
    """After it at least one octet passes; and it is no shorter than the clock can tell."""
    tested, now = ByteRate.of(rate, burst, NOW + later), NOW + later
    for _ in range(20):
        for _ in range(2):
            tested.grant(now, 10**9)
        assert tested.grant(now, 1) == 0
        pause = tested.wait(wanted)
        assert now + pause > now
        now += pause
        assert tested.grant(now, wanted) >= 1


@pytest.mark.parametrize("rate", [1, 3, 7, 9, 11, 39, 40, 100, 1024, 65536, 10**6, 100 * 1024**2])
@pytest.mark.parametrize("late", [0.0, 0.001, 0.1])
@pytest.mark.parametrize("wanted", [1, 1000, 65536, 2**31])
def test_who_always_wants_more_gets_the_rate(rate: int, late: float, wanted: int) -> None:
    """With timers that are late, and portions in advance of which half is given back."""
    tested, now, passed, chance = ByteRate.of(rate, None, NOW), NOW, 0, random.Random(rate)
    wanted = max(wanted, rate // 1000)
    for _ in range(300):
        while granted := tested.grant(now, wanted):
            advanced = tested.advance(now, wanted)
            passed += granted + advanced - advanced // 2
            tested.give_back(advanced // 2)
        now += tested.wait(wanted) + late * chance.choice([0, 0.5, 1])
    assert 0.99 * rate * (now - NOW) <= passed <= rate * (now - NOW) + tested.burst


def test_a_pause_lasts_until_a_twentieth_of_a_second_is_worth_it() -> None:
    """Rather than one octet: each pause costs a timer."""
    tested = ByteRate.of(100_000, None, NOW)
    assert tested.grant(NOW, 10**9) == 20_000
    assert tested.wait(10**9) == pytest.approx(0.05, rel=1e-3)
    assert tested.wait(100) == pytest.approx(0.001, rel=1e-2)


def test_an_idle_connection_has_its_burst_again() -> None:
    """But for the portion that may be out still, granted in advance."""
    tested = ByteRate.of(1000, 800, NOW)
    assert tested.grant(NOW, 10**6) == 800
    assert tested.grant(NOW + 3600, 10**6) == 700
    assert tested.advance(NOW + 7200, 10**6) == 100
    assert tested.grant(NOW + 10800, 10**6) == 700


def test_a_burst_too_small_for_portions_grants_nothing_in_advance() -> None:
    tested = ByteRate.of(1000, 7, NOW)
    assert tested.advance(NOW, 10**6) == 0
    assert tested.grant(NOW, 10**6) == 7


@given(st.lists(st.floats(-10_000, 1), max_size=50), RATES)
def test_a_clock_that_is_put_back_grants_no_flood_and_stops_nobody(steps: list[float], rate: int) -> None:
    tested, now, passed, gained = ByteRate.of(rate, None, NOW), NOW, 0, 0.0
    for step in steps:
        now += step
        gained += max(0.0, step)
        passed += tested.grant(now, 10**10)
        assert passed <= (tested.burst + rate * gained) * (1 + 1e-6) + 1
    now += tested.wait(1)
    assert tested.grant(now, 1) == 1


@pytest.mark.parametrize("rate", [1024, 100 * 1024**2])
def test_a_rate_is_kept_for_ten_minutes(rate: int) -> None:
    """By one who always wants a read's worth, and waits as it is told."""
    bucket, now, passed, wanted = ByteRate.of(rate, None, NOW), NOW, 0, max(65536, rate // 50)
    while now < NOW + 600:
        passed += (granted := bucket.grant(now, wanted))
        if granted < wanted:
            now += bucket.wait(wanted - granted)
    assert passed == pytest.approx(600 * rate, rel=0.05)
