"""When requests are sent: pure decisions, which are told the time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.client.bench.asking import ClosedLoop, OpenLoop, Schedule


def test_a_closed_loop_takes_all_the_room_there_is_until_its_end() -> None:
    loop = ClosedLoop(end=10.0)
    assert list(loop.take(4, 3.0)) == [(3.0, 4)]
    assert list(loop.take(0, 3.0)) == []
    assert list(loop.take(4, 10.0)) == []
    assert loop.waiting(10.0)[1] == 0


def test_an_open_loop_takes_what_is_due_and_counts_it_from_its_time() -> None:
    loop = OpenLoop(Schedule(100.0, 10.0, 50, 1), 0, 105.0)
    assert list(loop.take(10, 100.0)) == [(100.0, 1)]
    assert list(loop.take(10, 100.05)) == []
    assert [time for time, _ in loop.take(10, 100.35)] == pytest.approx([100.1, 100.2, 100.3])


def test_what_there_is_no_room_for_is_taken_later_and_still_counts_from_its_time() -> None:
    loop = OpenLoop(Schedule(0.0, 10.0, 50, 1), 0)
    assert len(loop.take(1, 1.0)) == 1
    assert list(loop.waiting(1.0)) == pytest.approx([0.1, 10])
    assert [time for time, _ in loop.take(2, 2.0)] == pytest.approx([0.1, 0.2])
    loop.end = 5.0
    assert list(loop.take(100, 5.0)) == [], "its end has come"
    assert list(loop.waiting(5.0)) == pytest.approx([0.3, 47])


def test_of_what_was_not_sent_the_part_that_was_due_in_the_warm_up_is_left_out() -> None:
    """Of thirty requests the first ten are the warm-up's, and eight have been sent."""
    schedule = Schedule(0.0, 10.0, 30, 2, 10)
    loops = [OpenLoop(schedule, number) for number in range(2)]
    for loop in loops:
        assert len(loop.take(4, 3.0)) == 4
        assert loop.waiting(0.9)[1] == 0
    assert list(loops[0].waiting(3.0)) == pytest.approx([1.0, 10])
    assert list(loops[1].waiting(3.0)) == pytest.approx([1.1, 10])
    assert len(loops[1].take(6, 3.0)) == 6
    assert list(loops[1].waiting(3.0)) == pytest.approx([2.1, 5])


@given(
    connections=st.integers(1, 7),
    rate=st.floats(0.1, 1e5),
    begin=st.floats(0, 1e6),
    waits=st.lists(st.floats(0, 3), max_size=20),
)
def test_every_request_is_taken_by_one_connection_in_its_time(
    connections: int, rate: float, begin: float, waits: list[float]
) -> None:
    """Whenever it is asked, and by whomever."""
    schedule = Schedule(begin, rate, 200, connections)
    loops = [OpenLoop(schedule, number, 1e9) for number in range(connections)]
    now, taken, dealt = begin, list[float](), 0
    for wait in [*waits, 1e6]:
        now += wait
        due = schedule.due(now)
        for number in schedule.touched(dealt, due):
            times = [time for time, _ in loops[number].take(1000, now)]
            assert all(time <= now + 1e-2 / rate + 1e-6 for time in times)
            taken += times
        dealt = due
        assert len(taken) == due, "whom it touches is all whom it concerns"
    assert sorted(taken) == [schedule.time(index) for index in range(200)]


@given(rate=st.floats(0.1, 1e6), begin=st.floats(0, 1e6), index=st.integers(0, 10**6))
def test_what_is_due_at_a_time_is_due_at_that_time(rate: float, begin: float, index: int) -> None:
    """However it is rounded: or whoever is woken at that time would find nothing to do, again and again."""
    schedule = Schedule(begin, rate, 2 * 10**6, 3)
    assert schedule.due(schedule.time(index)) > index


def test_nothing_is_due_before_the_beginning_or_after_the_last() -> None:
    schedule = Schedule(10.0, 5.0, 20, 3)
    assert schedule.due(9.99) == 0
    assert [schedule.due_on(number, 9.99) for number in range(3)] == [0, 0, 0]
    assert schedule.due(1000.0) == 20
    assert [schedule.due_on(number, 1000.0) for number in range(3)] == [7, 7, 6]
