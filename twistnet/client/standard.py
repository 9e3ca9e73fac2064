"""Standard input and output, in the reactor.

The rule of this module: they are left as they were found, and what cannot be written is not held.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from attrs import frozen
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.stdio import StandardIO
from twisted.python.failure import Failure
from zope.interface import implementer

from .outcome import NetworkProblem

__all__ = ["Output", "Producer", "StandardStreams", "reading_standard_input", "terminal_kept"]


@contextmanager
def terminal_kept() -> Iterator[None]:
    """Leave standard input and output blocking, if they were: a shell shares them."""
    blocking = {}
    for descriptor in (0, 1):
        with suppress(OSError):
            blocking[descriptor] = os.get_blocking(descriptor)
    try:
        yield
    finally:
        for descriptor, was in blocking.items():
            with suppress(OSError):
                os.set_blocking(descriptor, was)


@contextmanager
def reading_standard_input() -> Iterator[None]:
    """Raise a `NetworkProblem` for whatever standard input would not have."""
    try:
        yield
    except OSError as problem:
        raise NetworkProblem("FAILED", f"standard input: {problem.strerror}", problem.errno) from problem


def _why_unreadable() -> NetworkProblem:
    """Ask anew, but for no octet: Twisted does not say, and others may read on."""
    try:
        with reading_standard_input():
            os.read(0, 0)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
    except NetworkProblem as problem:
        return problem


class StandardStreams(StandardIO):
    """Standard input and output, for a protocol with a method `input_failed` that takes why the input cannot be read.

    That is no end: what was to come is missing.
    """

    def childConnectionLost(self, fd: Any, reason: Failure) -> None:
        """See `ProcessReader`."""
        if fd == "read" and not reason.check(ConnectionDone):
            if not self.disconnected:
                self.protocol.input_failed(_why_unreadable())  # type: ignore[attr-defined]
        else:
            super().childConnectionLost(fd, reason)  # type: ignore[misc]  # not on every system


@implementer(IPushProducer)
@frozen
class Producer:
    """A producer made of two functions."""

    pause: Callable[[], None]
    resume: Callable[[], None]

    def pauseProducing(self) -> None:
        self.pause()

    def resumeProducing(self) -> None:
        self.resume()

    def stopProducing(self) -> None:
        """The connection says so itself."""


class Output:
    """Standard output. A pipe takes what it can and may be full; a file or a terminal takes everything, or fails.

    Attributes:
        descriptor: What the reactor writes to: standard output if it is a pipe or a socket, or else nothing.
    """

    def __init__(self) -> None:
        mode = os.fstat(1).st_mode
        self._waits = stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)
        self.descriptor = 1 if self._waits else os.open(os.devnull, os.O_WRONLY)

    def write(self, data: bytes, standard: StandardIO) -> None:
        """Write data, or have it written.

        Raises:
            OSError: A file or terminal would not have it.
        """
        if self._waits:
            standard.write(data)
            return
        while data:
            data = data[os.write(1, data) :]

    def close(self) -> None:
        """Close what was opened."""
        if self.descriptor != 1:
            with suppress(OSError):
                os.close(self.descriptor)
