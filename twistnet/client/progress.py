"""How far a transfer is: a bar with rate and remaining time, on a terminal; nothing into a pipe.

The rule of this module: it is drawn by the reactor, ten times a second at most, and leaves the terminal as it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from twisted.internet.task import LoopingCall

from ..units import one_line

__all__ = ["Bars"]


class Bars:
    """A bar for each transfer.

    Args:
        reactor: Draws them.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._progress: Any = None
        self._drawing: LoopingCall | None = None

    def of(self, name: str) -> Callable[[int, int | None], None]:
        """What is told how a transfer goes, to show it."""
        if not sys.stderr.isatty():
            return lambda there, size: None
        self._start()
        progress = self._progress
        tasks: list[Any] = []

        def report(there: int, size: int | None) -> None:
            if not tasks:
                tasks.append(progress.add_task(_shown(name), total=size, completed=there))
            progress.update(tasks[0], completed=there)

        return report

    def stop(self) -> None:
        """Draw it a last time, and show the cursor again."""
        if self._drawing is not None and self._drawing.running:
            self._drawing.stop()
            self._progress.stop()

    def _start(self) -> None:
        if self._drawing is not None:
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), auto_refresh=False)
        self._progress.start()
        self._drawing = LoopingCall(self._progress.refresh)
        self._drawing.clock = self._reactor
        self._drawing.start(0.1)
        self._reactor.addSystemEventTrigger("before", "shutdown", self.stop)


def _shown(name: str) -> str:
    from rich.markup import escape

    return escape(one_line(name))
