"""Standard input and output, in the reactor.

The rule of this module: they are left as they were found, and what cannot be written is not held.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from attrs import frozen
from twisted.internet.interfaces import IPushProducer
from twisted.internet.stdio import StandardIO
from zope.interface import implementer

__all__ = ["Output", "Producer", "terminal_kept"]


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
