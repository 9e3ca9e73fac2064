"""How often each policy has decided what."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from twistnet.policies.counters import QUIET, Count, PolicyCounters, Quiet, policy_counters, policy_counts

NOW = 1.8e9
"""A time such as the clock tells today."""


@given(st.lists(st.tuples(st.sampled_from(["deny", "lifetime"]), st.sampled_from(["refused", "closed"]))))
def test_every_decision_is_counted_once(decisions: list[tuple[str, str]]) -> None:
    counters, expected = PolicyCounters(), Counter[tuple[str, str]]()
    for decision in decisions:
        expected[decision] += 1
        assert counters.add(*decision) == counters[decision] == expected[decision]
    assert list(counters) == sorted(expected.items())


def test_to_ask_for_a_counter_makes_none() -> None:
    counters = PolicyCounters()
    assert counters["deny", "refused"] == 0
    assert list(counters) == []


def test_all_guards_of_one_name_share_their_counters() -> None:
    one, other = "test_counters, one", "test_counters, other"
    assert policy_counters(one) is policy_counters(one) is not policy_counters(other)
    policy_counters(other).add("deny", "refused")
    for outcome in ("refused", "closed", "refused"):
        policy_counters(one).add("lifetime", outcome)
    assert [count for count in policy_counts() if count.service in {one, other}] == [
        Count(one, "lifetime", "closed", 1),
        Count(one, "lifetime", "refused", 2),
        Count(other, "deny", "refused", 1),
    ]


def test_a_reason_is_told_when_it_comes_up_and_once_a_minute_while_it_goes_on() -> None:
    quiet = Quiet()
    told = [(second, since) for second in range(150) if (since := quiet.due(NOW + second, "deny"))]
    assert told == [(0, 1), (60, 60), (120, 60)]
    assert quiet.due(NOW + 1, "lifetime") == 1, "each reason for itself"


@given(st.lists(st.tuples(st.floats(-200, 50), st.sampled_from("ab")), max_size=100))
def test_nothing_is_left_out_and_no_clock_can_hush_it(events: list[tuple[float, str]]) -> None:
    """All that came up is in some line, or in the next; a clock that is put back brings a line and not silence."""
    quiet, now, told, last = Quiet(), NOW, Counter[str](), dict[str, float]()
    for step, reason in events:
        now += step
        since = quiet.due(now, reason)
        told[reason] += since
        assert bool(since) == (not 0 <= now - last.get(reason, -1.0) < QUIET)
        last = {**last, reason: now} if since else last
    for reason, when in last.items():
        told[reason] += quiet.due(when + QUIET, reason) - 1
    assert told == Counter(reason for _, reason in events)
