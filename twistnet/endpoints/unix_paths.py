"""The paths of UNIX sockets: left behind by a crash, or gone when they should be there.

The rule of this module: a path is removed only when it is a socket on which nothing listens.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["OwnPath", "check_length", "clear_dead_socket", "give_up_path", "own_path"]


LONGEST = 107
"""Octets of a UNIX socket's path, but for the last, which is 0 (unix(7))."""


def check_length(path: str) -> None:
    """Refuse what no socket can be bound to.

    Raises:
        ValueError: The path is empty, or too long.
    """
    if not 0 < len(os.fsencode(path)) <= LONGEST:
        raise ValueError(f"the path {path!r} is not from 1 to {LONGEST} octets long")


def clear_dead_socket(path: str) -> None:
    """Remove the socket at a path, and the lock that Twisted put beside it, if nothing listens there.

    Nobody notices the question: a datagram socket that connects to a path learns whether some process has it open,
    of whatever type it is, and disturbs none.

    Raises:
        OSError: Something does listen there (`EADDRINUSE`), it is not a socket (`ENOTSOCK`), or it cannot be told.
    """
    try:
        mode = Path(path).stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.ENOTSOCK, "the path exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        probe.setblocking(False)
        error = probe.connect_ex(path)
    if error in (errno.EACCES, errno.EPERM):
        raise OSError(error, "permission denied to the socket that is there")
    if error not in (errno.ECONNREFUSED, errno.ENOENT):
        raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
    lock = Path(f"{path}.lock")
    for leftover in (Path(path), *([lock] if lock.is_symlink() else [])):
        with suppress(FileNotFoundError):
            leftover.unlink()


class OwnPath:
    """The path of a listening socket of ours, for as long as it is ours.

    Args:
        path: Where the socket was just bound; its lock of Twisted's is beside it, if there is one.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path).absolute()
        self._identity = self._look()

    @property
    def is_ours(self) -> bool:
        """Whether what is there is what was there at first."""
        return self._identity is not None and self._look() == self._identity

    def remove(self) -> None:
        """Remove the path and the lock, unless somebody has put something else there since."""
        lock = self._path.with_name(f"{self._path.name}.lock")
        with suppress(OSError):
            if self.is_ours:
                self._path.unlink()
        with suppress(OSError):
            if str(lock.readlink()) == str(os.getpid()):
                lock.unlink()

    def _look(self) -> tuple[int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return (status.st_dev, status.st_ino)


def own_path(port: Any) -> OwnPath | None:
    """The path that a port of Twisted's own removes when it is closed; `None` of any other port."""
    path = os.fsdecode(getattr(port, "_bindPath", b""))
    return OwnPath(path) if path and not path.startswith("\0") else None


def give_up_path(port: Any, path: OwnPath) -> None:
    """Remove a port's path, if it is ours, before Twisted does, which removes whatever is there."""
    path.remove()
    port._bindPath, port.lockFile = b"\0", None
