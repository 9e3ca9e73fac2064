"""A folder, and what is below it by name.

The rule of this module: a name is followed part by part, each opened within the one before and never through a link, so
that it leads nowhere else, whatever somebody changes meanwhile. All of it blocks.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from ...errors import FilesError
from ...wire.file_messages import Entry
from ...wire.file_names import PARTIALS, split_name

__all__ = ["Folder", "disk_problems", "local_problems", "parts_of"]

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_CODES = {
    errno.ENOENT: ("not-found", "there is no such file or folder"),
    errno.ENOTDIR: ("not-found", "there is no such file or folder"),
    errno.ELOOP: ("not-found", "there is no such file or folder"),
    errno.EISDIR: ("is-folder", "it is a folder"),
    errno.ENOTEMPTY: ("not-empty", "the folder is not empty"),
    errno.ENAMETOOLONG: ("bad-name", "the name is too long for the disk"),
    errno.EACCES: ("denied", "the service may not"),
    errno.EPERM: ("denied", "the service may not"),
    errno.EROFS: ("read-only", "the disk is read-only"),
    errno.ENOSPC: ("no-space", "the disk is full"),
    errno.EDQUOT: ("no-space", "the disk is full"),
    errno.EXDEV: ("failed", "the folder is on another disk"),
}


@contextmanager
def disk_problems(name: str) -> Iterator[None]:
    """What the disk would not have within, as a `FilesError` that does not say where the folder is."""
    try:
        yield
    except OSError as error:
        code, text = _words_for(error)
        raise FilesError(code, f"{name or 'the folder'}: {text}") from error


@contextmanager
def local_problems(name: str) -> Iterator[None]:
    """What the disk of a client would not have within, as a `FilesError` that nobody takes for the server's."""
    try:
        yield
    except OSError as error:
        code, text = _words_for(error)
        if code == "denied":
            text = "permission denied"
        raise FilesError(code, f"{name}: {text}, here") from error
    except FilesError as problem:
        raise FilesError(problem.code, f"{name}: {problem.text}, here") from problem


def _words_for(error: OSError) -> tuple[str, str]:
    return _CODES.get(error.errno or 0, ("failed", error.strerror or "the disk failed"))


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a name.

    Raises:
        FilesError: `bad-name`.
    """
    try:
        return split_name(name)
    except ValueError as error:
        raise FilesError("bad-name", f"{name!r} {error}") from None


class Folder:
    """A folder that is open.

    Args:
        path: Where it is; this may be a link.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.descriptor = os.open(path, _FOLDER)

    def close(self) -> None:
        """Close it; it is of no more use."""
        os.close(self.descriptor)

    @contextmanager
    def opened(self, parts: Sequence[str], *, create: bool = False) -> Iterator[int]:
        """The descriptor of a folder below, which is made if need be."""
        at = os.dup(self.descriptor)
        try:
            for part in parts:
                inside = _enter(at, part, create)
                os.close(at)
                at = inside
            yield at
        finally:
            os.close(at)

    def open_file(self, parts: Sequence[str]) -> int:
        """The descriptor of a regular file, to read from. Nothing else is opened: to open a device is to use it."""
        with self.opened(parts[:-1]) as folder:
            _check_regular(self._status(folder, parts))
            descriptor = os.open(parts[-1], _FILE, dir_fd=folder)
        try:
            _check_regular(os.fstat(descriptor))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def status(self, parts: Sequence[str]) -> os.stat_result:
        """What is known of a file or a folder."""
        with self.opened(parts[:-1]) as folder:
            return self._status(folder, parts)

    def entry(self, parts: Sequence[str]) -> Entry:
        """The same, as it is told to others."""
        return entry_of("/".join(parts), self.status(parts))

    def names(self, parts: Sequence[str]) -> list[str]:
        """The names of what is in a folder below, in order, of which some may be none that can be asked for."""
        with self.opened(parts) as folder:
            return sorted(os.listdir(folder))  # noqa: PTH208 - pathlib knows no descriptors

    def entries(self, parts: Sequence[str], names: Sequence[str]) -> tuple[Entry, ...]:
        """What is known of those in a folder below that can be asked for: files and folders, no links."""
        found = []
        with self.opened(parts) as folder:
            for name in names:
                with suppress(OSError, ValueError, FilesError):
                    split_name("/".join((*parts, name)))
                    found.append(entry_of(name, os.stat(name, dir_fd=folder, follow_symlinks=False)))
        return tuple(found)

    def remove(self, parts: Sequence[str]) -> None:
        """Remove a file, or a folder that is empty, and see to it that it stays removed."""
        with self.opened(parts[:-1]) as folder:
            if stat.S_ISDIR(self._status(folder, parts).st_mode):
                os.rmdir(parts[-1], dir_fd=folder)
            else:
                os.unlink(parts[-1], dir_fd=folder)
            os.fsync(folder)

    def octets(self) -> int:
        """Octets of all files below, what has not come whole included."""
        total = 0
        for _, _, names, folder in os.fwalk(".", dir_fd=self.descriptor):
            for name in names:
                with suppress(FileNotFoundError):
                    total += os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
        return total

    def free(self) -> int:
        """Octets that the disk has left for us."""
        status = os.fstatvfs(self.descriptor)
        return status.f_bavail * status.f_frsize

    def open_partials(self) -> int:
        """The descriptor of the folder of what has not come whole; it is made, for us alone, if it is not there."""
        with suppress(FileExistsError):
            os.mkdir(PARTIALS, 0o700, dir_fd=self.descriptor)
        return os.open(PARTIALS, _FOLDER | os.O_NOFOLLOW, dir_fd=self.descriptor)

    def _status(self, folder: int, parts: Sequence[str]) -> os.stat_result:
        return os.stat(parts[-1], dir_fd=folder, follow_symlinks=False) if parts else os.fstat(folder)


def _enter(at: int, part: str, create: bool) -> int:
    if create:
        with suppress(FileExistsError):
            os.mkdir(part, dir_fd=at)
            os.fsync(at)
    return os.open(part, _FOLDER | os.O_NOFOLLOW, dir_fd=at)


def _check_regular(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a folder")
    if stat.S_ISLNK(status.st_mode):
        raise FileNotFoundError(errno.ENOENT, "is a link")
    if not stat.S_ISREG(status.st_mode):
        raise FilesError("no-file", "it is neither a file nor a folder")


def entry_of(name: str, status: os.stat_result) -> Entry:
    """What is told of a file or a folder; a link is not there."""
    folder = stat.S_ISDIR(status.st_mode)
    if not folder:
        _check_regular(status)
    return Entry(name=name, size=0 if folder else status.st_size, modified=status.st_mtime, folder=folder)
