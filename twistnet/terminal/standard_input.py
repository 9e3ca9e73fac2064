"""Standard input, and standard output where it is no terminal of ours.

The rule of this module: they are used as they were found, because others share them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["StandardInput", "at_terminal", "may_read", "write_output"]


def at_terminal() -> bool:
    """Whether somebody can edit lines: standard input and output are terminals that can do so, and ours at the moment."""
    return os.isatty(0) and may_read() and os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"


def may_read() -> bool:
    """Whether standard input is open, and no terminal that would stop the process because that is in the background."""
    if sys.__stdin__ is None:  # it was closed, and the descriptor may be another's by now
        return False
    try:
        os.fstat(0)
        return not os.isatty(0) or os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


@implementer(IReadDescriptor)
class StandardInput:
    """Standard input, read when it is ready: blocking, as it was found, because others share it."""

    def __init__(self, reactor: Any, received: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._reactor = reactor
        self._received = received
        self._ended = ended

    def start(self) -> None:
        """Begin, or go on, to read."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Read no more."""
        self._reactor.removeReader(self)

    def fileno(self) -> int:
        """See `IFileDescriptor`."""
        return 0

    def logPrefix(self) -> str:
        """See `ILoggingContext`."""
        return "standard input"

    def doRead(self) -> None:
        """See `IReadDescriptor`."""
        try:
            data = os.read(0, 4096)
        except BlockingIOError:
            return
        except OSError:  # a terminal that is gone
            data = b""
        if data:
            self._received(data)
        else:
            self.connectionLost(Failure(ConnectionDone()))

    def connectionLost(self, reason: Failure) -> None:
        """See `IFileDescriptor`; the reactor calls it for a terminal that hung up."""
        self.stop()
        self._ended()


def write_output(text: str) -> None:
    """Write to whoever reads standard output, who may be gone."""
    data = text.encode("utf-8", "backslashreplace")
    with suppress(OSError):
        while data:
            data = data[os.write(1, data) :]
