"""The policies `idle_timeout`, `lifetime` and `handshake_timeout`."""

from __future__ import annotations

from math import inf, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.errors import HandshakeTimeout, IdleTimeout, LifetimeExceeded
from twistnet.policies.deadlines import Deadlines

NOW = 1.8e9
"""A time such as the clock tells today."""

SECONDS = st.one_of(st.none(), st.floats(0.001, 100_000))
TIMES = st.one_of(st.floats(0, 100), st.floats(NOW, NOW + 10))


def ran_out(tested: Deadlines, now: float, active: float) -> type | None:
    """The kind of what has run out."""
    violation = tested.violation(now, active)
    return None if violation is None else type(violation)


@pytest.mark.parametrize("opened", [0.0, NOW])
def test_silence_counts_from_when_something_last_happened(opened: float) -> None:
    tested = Deadlines(opened, idle=30.0)
    assert tested.next(opened) == opened + 30
    assert tested.next(opened + 29) == opened + 59
    assert ran_out(tested, opened + 58.9, opened + 29) is None
    assert ran_out(tested, opened + 59, opened + 29) is IdleTimeout
    assert str(tested.violation(opened + 59, opened)) == "silent for 30 s (idle_timeout)"


def test_a_lifetime_ends_whatever_happens() -> None:
    tested = Deadlines(NOW, idle=30.0, lifetime=60.0)
    assert tested.next(NOW + 59) == NOW + 60
    assert ran_out(tested, NOW + 59.9, NOW + 59.9) is None
    assert ran_out(tested, NOW + 60, NOW + 60) is LifetimeExceeded


def test_a_handshake_has_its_own_time_until_it_ends() -> None:
    tested = Deadlines(NOW, handshake=5.0)
    assert tested.next(NOW) is None, "none has begun"
    tested.begin_handshake(NOW + 1, 10.0)
    assert tested.next(NOW + 3) == NOW + 6
    assert ran_out(tested, NOW + 6, NOW + 6) is HandshakeTimeout
    tested.end_handshake()
    assert tested.next(NOW + 3) is None
    assert ran_out(tested, NOW + 6, NOW + 6) is None


def test_a_handshake_without_a_setting_takes_as_long_as_it_says_or_for_ever() -> None:
    tested = Deadlines(NOW)
    tested.begin_handshake(NOW, 10.0)
    assert tested.next(NOW) == NOW + 10
    tested.begin_handshake(NOW)
    assert tested.next(NOW) is None


def test_what_is_excused_is_not_told_again_and_the_rest_is() -> None:
    tested = Deadlines(NOW, idle=10.0, lifetime=20.0)
    violation = tested.violation(NOW + 10, NOW)
    assert violation is not None
    tested.excuse(violation)
    assert tested.next(NOW) == NOW + 20
    assert ran_out(tested, NOW + 10, NOW) is None
    assert ran_out(tested, NOW + 20, NOW) is LifetimeExceeded


@given(TIMES, st.floats(0, 50), SECONDS, SECONDS, SECONDS)
def test_nothing_runs_out_before_its_time_and_something_at_it(
    opened: float, later: float, idle: float | None, lifetime: float | None, handshake: float | None
) -> None:
    """To the last bit of a float: who looks at the time that was named, sees it."""
    tested = Deadlines(opened, idle, lifetime, handshake)
    tested.begin_handshake(opened)
    due = tested.next(opened + later)
    if due is None:
        assert idle is lifetime is handshake is None
        assert tested.violation(opened + 1e9, opened) is None
    else:
        assert tested.violation(nextafter(due, -inf), opened + later) is None
        assert tested.violation(due, opened + later) is not None


@given(TIMES, st.floats(0.001, 100_000), st.floats(0, 1))
def test_who_sleeps_until_then_does_not_wake_at_one_instant_for_ever(
    opened: float, idle: float, later: float
) -> None:
    """A timer takes a pause and not a time; what is lost in between is made up for in a few turns."""
    tested, active, now = Deadlines(opened, idle=idle), opened + later, opened + later
    for _ in range(3):
        now += max(0.0, (tested.next(active) or 0.0) - now)
        if tested.violation(now, active):
            break
    assert ran_out(tested, now, active) is IdleTimeout


def test_a_clock_that_is_put_back_ends_nothing_early() -> None:
    tested = Deadlines(NOW, idle=10.0, lifetime=20.0)
    assert tested.violation(NOW - 3600, NOW) is None
    assert tested.next(NOW - 3600) == NOW - 3590
