"""What anything in the process prints, brought to where it does no harm.

The rule of this module: whoever prints is never kept waiting, and what was printed is not lost when this ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from threading import Thread

__all__ = ["Captured"]


class Captured:
    """Puts a pipe in the place of descriptors, and reads it in a thread: a full pipe would stop the reactor.

    Args:
        descriptors: Which, such as 1 and 2.
        printed: Called in the thread with each piece.
    """

    def __init__(self, descriptors: Sequence[int], printed: Callable[[bytes], None]) -> None:
        self._kept = {descriptor: os.dup(descriptor) for descriptor in descriptors}
        self._output, feed = os.pipe()
        for descriptor in descriptors:
            os.dup2(feed, descriptor)
        os.close(feed)
        self._printed = printed
        self._thread = Thread(target=self._read, name="captured output", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Put everything back. What was printed before has been given to `printed` then."""
        for descriptor, kept in self._kept.items():
            os.dup2(kept, descriptor)
            os.close(kept)
        # A child that has the other end keeps it open for as long as it lives: then it is not waited for.
        self._thread.join(0.5)

    def _read(self) -> None:
        with suppress(OSError):
            while data := os.read(self._output, 65536):
                self._printed(data)
        os.close(self._output)
