"""A terminal, written to.

The rule of this module: nobody waits for a terminal. One that takes nothing, because its connection hangs, would hold up all that
the process serves; what waits for it is bounded, and who has more to show is told to wait.
"""

from __future__ import annotations

import os
import select
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["TerminalOutput"]

HIGH = 65536
"""Octets that wait, from which on nobody should show more."""

MOST = 1 << 20
"""Octets that wait, from which on nothing more is taken."""

PATIENCE = 0.5
"""Seconds that a terminal has, when all is over, to take what waits for it."""


@implementer(IWriteDescriptor)
class TerminalOutput:
    """Writes to a terminal by way of an open file of its own: how standard output is written to is no affair of ours.

    Args:
        reactor: Tells when the terminal takes more.
        descriptor: The terminal.
        drained: Called when all has been taken, after `is_full`.
    """

    def __init__(self, reactor: Any, descriptor: int, drained: Callable[[], object]) -> None:
        self._reactor = reactor
        self._drained = drained
        self._buffer = bytearray()
        self._was_full = False
        self._lost = 0
        flags = os.O_WRONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._descriptor = os.open(os.ttyname(descriptor), flags)
        except OSError:  # its name is not to be had, in a container for one
            self._descriptor = os.dup(descriptor)

    @property
    def is_full(self) -> bool:
        """Whether so much waits that nobody should show more."""
        return len(self._buffer) > HIGH

    def write(self, text: str) -> None:
        """Write a text, now or when the terminal takes it; of too much, the rest is lost, and that is said."""
        if len(self._buffer) > MOST:
            self._lost += 1
            return
        if self._lost:
            text = f"\r\n* {self._lost} times something was not shown: the terminal took nothing\r\n{text}"
            self._lost = 0
        waited = bool(self._buffer)
        self._buffer += text.encode("utf-8", "backslashreplace")
        if not waited:
            self.doWrite()
        self._was_full = self._was_full or self.is_full

    def doWrite(self) -> None:
        """See `IWriteDescriptor`."""
        try:
            del self._buffer[: os.write(self._descriptor, self._buffer)]
        except BlockingIOError:
            pass
        except OSError:  # nobody is there any more
            self._buffer.clear()
        if self._buffer:
            self._reactor.addWriter(self)
            return
        self._reactor.removeWriter(self)
        if self._was_full:
            self._was_full = False
            self._drained()

    def close(self) -> None:
        """Have what waits taken, if that does not take long."""
        self._was_full = False
        while self._buffer and select.select([], [self._descriptor], [], PATIENCE)[1]:
            self.doWrite()
        self._reactor.removeWriter(self)
        os.close(self._descriptor)

    def fileno(self) -> int:
        """See `IFileDescriptor`."""
        return self._descriptor

    def logPrefix(self) -> str:
        """See `ILoggingContext`."""
        return "terminal"

    def connectionLost(self, reason: Failure) -> None:
        """See `IFileDescriptor`; it hung up."""
        self._reactor.removeWriter(self)
        self._buffer.clear()
