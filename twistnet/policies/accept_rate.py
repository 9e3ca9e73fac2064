"""Policy `accept_rate`: how many connections a second one source may open.

The rule of this module: a source whose bucket is full again is one that was never seen; those are forgotten first.
"""

from __future__ import annotations

from attrs import define, field

from ..errors import ConnectingTooFast, PolicyViolation
from .sources import Source
from .token_bucket import Recent, TokenBucket

__all__ = ["SOURCES", "AcceptRate"]

SOURCES = 10_000
"""Sources that are remembered at most; beyond that the one that has been idle longest is forgotten."""


@define(eq=False)
class AcceptRate:
    """A token bucket a source.

    Attributes:
        rate: Connections a second.
        burst: Connections at once.
    """

    rate: float
    burst: int
    _now: float = field(default=0.0, init=False)
    _buckets: Recent[Source, TokenBucket] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._buckets = Recent(lambda source: TokenBucket(self.rate, self.burst, now=self._now), SOURCES)

    def __len__(self) -> int:
        return len(self._buckets)

    def check(self, now: float, source: Source) -> PolicyViolation | None:
        """What forbids a source to connect now, if anything does."""
        self._now = now
        if self._buckets[source].has(now):
            return None
        return ConnectingTooFast(f"{source} connects more than {self.rate:g} times a second")

    def enter(self, now: float, source: Source) -> None:
        """A source has connected."""
        self._now = now
        self._buckets[source].take(now)
        self._buckets.drop_oldest_while(lambda bucket: bucket.is_full(now))
