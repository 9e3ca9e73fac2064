"""Where a client puts what it gets.

The rule of this module: as at the server, a file has its name once all of it is on disk. What has come lies beside it
meanwhile, hidden, and is gone on with. All of it blocks.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ...wire.file_names import PARTIALS
from .folder import disk_problems
from .partial import Partial

__all__ = ["FileTarget", "Target"]


class Target(Protocol):
    """Takes the octets of one file. Its methods are called in threads, one after the other but for `flush`."""

    def begin(self) -> tuple[int, str]:
        """How many octets there are already, and their SHA-256."""

    def restart(self) -> None:
        """All octets come from the beginning after all.

        Raises:
            FilesError: That cannot be.
        """

    def write(self, pieces: Sequence[bytes]) -> None:
        """Take the next octets."""

    def flush(self) -> None:
        """See to it that what was taken is on disk, as far as that matters; called beside `write`."""

    def finish(self, size: int, digest: str) -> None:
        """They were all.

        Raises:
            FilesError: `digest-mismatch`, or the disk would not have it.
        """

    def close(self) -> None:
        """Let go of it."""


class FileTarget:
    """A file of that name, which is replaced.

    Args:
        path: Where the file will be.

    Raises:
        FilesError: `busy`, if somebody else gets the same file; or the disk would not have it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        name = self._path.name
        with disk_problems(str(path)):
            if not name or self._path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "is a folder")
            self._folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                key = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
                self._partial = Partial(self._folder, f"{PARTIALS}-{key}")
            except BaseException:
                os.close(self._folder)
                raise
        self._looked = False

    def begin(self) -> tuple[int, str]:
        """See `Target.begin`."""
        with disk_problems(str(self._path)):
            if not self._looked:
                self._partial.look()
            self._looked = True
        return self._partial.size, self._partial.digest()

    def restart(self) -> None:
        """See `Target.restart`."""
        with disk_problems(str(self._path)):
            self._partial.restart()

    def write(self, pieces: Sequence[bytes]) -> None:
        """See `Target.write`."""
        with disk_problems(str(self._path)):
            self._partial.write(pieces)

    def flush(self) -> None:
        """See `Target.flush`."""
        with disk_problems(str(self._path)):
            self._partial.flush()

    def finish(self, size: int, digest: str) -> None:
        """See `Target.finish`."""
        with disk_problems(str(self._path)):
            self._partial.commit(size, digest, self._folder, self._path.name)

    def close(self) -> None:
        """See `Target.close`; what came stays, to go on with."""
        try:
            self._partial.close()
        finally:
            os.close(self._folder)
