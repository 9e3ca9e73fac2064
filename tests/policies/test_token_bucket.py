"""Token buckets and tables of sources."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from twistnet.policies.token_bucket import Recent, TokenBucket


@given(
    st.lists(st.tuples(st.floats(0, 10), st.floats(0, 5)), max_size=50),
    st.floats(0.1, 100),
    st.floats(1, 100),
)
def test_never_more_than_rate_and_burst_allow(
    events: list[tuple[float, float]], rate: float, burst: float
) -> None:
    bucket, now, taken = TokenBucket(rate, burst, now=0.0), 0.0, 0.0
    for pause, tokens in events:
        now += pause
        taken += tokens if bucket.take(now, tokens) else 0.0
    assert taken <= burst + rate * now + 1e-6


def test_a_full_bucket_gives_its_burst_at_once_and_then_its_rate() -> None:
    bucket = TokenBucket(10.0, 5.0, now=0.0)
    assert [bucket.take(0.0) for _ in range(6)] == [True] * 5 + [False]
    assert [bucket.take(0.2) for _ in range(3)] == [True, True, False]


def test_time_that_goes_back_gives_nothing() -> None:
    bucket = TokenBucket(1.0, 1.0, now=100.0)
    assert bucket.take(100.0)
    assert not bucket.take(0.0)
    assert not bucket.take(0.5)


def test_a_charge_empties_the_bucket_and_no_more() -> None:
    bucket = TokenBucket(1.0, 10.0, now=0.0)
    bucket.charge(0.0, 1000.0)
    assert not bucket.take(0.5)
    assert bucket.take(1.0)


@given(st.lists(st.integers(0, 20), max_size=200), st.integers(1, 10))
def test_a_table_keeps_the_most_recent_and_no_more(keys: list[int], limit: int) -> None:
    table: Recent[int, list[int]] = Recent(lambda key: [key], limit)
    for key in keys:
        assert table[key] == [key]
        assert len(table) <= limit
    for key in list(dict.fromkeys(reversed(keys)))[:limit]:
        table[key].append(0)
        assert len(table[key]) == 2
