"""Policy `rate` and `burst`: how many octets a second one connection sends, or receives.

The rule of this module: in any time `t` no more than `rate * t + burst` octets are granted (the leaky bucket of ITU-T
I.371). Octets are granted in portions, so that the clock need not be read for each piece.
"""

from __future__ import annotations

from attrs import define, field

__all__ = ["ByteRate"]

DEFAULT_BURST = 0.2
"""Seconds of the rate that pass at once, if nothing is said; two octets at least, or a timer that is late costs rate."""

PORTION = 0.125
"""What part of the burst is granted in advance at most."""

RESOLUTION = 1e-6
"""Seconds by which a timer may seem early: what a float can tell apart in the year 2026 is a quarter of this."""

SHORTEST = 1e-3
"""Seconds that a pause lasts in any case: time has to have gone on after it."""

PAUSE = 0.05
"""Seconds that a pause lasts at least, if the burst is not over sooner: a pause costs a timer."""


@define(eq=False)
class ByteRate:
    """One direction of one connection.

    Attributes:
        rate: Octets a second.
        burst: Octets at once. A pause is a millisecond or more, so the rate is not reached with a burst that it uses up
            in that time.
    """

    rate: float
    burst: float = field(converter=float)
    _updated: float = field(alias="now")
    _tokens: float = field(init=False)
    _portion: int = field(init=False)

    @classmethod
    def of(cls, rate: float, burst: float | None, now: float) -> ByteRate:
        """With a burst of a fifth of a second's worth, if none is given."""
        return cls(rate, max(2.0, DEFAULT_BURST * rate) if burst is None else burst, now)

    def __attrs_post_init__(self) -> None:
        self._tokens = self.burst
        self._portion = int(self.burst * PORTION)

    def grant(self, now: float, wanted: int) -> int:
        """How many of the wanted octets may pass now; at least one of them, or 0. They are spent."""
        self._refill(now)
        granted = min(wanted, int(self._tokens))
        self._tokens -= granted
        return granted

    def advance(self, now: float, limit: int) -> int:
        """Octets that may pass later without asking again: fewer than a burst, no more than `limit`. They are spent."""
        return self.grant(now, min(limit, self._portion))

    def give_back(self, octets: int) -> None:
        """So many octets that were granted did not pass."""
        self._tokens = min(self.burst, self._tokens + octets)

    def wait(self, wanted: int) -> float:
        """Seconds until it is worth asking again, for so many octets; never 0."""
        enough = min(float(wanted), max(1.0, min(self.burst - self._portion, self.rate * PAUSE)))
        return max(SHORTEST, (enough - self._tokens) / self.rate + RESOLUTION)

    def _refill(self, now: float) -> None:
        """What was granted in advance may be unspent still, so the bucket does not fill up to the brim again."""
        gained = self.rate * max(0.0, now - self._updated)
        self._updated = now
        self._tokens = max(self._tokens, min(self.burst - self._portion, self._tokens + gained))
