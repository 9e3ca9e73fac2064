"""How a measurement goes, on a terminal; nothing into a pipe.

The rule of this module: it is drawn twice a second, because drawing takes half a millisecond in which no reply is read.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from .measurement import Now
from .plan import Plan

__all__ = ["shown_live"]

_EVERY = 0.5


@contextmanager
def shown_live(plan: Plan) -> Iterator[Callable[[Now], None]]:
    """What is to be told how things stand, to show it."""
    if sys.stderr is None or not sys.stderr.isatty():  # None if it is closed
        yield lambda now: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True), auto_refresh=False, transient=True)
    progress.start()
    try:
        yield _drawing(progress, plan.duration)
    finally:
        with suppress(OSError):  # the terminal may have gone away
            progress.stop()


def _drawing(progress: Any, duration: float) -> Callable[[Now], None]:
    task = progress.add_task("warming up", total=duration, figures="")
    progress.refresh()
    drawn = 0.0

    def draw(now: Now) -> None:
        nonlocal drawn
        if now.elapsed - drawn < _EVERY:
            return
        drawn = now.elapsed
        figures = f"{now.rate:,.0f} a second"
        if now.lost:
            figures += f", {now.lost:,} lost"
        progress.update(task, description="measuring", completed=min(now.elapsed, duration), figures=figures)
        with suppress(OSError):
            progress.refresh()

    return draw
