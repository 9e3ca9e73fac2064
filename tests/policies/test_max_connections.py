"""The policy `max_connections`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.policies.decisions import Decision
from twistnet.policies.max_connections import MaxConnections


@pytest.mark.parametrize(("overflow", "too_many"), [("wait", Decision.DELAY), ("refuse", Decision.REFUSE)])
def test_what_a_connection_too_many_meets(overflow: str, too_many: Decision) -> None:
    slots = MaxConnections(2, overflow)
    met = []
    for _ in range(3):
        met.append(slots.decide())
        if met[-1] is Decision.ADMIT:
            slots.enter()
    assert met == [Decision.ADMIT, Decision.ADMIT, too_many]
    assert slots.full
    assert str(slots.violation()) == "2 connections are open (max_connections)"
    slots.leave()
    assert slots.decide() is Decision.ADMIT


def test_without_a_limit_nobody_is_one_too_many() -> None:
    slots = MaxConnections()
    for _ in range(1000):
        slots.enter()
    assert not slots.full
    assert slots.decide() is Decision.ADMIT


@given(st.lists(st.booleans()), st.integers(1, 5))
def test_the_count_says_how_many_have_not_left(arrivals: list[bool], limit: int) -> None:
    slots, inside = MaxConnections(limit), 0
    for arrives in arrivals:
        if arrives and slots.decide() is Decision.ADMIT:
            slots.enter()
            inside += 1
        elif not arrives and inside:
            slots.leave()
            inside -= 1
        assert slots.open == inside <= limit
        assert slots.full == (inside == limit)
