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

__all__ = ["clear_dead_socket", "ensure_removable"]


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


def ensure_removable(path: str) -> None:
    """Put an empty file where a listening socket's path has been deleted: Twisted removes it, or else fails."""
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
