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


def test_to_ask_takes_nothing() -> None:
    bucket = TokenBucket(1.0, 2.0, now=0.0)
    assert [bucket.has(0.0, 2.0) for _ in range(3)] == [True] * 3
    assert not bucket.has(0.0, 2.1)
    assert bucket.take(0.0, 2.0)
    assert not bucket.has(0.5)
    assert bucket.has(1.0)


@given(
    st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3)), max_size=50), st.floats(0.1, 100), st.floats(1, 100)
)
def test_what_it_has_is_what_can_be_taken(
    events: list[tuple[float, float]], rate: float, burst: float
) -> None:
    bucket, now = TokenBucket(rate, burst, now=0.0), 0.0
    for pause, tokens in events:
        now += pause
        assert bucket.has(now, tokens) == bucket.take(now, tokens)


@given(st.floats(0.1, 100), st.floats(1, 100), st.floats(0, 1), st.sampled_from([0.0, 1.8e9]))
def test_it_is_full_at_first_and_again_when_all_is_gained_back(
    rate: float, burst: float, part: float, start: float
) -> None:
    bucket = TokenBucket(rate, burst, now=start)
    assert bucket.is_full(start)
    assert bucket.take(start, part * burst)
    gained_back = start + part * burst / rate
    assert not (part > 0.01 and bucket.is_full(start + 0.9 * part * burst / rate))
    assert bucket.is_full(gained_back + 1e-3)


def test_the_oldest_entries_are_dropped_for_as_long_as_they_say_nothing() -> None:
    table: Recent[str, list[str]] = Recent(lambda key: [key], 10)
    for key in "abcda":
        table[key]
    asked: list[str] = []

    def is_idle(entry: list[str]) -> bool:
        asked.extend(entry)
        return entry != ["d"]

    table.drop_oldest_while(is_idle)
    assert asked == ["b", "c", "d"], "the one that was used last is behind one that is not idle"
    assert len(table) == 2
    table.drop_oldest_while(lambda entry: True)
    assert len(table) == 0
    table.drop_oldest_while(lambda entry: True)
    assert table["a"] == ["a"]
