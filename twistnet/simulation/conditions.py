"""What a link does to packets, as a value: how long they take, which are lost, how fast and how streams are cut.

The rule of this module: it is checked when it is made, and decides nothing; chance is asked for on a tape that is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from attrs import evolve, field, fields, frozen

from ..units import did_you_mean
from .limits import flag, number, optional, whole
from .slicing import Slicing
from .tape import Tape

__all__ = [
    "Exponential",
    "GilbertElliott",
    "Independent",
    "Jitter",
    "LinkConfig",
    "Loss",
    "Normal",
    "Uniform",
    "changed",
]

PROBABILITY = number(0, 1)
NOT_NEGATIVE = number(0)
ABOVE_ZERO = number(0, above=True)


class Jitter(Protocol):
    """How the delay of packets varies."""

    def extra(self, tape: Tape) -> float:
        """Seconds to add to the latency; may be negative, and the sum is never less than 0."""


@frozen
class Uniform:
    """Delays from `latency - spread` to `latency + spread` seconds, each equally likely."""

    spread: float = field(validator=NOT_NEGATIVE)

    def extra(self, tape: Tape) -> float:
        """See `Jitter.extra`."""
        return tape.uniform(-self.spread, self.spread)


@frozen
class Normal:
    """Delays around the latency with a standard deviation, in seconds."""

    deviation: float = field(validator=NOT_NEGATIVE)

    def extra(self, tape: Tape) -> float:
        """See `Jitter.extra`."""
        return tape.normal(0.0, self.deviation)


@frozen
class Exponential:
    """Delays above the latency with a mean, in seconds: mostly little, sometimes much."""

    mean: float = field(validator=ABOVE_ZERO)

    def extra(self, tape: Tape) -> float:
        """See `Jitter.extra`."""
        return tape.exponential(self.mean)


class Loss(Protocol):
    """Which packets are lost."""

    def lost(self, bad: bool, tape: Tape) -> tuple[bool, bool]:
        """Whether the next packet is lost and whether the path is in its bad state afterwards, told whether it was."""


@frozen
class Independent:
    """Each packet is lost with the same probability, whatever happened to the one before."""

    probability: float = field(validator=PROBABILITY)

    def lost(self, bad: bool, tape: Tape) -> tuple[bool, bool]:
        """See `Loss.lost`."""
        return tape.chance(self.probability), bad


@frozen(kw_only=True)
class GilbertElliott:
    """Losses that come in bursts: a path that is now good, now bad (Gilbert 1960, Elliott 1963).

    Attributes:
        to_bad: The probability, a packet, of a good path turning bad.
        to_good: The probability, a packet, of a bad path turning good; its inverse is the mean length of a burst.
        good: The probability of losing a packet while the path is good.
        bad: The same while it is bad.
    """

    to_bad: float = field(validator=PROBABILITY)
    to_good: float = field(validator=PROBABILITY)
    good: float = field(default=0.0, validator=PROBABILITY)
    bad: float = field(default=1.0, validator=PROBABILITY)

    def lost(self, bad: bool, tape: Tape) -> tuple[bool, bool]:
        """See `Loss.lost`."""
        bad = not tape.chance(self.to_good) if bad else tape.chance(self.to_bad)
        return tape.chance(self.bad if bad else self.good), bad


def _jitter(value: Any) -> Any:
    if not isinstance(value, (int, float)):
        return value
    if value < 0:
        raise ValueError(f"'jitter' must be >= 0: {value!r}")
    return Uniform(value) if value else None


def _loss(value: Any) -> Any:
    if not isinstance(value, (int, float)):
        return value
    if not 0 <= value <= 1:
        raise ValueError(f"'loss' must be a probability, 0 to 1: {value!r}")
    return Independent(value) if value else None


@frozen(kw_only=True)
class LinkConfig:
    """What one direction of a link does to packets.

    Attributes:
        latency: Seconds from one end to the other.
        jitter: How the latency varies: a number of seconds is `Uniform`; or `Normal`, `Exponential`.
        loss: Which packets are lost: a number is the probability of each, 0 to 1; or `GilbertElliott`. On a stream a
            loss is a delay, until the retransmission arrives.
        duplicate: The probability of a packet arriving twice. Streams drop the second.
        reorder: The probability of a packet being held back by up to twice the latency (at least 2 ms), so that
            others overtake it. Streams put them in order again.
        rate: Octets a second, headers included; `None` for no limit.
        mtu: Octets of the largest IP packet. A larger datagram goes in fragments and is lost with any of them.
        queue: Octets of datagrams in flight or waiting for the rate, above which more are dropped; `None` for no
            limit. Streams wait for their turn instead.
        slicing: How streams are cut into segments: `OneByte()`, `Fixed(n)`, `RandomSizes(low, high)`,
            `CutAt((n, ...))`; `None` for as large as the MTU allows.
        coalescing: Whether one read takes what several segments brought. `None`: only if there is no slicing.
    """

    latency: float = field(default=0.001, validator=NOT_NEGATIVE)
    jitter: Jitter | None = field(default=None, converter=_jitter)
    loss: Loss | None = field(default=None, converter=_loss)
    duplicate: float = field(default=0.0, validator=PROBABILITY)
    reorder: float = field(default=0.0, validator=PROBABILITY)
    rate: float | None = field(default=None, validator=optional(ABOVE_ZERO))
    mtu: int = field(default=1500, validator=whole(128))
    queue: int | None = field(default=None, validator=optional(NOT_NEGATIVE))
    slicing: Slicing | None = field(default=None)
    coalescing: bool | None = field(default=None, validator=optional(flag))

    @jitter.validator
    def _is_jitter(self, _: object, jitter: Any) -> None:
        if jitter is not None and (isinstance(jitter, type) or not hasattr(jitter, "extra")):
            raise TypeError(f"jitter must be seconds, Uniform, Normal or Exponential, not {jitter!r}")

    @loss.validator
    def _is_loss(self, _: object, loss: Any) -> None:
        if loss is not None and (isinstance(loss, type) or not hasattr(loss, "lost")):
            raise TypeError(f"loss must be a probability or GilbertElliott, not {loss!r}")

    @slicing.validator
    def _is_slicing(self, _: object, slicing: Any) -> None:
        if slicing is not None and (isinstance(slicing, type) or not hasattr(slicing, "longest")):
            raise TypeError(
                f"slicing must be OneByte(), Fixed(n), RandomSizes(low, high) or CutAt(...), not {slicing!r}"
            )

    @property
    def coalesces(self) -> bool:
        """Whether one read may take what several segments brought."""
        return self.slicing is None if self.coalescing is None else self.coalescing

    @property
    def plain(self) -> bool:
        """Whether a packet simply arrives after the latency."""
        chances = self.duplicate or self.reorder
        return not (self.jitter or self.loss or chances or self.rate) and self.queue is None


FIELDS = tuple(attribute.name for attribute in fields(LinkConfig))


def changed(config: LinkConfig, changes: Mapping[str, Any]) -> LinkConfig:
    """A configuration with other values in some of its fields.

    Raises:
        TypeError: There is no such field, or a value is of the wrong kind.
        ValueError: A value is out of its range.
    """
    for name in changes:
        if name not in FIELDS:
            raise TypeError(f"a link has no {name!r}; {did_you_mean(name, FIELDS)}")
    return evolve(config, **changes)
