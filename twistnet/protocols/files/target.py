"""Where a client puts what it gets.

The rule of this module: as at the server, a file has its name once all of it is on disk. What has come lies beside it
meanwhile, hidden, and is gone on with. All of it blocks.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ...errors import FilesError
from ...wire.file_names import PARTIALS
from .folder import local_problems
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
    """A file of that name, which is replaced. Its mode stays, and a link to it does.

    Args:
        path: Where the file will be.

    Raises:
        FilesError: `busy`, if somebody else gets the same file; `no-file`, if a device or a pipe is there; or the disk would not have it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(os.path.realpath(path))
        name = self._path.name
        self._shown = os.fsdecode(path)
        with local_problems(self._shown):
            mode = _mode_of(path)
            self._folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                key = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
                self._partial = Partial(self._folder, f"{PARTIALS}-{key}")
                if mode is not None:
                    self._partial.set_mode(mode | 0o600)  # it is to be gone on with
            except BaseException:
                os.close(self._folder)
                raise
        self._looked = False

    def begin(self) -> tuple[int, str]:
        """See `Target.begin`."""
        with local_problems(self._shown):
            if not self._looked:
                self._partial.look()
            self._looked = True
        return self._partial.size, self._partial.digest()

    def restart(self) -> None:
        """See `Target.restart`."""
        with local_problems(self._shown):
            self._partial.restart()

    def write(self, pieces: Sequence[bytes]) -> None:
        """See `Target.write`."""
        with local_problems(self._shown):
            self._partial.write(pieces)

    def flush(self) -> None:
        """See `Target.flush`."""
        with local_problems(self._shown):
            self._partial.flush()

    def finish(self, size: int, digest: str) -> None:
        """See `Target.finish`."""
        with local_problems(self._shown):
            mode = _mode_of(self._path)
            if mode is not None:
                self._partial.set_mode(mode)
            self._partial.commit(size, digest, self._folder, self._path.name)

    def close(self) -> None:
        """See `Target.close`; what came stays, to go on with."""
        try:
            self._partial.close()
        finally:
            os.close(self._folder)


def _mode_of(path: str | os.PathLike[str]) -> int | None:
    """Who may do what with the file that is there, if one is; nothing but a file is replaced."""
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder")
    if not stat.S_ISREG(mode):
        raise FilesError("no-file", "it is not a regular file")
    return mode & 0o777
