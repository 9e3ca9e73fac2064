"""Standard output, as where a file goes.

The rule of this module: what was written cannot be taken back, so the file goes on after it or fails; and nobody waits for a
reader when the program is to end.
"""

from __future__ import annotations

import hashlib
import os
import select
from collections.abc import Sequence
from typing import Any

from ..errors import FilesError

__all__ = ["OutputClosed", "StandardOutput"]

_PIECE = select.PIPE_BUF
"""Octets that a pipe takes without a wait once it says that it takes any."""


class OutputClosed(Exception):
    """Nobody reads it any more, or the program is to end."""


class StandardOutput:
    """A `Target` of `FilesClient.get`.

    Args:
        reactor: Says when it stops.
    """

    def __init__(self, reactor: Any) -> None:
        self._size = 0
        self._hasher = hashlib.sha256()
        self._stopped = False
        reactor.addSystemEventTrigger("before", "shutdown", self.close)

    def begin(self) -> tuple[int, str]:
        """How much was written, in an attempt before this one."""
        return self._size, self._hasher.hexdigest()

    def restart(self) -> None:
        """There is no way back; raises `FilesError` if one is needed."""
        if self._size:
            raise FilesError("changed", "the file has changed after some of it went to standard output")

    def write(self, pieces: Sequence[bytes]) -> None:
        """Write octets; raises `OutputClosed` if nobody reads them, `FilesError` if they cannot be written."""
        for piece in pieces:
            self._hasher.update(piece)
            self._write(piece)
            self._size += len(piece)

    def flush(self) -> None:
        """It is written."""

    def finish(self, size: int, digest: str) -> None:
        """Say whether it was all right."""
        if (self._size, self._hasher.hexdigest()) != (size, digest):
            raise FilesError("digest-mismatch", "what came is not what was sent: the digests differ")

    def close(self) -> None:
        """Wait for no reader any more."""
        self._stopped = True

    def _write(self, piece: bytes) -> None:
        left = memoryview(piece)
        try:
            while left:
                if self._stopped:
                    raise OutputClosed
                if select.select([], [1], [], 0.2)[1]:
                    left = left[os.write(1, left[:_PIECE]) :]
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise FilesError("failed", f"standard output: {error.strerror}") from error
