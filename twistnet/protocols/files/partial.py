"""The two ends of a file on its way: one that is read from, and one that has not come whole yet.

The rule of this module: a file has its final name once all of it is on disk and its digest is right, and not before. What
is locked belongs to one writer, of all processes. All of it blocks.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress

from ...errors import FilesError

__all__ = ["Partial", "Source"]

PIECE = 1 << 17
"""Octets that are read, hashed and sent in one go: no more than Twisted sends at once, and than a cache of a core holds."""

AHEAD = 8
"""Pieces that are read at once, ahead of their being sent."""

_MOST_PIECES = 512
"""Pieces that are written at once; IOV_MAX is 1024."""


class Source:
    """A file that is read from its beginning to its end, while its digest is taken.

    Args:
        descriptor: A regular file; it is closed by `close`.

    Attributes:
        size: Octets that it had when it was opened; no more are read.
        offset: Octets that were read, or agreed to be there.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.offset = 0
        self._hasher = hashlib.sha256()
        self._buffers: list[memoryview] = []

    @classmethod
    def of_path(cls, path: str | os.PathLike[str]) -> Source:
        """A file of this machine, wherever it is.

        Raises:
            FilesError: `no-file`: it is no regular file.
            OSError: It cannot be opened.
        """
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise IsADirectoryError(errno.EISDIR, "is a folder")
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise FilesError("no-file", "it is not a regular file")
            if not os.fstat(descriptor).st_size:  # which those of the kernel say whatever is in them
                _spool(descriptor)
            return cls(descriptor)
        except BaseException:
            os.close(descriptor)
            raise

    def agree(self, offset: int, digest: str) -> int:
        """Go on after so many octets if they have this digest, else begin at the beginning; the offset of it."""
        self.offset, self._hasher = 0, hashlib.sha256()
        if 0 < offset <= self.size:
            while self.offset < offset:
                self.read(offset)
            if self.digest() != digest:
                self.offset, self._hasher = 0, hashlib.sha256()
        return self.offset

    def read(self, until: int | None = None) -> bytes:
        """The next octets; nothing at the end.

        Raises:
            FilesError: `changed`: the file has become shorter.
        """
        data = bytearray(min(PIECE, (self.size if until is None else until) - self.offset))
        with memoryview(data) as space:
            octets = self._read_into(space)
        return bytes(data[:octets])

    def read_ahead(self) -> list[memoryview]:
        """The next pieces; none at the end. They are good until the call after the next. Raises as `read` does.

        They are read into the same two buffers again and again: memory that one thread takes and another gives back goes
        back to the kernel each time, and costs as much as the reading.
        """
        if not self._buffers:
            self._buffers = [memoryview(bytearray(AHEAD * PIECE)) for _ in range(2)]
        self._buffers.reverse()
        spaces = (self._buffers[0][at : at + PIECE] for at in range(0, AHEAD * PIECE, PIECE))
        return [
            space[:octets]
            for space in spaces
            if (octets := self._read_into(space[: self.size - self.offset]))
        ]

    def _read_into(self, space: memoryview) -> int:
        octets = os.preadv(self._descriptor, [space], self.offset)
        if space and not octets:
            raise FilesError("changed", "the file has become shorter while it was read")
        self._hasher.update(space[:octets])
        self.offset += octets
        return octets

    def digest(self) -> str:
        """The SHA-256 of what was read."""
        return self._hasher.hexdigest()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _spool(descriptor: int) -> None:
    """Have a descriptor be one of all that can be read from it, in a file without a name."""
    with tempfile.TemporaryFile() as spool:
        while piece := os.read(descriptor, PIECE):
            spool.write(piece)
        spool.flush()
        os.dup2(spool.fileno(), descriptor, inheritable=False)


class Partial:
    """A file that has not come whole, locked.

    Args:
        folder: The descriptor of the folder that it is in, which stays open as long as this is.
        name: What it is called there.

    Attributes:
        size: Octets that are there.

    Raises:
        FilesError: `busy`: somebody else has it.
        OSError: The disk would not have it.
    """

    def __init__(self, folder: int, name: str) -> None:
        self._folder = folder
        self._name = name
        self._descriptor = _locked(folder, name)
        self.size = os.fstat(self._descriptor).st_size
        self._hasher = hashlib.sha256()

    def look(self) -> None:
        """Take the digest of what is there."""
        at = 0
        while at < self.size:
            data = os.pread(self._descriptor, min(PIECE, self.size - at), at)
            if not data:
                self.size = at
            self._hasher.update(data)
            at += len(data)

    def digest(self) -> str:
        """The SHA-256 of what is there, once somebody has looked."""
        return self._hasher.hexdigest()

    def restart(self) -> None:
        """Forget what is there."""
        os.ftruncate(self._descriptor, 0)
        self.size, self._hasher = 0, hashlib.sha256()

    def write(self, pieces: Sequence[bytes]) -> None:
        """Put octets behind what is there."""
        for piece in pieces:
            self._hasher.update(piece)
        waiting = [memoryview(piece) for piece in pieces]
        while waiting:
            written = os.pwritev(self._descriptor, waiting[:_MOST_PIECES], self.size)
            self.size += written
            while waiting and written >= len(waiting[0]):
                written -= len(waiting.pop(0))
            if waiting:
                waiting[0] = waiting[0][written:]

    def flush(self) -> None:
        """See to it that what was written is on disk."""
        os.fdatasync(self._descriptor)

    def set_mode(self, mode: int) -> None:
        """Say who may do what with it."""
        os.fchmod(self._descriptor, mode)

    def commit(self, size: int, digest: str, folder: int, name: str) -> None:
        """Give the file its final name, once it is on disk; and see to it that the name is, too.

        Raises:
            FilesError: `digest-mismatch`: it is not the file that was announced. It is removed.
        """
        if (self.size, self.digest()) != (size, digest):
            self.remove()
            raise FilesError("digest-mismatch", "what came is not what was sent: the digests differ")
        os.fsync(self._descriptor)
        os.rename(self._name, name, src_dir_fd=self._folder, dst_dir_fd=folder)
        os.fsync(folder)

    def remove(self) -> None:
        """Leave nothing of it."""
        with suppress(FileNotFoundError):
            os.unlink(self._name, dir_fd=self._folder)

    def close(self) -> None:
        """Let go of it, if that has not been done; what came stays, unless nothing did."""
        if self._descriptor < 0:
            return
        descriptor, self._descriptor = self._descriptor, -1
        try:
            status = os.fstat(descriptor)
            if status.st_nlink and not status.st_size and _is_called(status, self._folder, self._name):
                self.remove()
        finally:
            os.close(descriptor)


def _locked(folder: int, name: str) -> int:
    """A descriptor of a file that nobody else has, which is made if it is not there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    for _ in range(100):  # it may be given its final name between the two calls
        descriptor = os.open(name, flags, 0o666, dir_fd=folder)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and _is_called(status, folder, name):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            break
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise FilesError("busy", "somebody else is at it")


def _is_called(status: os.stat_result, folder: int, name: str) -> bool:
    try:
        return os.path.samestat(status, os.stat(name, dir_fd=folder, follow_symlinks=False))
    except FileNotFoundError:
        return False
