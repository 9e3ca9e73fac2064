"""How a stream is cut into segments.

The rule of this module: a slicing is a value that says how long the next segment may be, told where in the stream it
begins; cutting never changes, drops or reorders an octet.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Any, Protocol

from attrs import field, frozen

from .limits import whole
from .tape import Tape

__all__ = ["CutAt", "Fixed", "OneByte", "RandomSizes", "Slicing"]

POSITIVE = whole(1)


class Slicing(Protocol):
    """What decides where a stream is cut."""

    def longest(self, offset: int, tape: Tape) -> int | None:
        """The most octets that a segment may have which begins at this offset of its direction; `None` for any."""


@frozen
class Fixed:
    """Segments of at most `size` octets."""

    size: int = field(validator=POSITIVE)

    def longest(self, offset: int, tape: Tape) -> int:
        """See `Slicing.longest`."""
        return self.size


@frozen
class OneByte(Fixed):
    """One octet a segment: what every parser must survive."""

    size: int = field(default=1, init=False)


@frozen
class RandomSizes:
    """Segments of `low` to `high` octets, each length equally likely."""

    low: int = field(default=1, validator=POSITIVE)
    high: int = field(default=1460, validator=POSITIVE)

    @high.validator
    def _not_below_low(self, _: object, high: int) -> None:
        if high < self.low:
            raise ValueError(f"high ({high}) must not be less than low ({self.low})")

    def longest(self, offset: int, tape: Tape) -> int:
        """See `Slicing.longest`."""
        return tape.whole(self.low, self.high)


def _in_order(offsets: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(set(offsets)))


@frozen
class CutAt:
    """Cuts at exact offsets of the stream, counted from its first octet, and nowhere else."""

    offsets: tuple[int, ...] = field(converter=_in_order)

    @offsets.validator
    def _above_zero(self, _: object, offsets: tuple[Any, ...]) -> None:
        if any(not isinstance(offset, int) or offset < 1 for offset in offsets):
            raise ValueError(f"offsets must be whole numbers from 1: {offsets!r}")

    def longest(self, offset: int, tape: Tape) -> int | None:
        """See `Slicing.longest`."""
        after = bisect_right(self.offsets, offset)
        return self.offsets[after] - offset if after < len(self.offsets) else None
