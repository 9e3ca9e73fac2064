"""The policy `accept_rate`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twistnet.policies.accept_rate import SOURCES, AcceptRate
from twistnet.policies.token_bucket import TokenBucket

NOW = 1.8e9
"""A time such as the clock tells today."""

EVENTS = st.lists(st.tuples(st.floats(0, 3), st.sampled_from("abcdef")), max_size=100)


def connects(policy: AcceptRate, now: float, source: str) -> bool:
    """Whether a source comes in."""
    if policy.check(now, source) is not None:
        return False
    policy.enter(now, source)
    return True


def test_a_source_has_its_burst_and_then_its_rate() -> None:
    policy = AcceptRate(2.0, 3)
    assert [connects(policy, NOW, "192.0.2.7") for _ in range(5)] == [True] * 3 + [False] * 2
    assert connects(policy, NOW, "192.0.2.8"), "another source has its own"
    assert [connects(policy, NOW + 1.0, "192.0.2.7") for _ in range(3)] == [True, True, False]


def test_it_says_who_connects_too_fast() -> None:
    policy = AcceptRate(0.5, 1)
    policy.enter(NOW, "192.0.2.7")
    assert str(policy.check(NOW, "192.0.2.7")) == (
        "192.0.2.7 connects more than 0.5 times a second (accept_rate)"
    )


def test_to_ask_costs_nothing() -> None:
    policy = AcceptRate(1.0, 1)
    for _ in range(100):
        assert policy.check(NOW, "192.0.2.7") is None


@given(EVENTS, st.floats(0.1, 5), st.integers(1, 5))
def test_each_source_gets_what_a_bucket_that_is_never_forgotten_gives(
    events: list[tuple[float, str]], rate: float, burst: int
) -> None:
    policy, buckets, now = (
        AcceptRate(rate, burst),
        {s: TokenBucket(rate, burst, now=NOW) for s in "abcdef"},
        NOW,
    )
    for pause, source in events:
        now += pause
        assert connects(policy, now, source) == buckets[source].take(now)


def test_a_source_whose_bucket_is_full_again_is_forgotten() -> None:
    policy = AcceptRate(1.0, 5)
    for number in range(1000):
        assert connects(policy, NOW + number, f"source {number}")
        assert len(policy) <= 2
    for number in range(100):
        policy.enter(NOW + 2000, f"together {number}")
    assert len(policy) == 100
    policy.enter(NOW + 2002, "later")
    assert len(policy) == 1


def many() -> list[str]:
    """More sources than are remembered."""
    return [f"source {number}" for number in range(SOURCES + 100)]


def test_the_table_is_bounded_for_those_that_connect_and_those_that_only_ask() -> None:
    policy = AcceptRate(0.001, 1)
    assert all(connects(policy, NOW, source) for source in many())
    assert len(policy) == SOURCES
    asked = AcceptRate(0.001, 1)
    assert all(asked.check(NOW, source) is None for source in many())
    assert len(asked) == SOURCES


def test_at_the_limit_of_the_table_the_one_that_has_been_idle_longest_is_forgotten() -> None:
    policy = AcceptRate(0.001, 1)
    sources = many()
    for source in sources:
        policy.enter(NOW, source)
        policy.enter(NOW, "busy")
    assert policy.check(NOW, "busy") is not None
    assert policy.check(NOW, sources[0]) is None


@given(st.lists(st.tuples(st.floats(-100, 3), st.sampled_from("ab")), max_size=100))
def test_a_clock_that_is_put_back_lets_nobody_in_who_would_not_come_in(
    events: list[tuple[float, str]],
) -> None:
    policy, now, gained, entered = AcceptRate(1.0, 3), NOW, 0.0, {"a": 0, "b": 0}
    for step, source in events:
        now += step
        gained += max(0.0, step)
        entered[source] += connects(policy, now, source)
        assert entered[source] <= 3 + gained + 1e-4
    policy.check(now, "a")
    assert connects(policy, now + 1.1, "a"), "and keeps nobody out for longer"
