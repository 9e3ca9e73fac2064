"""What a terminal shows while it is measured."""

from __future__ import annotations

import io
import sys

import pytest

from twistnet.client.bench.live import shown_live
from twistnet.client.bench.measurement import Now
from twistnet.client.bench.plan import Plan

PLAN = Plan.of(
    connections=1, size=1, window=None, duration=10.0, warm_up=1.0, rate=None, timeout=None, expect="echo",
    datagrams=False,
)  # fmt: skip


class StandardError(io.StringIO):
    """Says whether it is a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> str:
    """What is shown of two seconds, of which the last half loses something."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("TERM", "xterm")
    with monkeypatch.context() as patched:
        standard_error = StandardError(terminal=terminal)
        patched.setattr(sys, "stderr", standard_error)
        with shown_live(PLAN) as show:
            for tenths in range(21):
                show(Now(tenths / 10, tenths * 100, 0 if tenths < 15 else 3, 1000.0 + tenths))
        return standard_error.getvalue()


def test_a_terminal_shows_how_it_goes_twice_a_second_and_is_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = shown(monkeypatch, terminal=True)
    assert "warming up" in text
    for figures in ("1,005 a second", "1,010 a second", "1,015 a second, 3 lost", "1,020 a second, 3 lost"):
        assert figures in text
    assert "1,011" not in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is there again"


def test_nothing_is_drawn_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, terminal=False) == ""
