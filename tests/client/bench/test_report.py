"""The report: a page that needs nothing else, and the drawings in it."""

from __future__ import annotations

import itertools
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest

from twistnet.client.bench.findings import Findings
from twistnet.client.bench.measurement import Measurement
from twistnet.client.bench.plan import Plan
from twistnet.client.bench.plots import percentile_curve, throughput_curve
from twistnet.client.bench.report import ReportFile, page

PLAN = Plan.of(
    connections=2, size=64, window=None, duration=10.0, warm_up=1.0, rate=None, timeout=None, expect="echo",
    datagrams=False,
)  # fmt: skip
SVG = "{http://www.w3.org/2000/svg}"


def findings(problem: str | None = None, replies: int = 5000) -> Findings:
    """Latencies from 1 to 6 ms, over ten seconds."""
    measured = Measurement()
    measured.plan(0.0, 10.0)
    measured.open(0.0, 0.0)
    for index in range(replies):
        since = 10 * index / replies
        measured.reply(since, since + 0.001 + index * 1e-6, 1)
        if not index % 100:
            measured.look(since)
    measured.close(10.0, 9.9)
    return Findings.of("tcp:<here>&:7", PLAN, measured, problem)


class Elements(HTMLParser):
    """What a page has in it, and whether what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_has_everything_in_it_and_asks_for_nothing() -> None:
    text = page(findings(), "today")
    elements = Elements(text)
    assert elements.seen.count("svg") == 2
    assert elements.seen.count("table") == 2
    assert not {"script", "link", "img", "iframe"} & set(elements.seen)
    assert not {"href", "src", "onload"} & {name for name, _ in elements.attributes}
    assert not re.search(r"https?:|url\(|@import", text)
    assert "prefers-color-scheme: dark" in text
    said = " ".join(elements.text)
    assert "tcp:<here>&:7" in said, "and so it is escaped"
    for words in ("99.99 %", "requests a second", "warm-up", "1 s", "today", "for 99% of the time"):
        assert words in said


def test_a_page_of_little_is_a_page() -> None:
    """One reply, or none but losses; and the problem is on it."""
    assert Elements(page(findings(replies=1), "today")).seen.count("svg") == 2
    nothing = Elements(page(findings("RESET <b>", replies=0), "today"))
    assert nothing.seen.count("svg") == 1
    assert "RESET <b>" in nothing.text


def coordinates(svg: str) -> list[tuple[float, float]]:
    """Where a drawing's curve is, all of which lies within the drawing."""
    root = ET.fromstring(svg)
    _, _, width, height = (float(word) for word in root.attrib["viewBox"].split())
    (curve,) = (element for element in root.iter() if element.attrib.get("class") == "curve")
    pairs = [pair.split(",") for pair in curve.attrib["points"].split()]
    points = [(float(x), float(y)) for x, y in pairs]
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)
    return points


def marks(svg: str) -> list[str]:
    """What is written on a drawing."""
    return [element.text or "" for element in ET.fromstring(svg).iter("text")]


def test_both_axes_of_the_percentiles_are_logarithmic() -> None:
    """A step to the next nine is as far as the one before, and so is ten times the latency."""
    svg = percentile_curve([(0.0, 1e-4), (90.0, 1e-3), (99.0, 1e-2), (99.9, 1e-1)])
    points = coordinates(svg)
    steps = [(b[0] - a[0], a[1] - b[1]) for a, b in itertools.pairwise(points)]
    assert steps[0][0] > 0 < steps[0][1]
    assert steps[1:] == [pytest.approx(steps[0], abs=0.2)] * 2
    written = marks(svg)
    for mark in ("0 %", "90 %", "99 %", "99.9 %", "100 µs", "1 ms", "10 ms", "100 ms", "latency"):
        assert mark in written
    assert "99.900 %: 100 ms" in svg


def test_the_throughput_begins_at_nothing_and_its_marks_are_round() -> None:
    svg = throughput_curve([(0.5, 900.0), (1.5, 1800.0), (2.5, 0.0)], 3.0)
    points = coordinates(svg)
    written = marks(svg)
    assert "2,000" in written
    assert "0" in written
    assert "replies a second" in written
    (first, second, third) = (y for _, y in points)
    assert third - second == pytest.approx(2 * (third - first), abs=0.2)


@pytest.mark.parametrize("rates", [[], [0.0], [1e-3], [123456789.0]])
def test_any_throughput_can_be_drawn(rates: list[float]) -> None:
    assert len(coordinates(throughput_curve([(0.1, rate) for rate in rates], 0.2))) >= len(rates)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 3e-4, 1.0, 8e4])
def test_any_latency_can_be_drawn(seconds: float) -> None:
    assert len(coordinates(percentile_curve([(0.0, seconds), (50.0, seconds), (99.9999, seconds)]))) >= 3


def test_a_report_takes_the_place_of_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    path.write_text("something longer")
    for text in ("first, longer", "then"):
        file = ReportFile(str(path))
        file.write(text)
        file.close()
        assert path.read_text() == text


def test_a_report_that_is_not_written_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.html"
    ReportFile(str(path)).close()
    assert not path.exists()
    path.write_text("old")
    ReportFile(str(path)).close()
    assert path.read_text() == "old"
    with pytest.raises(IsADirectoryError):
        ReportFile(str(tmp_path))


def test_a_report_goes_into_a_device(tmp_path: Path) -> None:
    file = ReportFile("/dev/null")
    file.write("text")
    file.close()
    assert Path("/dev/null").is_char_device()
