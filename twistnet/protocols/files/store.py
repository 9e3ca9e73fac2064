"""A folder as a server offers it: what may be put there, and how much of it.

The rule of this module: what is allowed is decided before anything is made, with what others are still sending counted as
if it had come. All of it blocks, and may be called from several threads at once.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from threading import Lock

from ...errors import FilesError
from ...wire.file_messages import Entry
from .folder import Folder, disk_problems, parts_of
from .partial import Partial, Source

__all__ = ["FileStore", "Upload"]

_BATCH = 100
"""Entries of a folder that are told at once: with the longest of names they still fit a message."""


class FileStore:
    """A folder, and what may be done with it.

    Args:
        path: Where it is.
        writable: Whether anything may be put there or removed.
        quota: Octets that all files may have together, those that have not come whole included; `None` for no limit.
        max_file_size: Octets that one file may have; `None` for no limit.
        partial_lifetime: Seconds for which what has not come whole is kept, after nothing more of it came.
        now: Tells the time, in seconds since 1970.

    Raises:
        OSError: The folder cannot be opened.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        writable: bool = False,
        quota: int | None = None,
        max_file_size: int | None = None,
        partial_lifetime: float = 7 * 86400.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._folder = Folder(path)
        self._writable = writable
        self._quota = quota
        self._max_file_size = max_file_size
        self._partial_lifetime = partial_lifetime
        self._now = now
        self._partials = -1
        self._lock = Lock()
        self._coming: dict[Upload, int] = {}

    def close(self) -> None:
        """Close the folder; nothing may be under way."""
        self._folder.close()
        if self._partials >= 0:
            os.close(self._partials)
        self._partials = -1

    def get(self, name: str) -> Source:
        """A file to read from.

        Raises:
            FilesError: As all that follows: the code says what is the matter.
        """
        parts = self._named(name)
        with disk_problems(name):
            return Source(self._folder.open_file(parts))

    def stat(self, name: str) -> Entry:
        """What is known of a file or a folder."""
        with disk_problems(name):
            return self._folder.entry(parts_of(name))

    def list(self, folder: str) -> Iterator[tuple[Entry, ...]]:
        """What is in a folder, in order of names, some at a time."""
        parts = parts_of(folder)
        with disk_problems(folder):
            names = self._folder.names(parts)
            for first in range(0, len(names), _BATCH):
                yield self._folder.entries(parts, names[first : first + _BATCH])

    def remove(self, name: str) -> None:
        """Remove a file, or a folder that is empty."""
        parts = self._named(name)
        self._check_writable(name)
        with disk_problems(name):
            self._folder.remove(parts)

    def put(self, name: str, size: int) -> Upload:
        """A file that will come."""
        parts = self._named(name)
        self._check_writable(name)
        if self._max_file_size is not None and size > self._max_file_size:
            raise FilesError(
                "too-large", f"{name}: {size} octets are more than the {self._max_file_size} of a file here"
            )
        with disk_problems(name):
            there = self._there(parts)
            if there is not None and there.folder:
                raise IsADirectoryError(errno.EISDIR, "is a folder")
            return self._accepted(name, parts, size, there)

    def _accepted(self, name: str, parts: tuple[str, ...], size: int, there: Entry | None) -> Upload:
        with self._lock:
            self._expire()
            key = hashlib.sha256(name.encode()).hexdigest()
            partial = Partial(self._open_partials(), key)
            upload = Upload(self, self._folder, partial, parts, size)
            try:
                self._check_room(name, size - min(size, partial.size))
            except BaseException:
                partial.close()
                raise
            self._coming[upload] = size - min(size, partial.size)
        try:
            upload.look(there is not None and there.size == size)
        except BaseException:
            upload.close()
            raise
        return upload

    def _named(self, name: str) -> tuple[str, ...]:
        parts = parts_of(name)
        if not parts:
            raise FilesError("bad-name", "the empty name is that of the folder itself")
        return parts

    def _check_writable(self, name: str) -> None:
        if not self._writable:
            raise FilesError("read-only", f"{name}: nothing may be changed here")

    def _there(self, parts: tuple[str, ...]) -> Entry | None:
        """What has the name already; what is neither a file nor a folder gives way."""
        try:
            return self._folder.entry(parts)
        except (FileNotFoundError, FilesError):
            return None

    def _check_room(self, name: str, wanted: int) -> None:
        wanted += sum(self._coming.values())
        if self._quota is not None and self._folder.octets() + wanted > self._quota:
            raise FilesError(
                "quota", f"{name}: with it there would be more than the {self._quota} octets allowed here"
            )
        if wanted > self._folder.free():
            raise FilesError("no-space", f"{name}: the disk has no room for it")

    def _open_partials(self) -> int:
        if self._partials < 0:
            self._partials = self._folder.open_partials()
        return self._partials

    def _expire(self) -> None:
        """Remove what nobody has gone on with for too long."""
        folder = self._open_partials()
        oldest = self._now() - self._partial_lifetime
        for name in os.listdir(folder):  # noqa: PTH208 - pathlib knows no descriptors
            with suppress(OSError):
                if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime < oldest:
                    _remove_unlocked(folder, name)

    def progressed(self, upload: Upload, left: int) -> None:
        """So many octets of it are still to come."""
        with self._lock:
            self._coming[upload] = left

    def ended(self, upload: Upload) -> None:
        """Nothing more of it will come."""
        with self._lock:
            self._coming.pop(upload, None)


def _remove_unlocked(folder: int, name: str) -> None:
    descriptor = os.open(name, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(name, dir_fd=folder)
    finally:
        os.close(descriptor)


class Upload:
    """A file that comes; nobody else sends it.

    Attributes:
        offset: Octets that are there already.
        digest: Their SHA-256.
    """

    def __init__(
        self, store: FileStore, folder: Folder, partial: Partial, parts: tuple[str, ...], size: int
    ) -> None:
        self._store = store
        self._folder = folder
        self._partial = partial
        self._parts = parts
        self._name = "/".join(parts)
        self._size = size
        self._same: os.stat_result | None = None
        self.offset = 0
        self.digest = partial.digest()

    def look(self, same_size: bool) -> None:
        """See what is there: some of the file, or all of it under its name, if that has its size."""
        if self._partial.size > self._size:
            self._partial.restart()
        if self._partial.size:
            self._partial.look()
            self.offset, self.digest = self._partial.size, self._partial.digest()
        elif same_size and self._size:
            self._look_at_same()

    def agreed(self, offset: int) -> None:
        """The sender goes on after so many octets: those that are there, or none."""
        with disk_problems(self._name):
            if offset != self.offset or self._size == 0:
                self._same = None
                self._partial.restart()
        self._store.progressed(self, self._size - offset)

    def write(self, pieces: Sequence[bytes]) -> None:
        """Take the next octets."""
        with disk_problems(self._name):
            self._partial.write(pieces)
        self._store.progressed(self, self._size - self._partial.size)

    def flush(self) -> None:
        """See to it that what was taken is on disk."""
        with disk_problems(self._name):
            self._partial.flush()

    def finish(self, digest: str) -> None:
        """Give it its name, once all of it is on disk.

        Raises:
            FilesError: `digest-mismatch`, and what the disk would not have.
        """
        with disk_problems(self._name):
            if self._same is not None and digest == self.digest:
                self._keep_same(self._same)
                return
            with self._folder.opened(self._parts[:-1], create=True) as folder:
                self._partial.commit(self._size, digest, folder, self._parts[-1])

    def close(self) -> None:
        """Let go of it; what came stays, to go on with."""
        try:
            self._partial.close()
        finally:
            self._store.ended(self)

    def _look_at_same(self) -> None:
        """Offer what has the name already."""
        descriptor = self._folder.open_file(self._parts)
        source = Source(descriptor)
        try:
            while source.read():
                pass
            if source.size == self._size:
                self._same = os.fstat(descriptor)
                self.offset, self.digest = self._size, source.digest()
        finally:
            source.close()

    def _keep_same(self, seen: os.stat_result) -> None:
        """What has the name is what would come, if nobody has changed it meanwhile; see to it that it is on disk."""
        descriptor = self._folder.open_file(self._parts)
        try:
            status = os.fstat(descriptor)
            if not os.path.samestat(status, seen) or (status.st_size, status.st_mtime_ns) != (
                seen.st_size,
                seen.st_mtime_ns,
            ):
                raise FilesError("changed", f"{self._name}: somebody has changed it meanwhile")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
