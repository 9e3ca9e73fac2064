"""The policies `high_water_mark`, `low_water_mark` and `write_buffer_limit`."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.abstract import FileDescriptor

from twistnet.policies.write_marks import TRANSPORT_MARK, WriteMarks

OCTETS = st.one_of(st.none(), st.integers(1, 10**9))


@pytest.mark.parametrize(
    ("marks", "pause_at", "resume_at", "unremarkable"),
    [
        (WriteMarks(), 65536, 16384, 65536),
        (WriteMarks(high=1000), 1000, 250, 1000),
        (WriteMarks(high=1), 1, 0, 1),
        (WriteMarks(high=1000, low=0), 1000, 0, 1000),
        (WriteMarks(high=1000, low=1000), 1000, 1000, 1000),
        (WriteMarks(limit=10**6), 65536, 16384, 65536),
        (WriteMarks(limit=1000), 500, 125, 500),
        (WriteMarks(limit=1), 0, 0, 0),
        (WriteMarks(high=500, limit=1000), 500, 125, 500),
    ],
)
def test_what_the_marks_mean(marks: WriteMarks, pause_at: int, resume_at: int, unremarkable: int) -> None:
    assert (marks.pause_at, marks.resume_at, marks.unremarkable) == (pause_at, resume_at, unremarkable)


@given(OCTETS, OCTETS, OCTETS)
def test_what_is_paused_can_be_resumed_and_nothing_happens_unremarked(
    high: int | None, low: int | None, limit: int | None
) -> None:
    marks = WriteMarks(high, None if high is None or low is None else min(low, high), limit)
    assert 0 <= marks.resume_at <= marks.pause_at
    assert marks.unremarkable <= marks.pause_at
    assert limit is None or marks.unremarkable <= limit


def test_with_nothing_said_a_producer_is_paused_where_twisted_would() -> None:
    assert FileDescriptor.bufferSize == TRANSPORT_MARK
