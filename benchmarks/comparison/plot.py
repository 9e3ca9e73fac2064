"""The comparison as a plot: a panel a scenario, a bar a server, in one SVG file without anything from elsewhere.

Bars are medians of the scenario's first measure; the thin line across the end of each spans its rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from xml.sax.saxutils import escape

from attrs import frozen

from benchmarks.comparison.results import Outcome
from benchmarks.comparison.servers.table import Server

COLUMNS = 3
PANEL = 400
MARGIN = 24
NAMES = 120
VALUES = 70
ROW = 18
HEAD = 70
COLOURS = {"twistnet": "#0b6e4f", "twisted": "#c8553d", "c": "#444444"}
OTHERS = "#7a93ac"
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#222}.title{font-weight:600;font-size:13px}"
    ".of{fill:#666}.name{text-anchor:end}"
)


@frozen
class Bar:
    """One server in one scenario: the least, the median and the most of its rounds."""

    name: str
    least: float
    middle: float
    most: float


def bars_of(outcome: Outcome, servers: Sequence[Server]) -> list[Bar]:
    """Those of the servers that were measured."""
    key = outcome.scenario.measures[0].key
    bars = []
    for server in servers:
        values = outcome.values(server.name, key)
        middle = outcome.median(server.name, key)
        if middle is not None:
            bars.append(Bar(server.name, min(values), middle, max(values)))
    return bars


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """A line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(words)}</text>'


def draw_bar(bar: Bar, y: float, scale: float, digits: int) -> str:
    """Its name, itself, the span of its rounds, its median in figures."""
    colour = COLOURS.get(bar.name.partition("-")[0], OTHERS)
    end, line = NAMES + bar.most * scale, y + ROW / 2 - 1
    return "".join(
        (
            text(NAMES - 6, y + 12, bar.name, "name"),
            f'<rect x="{NAMES}" y="{y:.1f}" width="{max(1.0, bar.middle * scale):.1f}" height="{ROW - 4}" fill="{colour}"/>',
            f'<path d="M{NAMES + bar.least * scale:.1f} {line:.1f}H{end:.1f}" stroke="#111" stroke-width="1.5"/>',
            text(end + 5, y + 12, f"{bar.middle:,.{digits}f}"),
        )
    )


def panel(outcome: Outcome, bars: Sequence[Bar]) -> str:
    """One scenario, drawn at the origin."""
    first = outcome.scenario.measures[0]
    scale = (PANEL - NAMES - VALUES) / (max(bar.most for bar in bars) or 1)
    lines = wrap(outcome.scenario.title, 48)
    parts = [text(0, 14 + 16 * number, line, "title") for number, line in enumerate(lines)]
    better = "more" if first.more_is_better else "less"
    parts.append(text(0, 14 + 16 * len(lines), f"{first.title}; {better} is better", "of"))
    parts += [draw_bar(bar, HEAD + ROW * number, scale, first.digits) for number, bar in enumerate(bars)]
    return "\n".join(parts)


def svg(outcomes: Sequence[Outcome], servers: Sequence[Server]) -> str:
    """The whole plot: panels row by row, each row as high as its highest."""
    drawn = [(outcome, bars) for outcome in outcomes if (bars := bars_of(outcome, servers))]
    parts, y = [], MARGIN
    for start in range(0, len(drawn), COLUMNS):
        row = drawn[start : start + COLUMNS]
        for number, (outcome, bars) in enumerate(row):
            x = MARGIN + number * (PANEL + MARGIN)
            parts.append(f'<g transform="translate({x} {y})">\n{panel(outcome, bars)}\n</g>')
        y += HEAD + ROW * max(len(bars) for _, bars in row) + MARGIN
    width = MARGIN + COLUMNS * (PANEL + MARGIN)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}">\n'
        f'<style>{STYLE}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
