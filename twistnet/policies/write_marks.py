"""Policies `high_water_mark`, `low_water_mark` and `write_buffer_limit`: how much may wait for a peer to read.

The rule of this module: it is told how many octets wait, and says what that means.
"""

from __future__ import annotations

from attrs import frozen

__all__ = ["WriteMarks"]

TRANSPORT_MARK = 65536
"""Octets beyond which Twisted's own transports pause a producer."""


@frozen
class WriteMarks:
    """The marks of one connection, in octets.

    Attributes:
        high: Nothing more is read from a peer for which more than this waits; `None` to go on reading.
        low: It is read from again once no more than this waits; `None` for a quarter of `high`.
        limit: A peer for which more than this waits is aborted; `None` for never.
    """

    high: int | None = None
    low: int | None = None
    limit: int | None = None

    @property
    def pause_at(self) -> int:
        """A producer is paused when more than this waits; well before the limit, if there is one."""
        if self.high is not None:
            return self.high
        return TRANSPORT_MARK if self.limit is None else min(TRANSPORT_MARK, self.limit // 2)

    @property
    def resume_at(self) -> int:
        """A producer is resumed when no more than this waits."""
        return self.pause_at // 4 if self.low is None else self.low

    @property
    def unremarkable(self) -> int:
        """Up to so many octets nothing has to be decided."""
        return self.pause_at if self.limit is None else min(self.pause_at, self.limit)
