"""Policy `per_source`: how many connections one source has open at once.

The rule of this module: a source is known for as long as it has a connection open, and not longer; so there are never
more of them than connections.
"""

from __future__ import annotations

from attrs import define, field

from ..errors import PolicyViolation, TooManyFromSource
from .sources import Source

__all__ = ["PerSource"]


@define(eq=False)
class PerSource:
    """Counts the connections of each source.

    Attributes:
        limit: Connections of one source at most.
    """

    limit: int
    _open: dict[Source, int] = field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self._open)

    def check(self, source: Source) -> PolicyViolation | None:
        """What forbids one more connection of a source, if anything does."""
        count = self._open.get(source, 0)
        return TooManyFromSource(f"{count} connections of {source} are open") if count >= self.limit else None

    def enter(self, source: Source) -> None:
        """A source has one more."""
        self._open[source] = self._open.get(source, 0) + 1

    def leave(self, source: Source) -> None:
        """A source has one less."""
        left = self._open[source] - 1
        if left:
            self._open[source] = left
        else:
            del self._open[source]
