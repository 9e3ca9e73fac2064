"""Standard output, or a device or pipe that has a name, as where a file goes.

The rule of this module: what was written cannot be taken back, so the file goes on after it or fails; and nobody waits for a
reader when the program is to end.
"""

from __future__ import annotations

import errno
import hashlib
import os
import select
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import FilesError

__all__ = ["OutputClosed", "StandardOutput"]

_PIECE = select.PIPE_BUF
"""Octets that a pipe takes without a wait once it says that it takes any."""

_AGAIN = 0.2
"""Seconds after which a wait looks whether the program is to end."""


class OutputClosed(Exception):
    """Nobody reads it any more, or the program is to end."""


class StandardOutput:
    """A `Target` of `FilesClient.get`.

    Args:
        reactor: Says when it stops.
        path: A device or a pipe to write into instead.
    """

    def __init__(self, reactor: Any, path: str | os.PathLike[str] | None = None) -> None:
        self._path = path
        self._shown = "standard output" if path is None else os.fspath(path)
        self._descriptor = 1 if path is None else -1
        self._size = 0
        self._hasher = hashlib.sha256()
        self._stopped = False
        reactor.addSystemEventTrigger("before", "shutdown", self._stop)

    def open(self) -> None:
        """Have it open, which for a pipe waits until somebody reads it. This blocks.

        Raises:
            OutputClosed: The program is to end.
            FilesError: It cannot be opened.
        """
        while self._path is not None and self._descriptor < 0:
            if self._stopped:
                raise OutputClosed
            try:
                self._descriptor = os.open(
                    self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
                )
                os.set_blocking(self._descriptor, True)
            except OSError as error:
                if error.errno != errno.ENXIO or not Path(self._path).is_fifo():
                    raise FilesError("failed", f"{self._shown}: {error.strerror}") from error
                time.sleep(_AGAIN)

    def begin(self) -> tuple[int, str]:
        """How much was written, in an attempt before this one."""
        return self._size, self._hasher.hexdigest()

    def restart(self) -> None:
        """There is no way back; raises `FilesError` if one is needed."""
        if self._size:
            raise FilesError("changed", f"the file has changed after some of it went to {self._shown}")

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
        """Wait for no reader any more, and close what was opened."""
        self._stop()
        if self._path is not None and self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _stop(self) -> None:
        self._stopped = True

    def _write(self, piece: bytes) -> None:
        left = memoryview(piece)
        try:
            while left:
                if self._stopped:
                    raise OutputClosed
                if select.select([], [self._descriptor], [], _AGAIN)[1]:
                    left = left[os.write(self._descriptor, left[:_PIECE]) :]
        except BrokenPipeError:
            raise OutputClosed from None
        except OSError as error:
            raise FilesError("failed", f"{self._shown}: {error.strerror}") from error
