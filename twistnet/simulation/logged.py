"""Errors that were logged while a network ran.

The rule of this module: a failure that somebody has logged is kept until a test has taken it or been failed by it.
"""

from __future__ import annotations

import gc
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from twisted.logger import ILogObserver, LogEvent, globalLogBeginner, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import ErrorsLogged

__all__ = ["Logged", "only_new_garbage"]


@implementer(ILogObserver)
class Logged:
    """Listens to the log for failures.

    Until somebody begins to log, Twisted keeps events to be logged then, and with them all that they speak of. A
    network's are not kept: they would keep the network.
    """

    def __init__(self) -> None:
        self._failures: list[Failure] = []
        self._keeps: tuple[Any, Any] | None = None
        self._expecting: list[tuple[tuple[type[BaseException], ...], list[Failure]]] = []

    def __call__(self, event: LogEvent) -> None:
        failure = event.get("log_failure") or event.get("failure")
        if not isinstance(failure, Failure):
            return
        for types, caught in reversed(self._expecting):
            if not types or failure.check(*types):
                caught.append(failure)
                return
        self._failures.append(failure)

    def listen(self) -> None:
        """Begin to listen."""
        globalLogPublisher.addObserver(self)
        early = getattr(globalLogBeginner, "_temporaryObserver", None)
        buffer = globalLogBeginner._initialBuffer
        if early is not None and buffer in early._observers:
            early.removeObserver(buffer)
            self._keeps = early, buffer

    def ignore(self) -> None:
        """Stop listening."""
        globalLogPublisher.removeObserver(self)
        if self._keeps is not None:
            early, buffer = self._keeps
            early.addObserver(buffer)
            self._keeps = None

    @contextmanager
    def expecting(self, types: tuple[type[BaseException], ...]) -> Iterator[list[Failure]]:
        """Let failures of some types go into a list while the block runs."""
        caught: list[Failure] = []
        entry = (types, caught)
        self._expecting.append(entry)
        try:
            yield caught
        finally:
            self._expecting.remove(entry)

    def lines(self) -> Iterator[str]:
        """What was logged and not expected, a line each: very likely why nothing goes on."""
        for failure in self._failures:
            kind = type(failure.value).__name__
            yield f"logged: {kind}: {failure.getErrorMessage()}{_place(failure)}"

    def check(self) -> None:
        """Forget what was logged, and raise it.

        Raises:
            ErrorsLogged: There was something.
        """
        __tracebackhide__ = True
        failures, self._failures = self._failures, []
        if failures:
            raise ErrorsLogged(tuple(failures))


@contextmanager
def only_new_garbage() -> Iterator[None]:
    """Let the garbage collector look at what is made in the block alone.

    A Deferred that has failed unnoticed is found when it is collected. In a large suite that would take as long as all that
    the suite has in memory, once for each network.
    """
    if _freezing or gc.get_freeze_count():  # it counts one by one: 10 ms in a large suite
        yield  # whoever has frozen something will want it to stay so
        return
    gc.freeze()
    _freezing.append(True)
    try:
        yield
    finally:
        _freezing.clear()
        gc.unfreeze()


_freezing: list[bool] = []
"""Whether a block of our own is running."""


def _place(failure: Failure) -> str:
    """Where it was raised, or what called the standard library there."""
    frames = traceback.extract_tb(failure.getTracebackObject())
    library = sysconfig.get_path("stdlib")
    frame = next((frame for frame in reversed(frames) if not frame.filename.startswith(library)), None)
    return f", at {Path(frame.filename).name}:{frame.lineno}" if frame is not None else ""
