"""How long replies took.

The rule of this module: memory is bounded, whatever comes. Latencies are counted in classes that differ by less than a
thousandth, which are those of the histogram that they are read from at the end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from attrs import define, field, frozen

__all__ = ["PERCENTILES", "Distribution", "Latencies"]

PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9, 99.99)

_BITS = 11
"""Of a latency that count: a histogram of three significant figures has classes of 2**11 a power of two."""

_LONGEST = 24 * 3600 * 10**9
_NANOSECONDS = 1e9
_STEPS = 1000
"""In how many steps at most requests are recorded that have no reply."""


@define(eq=False)
class Latencies:
    """Counts latencies.

    A histogram's own method for that takes a microsecond, and a whole request no more than eight.
    """

    _counts: dict[int, int] = field(factory=dict)
    _unanswered: list[tuple[int, int, int]] = field(factory=list)

    def record(self, seconds: float, number: int) -> None:
        """Count so many replies that took so long."""
        value = int(seconds * _NANOSECONDS)
        spare = value.bit_length() - _BITS
        if spare > 0:
            value = value >> spare << spare
        counts = self._counts
        counts[value] = counts.get(value, 0) + number

    def record_waiting(self, seconds: float, number: int) -> None:
        """Count requests, due at equal distances in so long a time, that have waited until now: it is the least they take."""
        value, together = int(seconds * _NANOSECONDS), math.ceil(number / _STEPS)
        self._unanswered.append((value, max(1, math.ceil(value * together / number)), together))

    def distribution(self) -> Distribution | None:
        """What was recorded, if anything was."""
        from hdrh.histogram import HdrHistogram  # most commands have no use for it

        histogram = HdrHistogram(1, _LONGEST, 3)
        for value, number in self._counts.items():
            histogram.record_value(min(value, _LONGEST), number)
        for value, interval, number in self._unanswered:
            histogram.record_corrected_value(min(value, _LONGEST), interval, number)
        return Distribution.of(histogram) if histogram.get_total_count() else None


@frozen(kw_only=True)
class Distribution:
    """Latencies in order, in seconds.

    Attributes:
        count: How many.
        least: The least.
        mean: Their mean.
        deviation: Their standard deviation.
        most: The most.
        percentiles: For each of `PERCENTILES`, what so many in a hundred do not exceed.
        curve: Pairs of a percentage and what so many do not exceed, from 0 to where each is one of the last.
    """

    count: int
    least: float
    mean: float
    deviation: float
    most: float
    percentiles: dict[float, float]
    curve: Sequence[tuple[float, float]]

    @classmethod
    def of(cls, histogram: Any) -> Distribution:
        """That of a histogram, of nanoseconds, that is not empty."""
        count = histogram.get_total_count()
        percentages = _percentages(count)
        values = histogram.get_percentile_to_value_dict([*PERCENTILES, *percentages])
        most = histogram.get_max_value()
        mean, deviation = _moments(histogram, count)
        seconds = {key: min(value, most) / _NANOSECONDS for key, value in values.items()}
        return cls(
            count=count,
            least=histogram.get_min_value() / _NANOSECONDS,
            mean=mean / _NANOSECONDS,
            deviation=deviation / _NANOSECONDS,
            most=most / _NANOSECONDS,
            percentiles={key: seconds[key] for key in PERCENTILES},
            curve=[(key, seconds[key]) for key in percentages],
        )


def _moments(histogram: Any, count: int) -> tuple[float, float]:
    """Mean and standard deviation; the histogram's own go through its classes four times, in a third of a second."""
    classes = [(index, number) for index, number in enumerate(histogram.counts) if number]
    values = [(_middle(histogram, index), number) for index, number in classes]
    mean = sum(value * number for value, number in values) / count
    return mean, math.sqrt(sum((value - mean) ** 2 * number for value, number in values) / count)


def _middle(histogram: Any, index: int) -> float:
    """Of a class."""
    least: int = histogram.get_value_from_index(index)
    most: int = histogram.get_highest_equivalent_value(least)
    return (least + most) / 2


def _percentages(count: int) -> list[float]:
    """From 0 on, closer and closer to 100, for as long as a single one can be told: ten for each power of ten."""
    powers = math.log10(max(count, 10))
    steps = math.ceil(powers * 10)
    return [100 - 100 * 10 ** (-powers * step / steps) for step in range(steps + 1)]
