"""What is measured, while it is.

The rule of this module: it is told the time and what happened, and keeps a bounded amount of it. A request belongs to the
measurement if it was due in the measured time, however late its reply is; the throughput is of the replies that came in it.
That time is known before it begins, so that it is exact, however late a timer rings.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

from attrs import define, field, frozen

from .latencies import Latencies

__all__ = ["Measurement", "Pace", "Throughput"]

_MOST_POINTS = 400
_TELLING = 0.1
"""Seconds from which on it can be told how busy somebody was: the kernel counts in ticks of some milliseconds."""


_Piece: TypeAlias = tuple[float, float, int]
"""A time from its begin to its end, and the replies in it."""


@define(eq=False)
class Throughput:
    """Replies over time, in at most 400 pieces: where there would be more, two become one, and those to come are as long."""

    _pieces: list[_Piece] = field(factory=list)
    _in_last: int = 0
    _in_each: int = 1

    def add(self, begin: float, end: float, replies: int) -> None:
        """So many replies came in a time, which begins where the last one ended."""
        if end <= begin:
            return
        if 0 < self._in_last < self._in_each:
            self._pieces[-1] = _joined([self._pieces[-1], (begin, end, replies)])
            self._in_last += 1
            return
        if len(self._pieces) == _MOST_POINTS:
            self._pieces = [_joined(self._pieces[i : i + 2]) for i in range(0, _MOST_POINTS, 2)]
            self._in_each *= 2
        self._pieces.append((begin, end, replies))
        self._in_last = 1

    def points(self, begin: float) -> Sequence[tuple[float, float]]:
        """Pairs of the middle of a time, in seconds after `begin`, and the replies a second in it.

        Pieces shorter than half the longest, such as the last may be, are joined with what is before them.
        """
        pieces: list[_Piece] = []
        longest = max((end - start for start, end, _ in self._pieces), default=0.0)
        for piece in self._pieces:
            if pieces and piece[1] - piece[0] < longest / 2:
                pieces[-1] = _joined([pieces[-1], piece])
            else:
                pieces.append(piece)
        return [((start + end) / 2 - begin, replies / (end - start)) for start, end, replies in pieces]


def _joined(pieces: Sequence[_Piece]) -> _Piece:
    return pieces[0][0], pieces[-1][1], sum(replies for _, _, replies in pieces)


@define(eq=False)
class Pace:
    """How well the generator keeps its own time.

    Attributes:
        late: Requests that it could send only so late that it shows, though there was room for them.
        worst: Seconds that the latest was late.
    """

    late: int = 0
    worst: float = 0.0

    def woke(self, lateness: float, number: int) -> None:
        """So many requests were due when it came to them, the first of them for so long."""
        if lateness >= LATE:
            self.late += number
            self.worst = max(self.worst, lateness)


LATE = 0.01
"""Seconds from which on it shows: more than any timer is wrong by."""


@frozen
class Now:
    """How things stand.

    Attributes:
        elapsed: Seconds measured.
        replies: How many have come in them.
        lost: Datagrams lost in them.
        rate: Replies a second, of late.
    """

    elapsed: float
    replies: int
    lost: int
    rate: float


@define(eq=False)
class Measurement:
    """Counts.

    Attributes:
        begin: When the measured time begins; never, until it is known.
        end: When it ends, or has ended.
        first: From when on a request that is due belongs to it: its begin, but for what becomes of a number that is rounded.
        replies: All that came in the measured time.
        others: All that came before it, or after it.
        latencies: Of the requests that belong to it.
        answered: How many of them have been answered.
        lost: How many have not, in time.
        stray: Replies that came too late, or a second time.
        waiting: Requests that were due and not sent, for want of room.
        unanswered: Those sent and not answered when all was over.
        pace: How well the generator keeps its own time.
        throughput: Replies over time.
        busy: The part of the measured time for which the generator was busy; `None` where that cannot be told.
    """

    begin: float = math.inf
    end: float = math.inf
    first: float = math.inf
    replies: int = 0
    others: int = 0
    answered: int = 0
    lost: int = 0
    stray: int = 0
    waiting: int = 0
    unanswered: int = 0
    busy: float | None = None
    latencies: Latencies = field(factory=Latencies)
    pace: Pace = field(factory=Pace)
    throughput: Throughput = field(factory=Throughput)
    _seen: tuple[float, int] = (math.inf, 0)
    _closed: bool = False
    _busy_before: tuple[float, float] | None = None

    def plan(self, begin: float, end: float, first: float = math.inf) -> None:
        """The measured time is to be from one time to another; of requests that are due at times, a first one is known."""
        self.begin, self.end, self.first = begin, end, min(begin, first)
        self._seen = begin, 0

    @property
    def begun(self) -> bool:
        """Whether anything was sent, if only in the warm-up."""
        return self.begin < math.inf

    def open(self, now: float, busy: float) -> None:
        """The warm-up is over; the generator has been busy for so long."""
        self._busy_before = now, busy

    def reply(self, since: float, now: float, number: int) -> None:
        """So many replies came, to requests that count from a time."""
        if self.begin <= now < self.end:
            self.replies += number
        else:
            self.others += number
        if since >= self.first:
            self.answered += number
            self.latencies.record(now - since, number)

    def lose(self, since: float) -> None:
        """No reply came to a request that counts from a time."""
        if since >= self.first:
            self.lost += 1

    def left(self, since: float, number: int, now: float) -> None:
        """So many requests, due at equal distances from a time until now, were not sent for want of room."""
        if number:
            self.waiting += number
            self.latencies.record_waiting(now - since, number)

    def look(self, now: float) -> Now:
        """Note how far it is; how that is."""
        now = min(now, self.end)
        before, replies = self._seen
        if not before < now:
            return Now(0.0, 0, self.lost, 0.0)
        self.throughput.add(before, now, self.replies - replies)
        self._seen = now, self.replies
        return Now(now - self.begin, self.replies, self.lost, (self.replies - replies) / (now - before))

    def close(self, now: float, busy: float) -> None:
        """The measured time is over, or cut short; what is under way may still be answered."""
        if self._closed or not self.begun:
            return
        self._closed = True
        self.look(now)
        self.end = min(self.end, now)
        if self._busy_before is not None and now - self._busy_before[0] >= _TELLING:
            before, busy_before = self._busy_before
            self.busy = min(1.0, (busy - busy_before) / (now - before))

    @property
    def seconds(self) -> float:
        """How long it was, to the nanosecond: a clock that is on for long has no finer digits."""
        return round(max(0.0, self.end - self.begin), 9) if self._closed else 0.0

    @property
    def due(self) -> int:
        """How many requests belong to it."""
        return self.answered + self.lost + self.unanswered + self.waiting

    @property
    def rate(self) -> float:
        """Replies a second in the measured time."""
        return self.replies / self.seconds if self.seconds else 0.0
