"""Drawings of figures, as SVG that stands in a page.

The rule of this module: plain text in, plain text out; colours and fonts are the page's, by class.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from html import escape

from attrs import frozen

from .findings import shown_time

__all__ = ["percentile_curve", "throughput_curve"]

_WIDTH, _HEIGHT = 760.0, 320.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 70.0, 24.0, 30.0, 44.0


@frozen
class Axis:
    """Where on a drawing the values of a quantity are.

    Attributes:
        place: From a value to 0 (left, or below) up to 1.
        ticks: Values to mark, and what to write there.
        name: Of the quantity.
    """

    place: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]
    name: str


def percentile_curve(curve: Sequence[tuple[float, float]]) -> str:
    """Latencies over the percentage that does not exceed them; both axes are logarithmic, the first from its right end.

    Args:
        curve: Pairs of a percentage below 100, and seconds.
    """
    nines = max(1.0, *(-math.log10(1 - percentage / 100) for percentage, _ in curve))
    across = Axis(
        lambda percentage: -math.log10(1 - percentage / 100) / nines,
        [(0, "0 %"), *((100 - 10 ** (2 - n), _percentage(n)) for n in range(1, math.floor(nines) + 1))],
        "percentage of the replies",
    )
    return _drawing(
        "Latency by percentile", across, _decades([seconds for _, seconds in curve]), curve,
        lambda percentage, seconds: f"{_shown_percentage(percentage)}: {shown_time(seconds)}",
    )  # fmt: skip


def throughput_curve(points: Sequence[tuple[float, float]], duration: float) -> str:
    """Replies a second over time.

    Args:
        points: Pairs of seconds, and replies a second.
        duration: Seconds in all.
    """
    most = max([rate for _, rate in points] or [0.0])
    across = _linear(duration or 1.0, "seconds")
    up = _linear(most or 1.0, "replies a second")
    return _drawing(
        "Throughput over time", across, up, points,
        lambda seconds, rate: f"{seconds:.3g} s: {rate:,.0f} a second",
    )  # fmt: skip


def _percentage(nines: int) -> str:
    return "90 %" if nines == 1 else f"99{'.' if nines > 2 else ''}{'9' * (nines - 2)} %"


def _shown_percentage(percentage: float) -> str:
    digits = max(1, math.ceil(-math.log10(1 - percentage / 100) - 1e-6))
    return f"{percentage:.{digits}f} %"


def _decades(values: Sequence[float]) -> Axis:
    """A logarithmic axis, between marks at 1, 2 and 5 times powers of ten; at powers of ten alone, if they are many."""
    marks = [float(f"{digit}e{power}") for power in range(-9, 6) for digit in (1, 2, 5)]
    first = max(bisect_right(marks, min(values)) - 1, 0)
    last = max(min(bisect_left(marks, max(values)), len(marks) - 1), first + 1)
    shown = marks[first : last + 1]
    ticks = [mark for index, mark in enumerate(shown, first) if len(shown) <= 9 or index % 3 == 0]
    low, high = math.log10(shown[0]), math.log10(shown[-1])
    return Axis(
        lambda value: (math.log10(max(value, shown[0])) - low) / (high - low),
        [(mark, shown_time(mark)) for mark in ticks],
        "latency",
    )


def _linear(most: float, name: str) -> Axis:
    """An axis from 0 to a round number."""
    step = _round_step(most / 5)
    last = math.ceil(most / step - 1e-9) * step
    ticks = [(index * step, f"{index * step:,g}") for index in range(round(last / step) + 1)]
    return Axis(lambda value: value / last, ticks, name)


def _round_step(least: float) -> float:
    """The least of 1, 2 and 5 times a power of ten that is not less."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def _drawing(
    title: str,
    across: Axis,
    up: Axis,
    points: Sequence[tuple[float, float]],
    said: Callable[[float, float], str],
) -> str:
    def x(value: float) -> float:
        return _LEFT + across.place(value) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _BOTTOM - up.place(value) * (_HEIGHT - _TOP - _BOTTOM)

    below = _HEIGHT - _BOTTOM
    parts = [
        f'<svg viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" aria-label="{escape(title)}">',
        f"<title>{escape(title)}</title>",
    ]
    for value, text in across.ticks:
        parts.append(_line(x(value), _TOP, x(value), below) + _text(x(value), below + 16, text, "middle"))
    for value, text in up.ticks:
        parts.append(
            _line(_LEFT, y(value), _WIDTH - _RIGHT, y(value)) + _text(_LEFT - 6, y(value) + 4, text, "end")
        )
    parts.append(_text(_LEFT - 6, 14, up.name, "start"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, across.name, "middle"))
    path = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)
    parts.append(f'<polyline class="curve" points="{path}"/>')
    parts += [
        f'<circle class="point" cx="{x(a):.1f}" cy="{y(b):.1f}" r="6"><title>{escape(said(a, b))}</title></circle>'
        for a, b in points
    ]
    return "\n".join([*parts, "</svg>"])


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
