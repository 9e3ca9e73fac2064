"""The policy `per_source`."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from twistnet.policies.per_source import PerSource


def test_a_source_has_its_limit_and_another_has_its_own() -> None:
    policy = PerSource(2)
    for _ in range(2):
        assert policy.check("192.0.2.7") is None
        policy.enter("192.0.2.7")
    violation = policy.check("192.0.2.7")
    assert str(violation) == "2 connections of 192.0.2.7 are open (per_source)"
    assert policy.check("192.0.2.8") is None
    policy.leave("192.0.2.7")
    assert policy.check("192.0.2.7") is None


def test_to_ask_makes_a_source_no_better_known() -> None:
    policy = PerSource(1)
    for number in range(100):
        assert policy.check(str(number)) is None
    assert len(policy) == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())), st.integers(1, 3))
def test_it_knows_the_sources_with_open_connections_and_no_others(
    events: list[tuple[str, bool]], limit: int
) -> None:
    policy, inside = PerSource(limit), Counter[str]()
    for source, arrives in events:
        if arrives and policy.check(source) is None:
            policy.enter(source)
            inside[source] += 1
        elif not arrives and inside[source]:
            policy.leave(source)
            inside[source] -= 1
        assert len(policy) == len(+inside)
        assert max(inside.values(), default=0) <= limit
        assert (policy.check(source) is None) == (inside[source] < limit)
    for source in (+inside).elements():
        policy.leave(source)
    assert len(policy) == 0
