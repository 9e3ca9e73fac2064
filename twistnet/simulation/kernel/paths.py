"""Where UNIX sockets have their names: in memory, or in the real file system.

The rule of this module: it keeps names, modes and which socket is behind them, and says why a name cannot be had; who may
connect is decided here too.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any, Protocol

from .addresses import failure

__all__ = ["FilePaths", "MemoryPaths", "Paths", "as_path"]


def as_path(address: Any) -> bytes:
    """A UNIX address as octets: an abstract name begins with a zero octet.

    Raises:
        TypeError: It is neither text nor octets.
        OSError: It is longer than the 108 octets of sun_path.
    """
    path = os.fsencode(address) if isinstance(address, (str, bytes, os.PathLike)) else address
    if not isinstance(path, bytes):
        raise TypeError(f"a UNIX address is a path, not {type(address).__name__}")
    if len(path) >= 108 and path[:1] != b"\0":
        raise OSError("AF_UNIX path too long")
    return path


class Paths(Protocol):
    """The names of UNIX sockets, and what `os` can do with them."""

    def bind(self, path: bytes, file: Any) -> None:
        """Give a socket a name."""

    def become(self, old: Any, new: Any) -> None:
        """Let another socket have the names of one."""

    def find(self, path: bytes) -> Any:
        """The socket that has a name."""

    def forget(self, file: Any) -> None:
        """A socket is closed; its name stays, and refuses."""

    def chmod(self, path: Any, mode: int) -> None:
        """See `os.chmod`."""

    def unlink(self, path: Any) -> None:
        """See `os.unlink`."""

    def stat(self, path: Any) -> Any:
        """See `os.stat`."""


class MemoryPaths:
    """Names in memory: each host has its own, and nothing is left behind.

    There are no folders to be made and no users: a mode that lets its owner not write refuses everybody.
    """

    def __init__(self) -> None:
        self._nodes: dict[bytes, list[Any]] = {}

    def bind(self, path: bytes, file: Any) -> None:
        """See `Paths.bind`.

        Raises:
            OSError: EADDRINUSE.
        """
        if path in self._nodes:
            raise failure(errno.EADDRINUSE)
        self._nodes[path] = [file, 0o755]

    def become(self, old: Any, new: Any) -> None:
        """See `Paths.become`."""
        for node in self._nodes.values():
            if node[0] is old:
                node[0] = new

    def find(self, path: bytes) -> Any:
        """See `Paths.find`.

        Raises:
            OSError: ENOENT; ECONNREFUSED, for an abstract name or one whose socket is closed; EACCES.
        """
        if path not in self._nodes:
            raise failure(errno.ECONNREFUSED if path[:1] == b"\0" else errno.ENOENT)
        file, mode = self._nodes[path]
        if not mode & stat.S_IWUSR:
            raise failure(errno.EACCES)
        if file is None:
            raise failure(errno.ECONNREFUSED)
        return file

    def forget(self, file: Any) -> None:
        """See `Paths.forget`; an abstract name goes with its socket (unix(7))."""
        for path, node in list(self._nodes.items()):
            if node[0] is file:
                node[0] = None
                if path[:1] == b"\0":
                    del self._nodes[path]

    def _node(self, path: Any) -> list[Any]:
        try:
            return self._nodes[as_path(path)]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None

    def chmod(self, path: Any, mode: int) -> None:
        """See `Paths.chmod`."""
        self._node(path)[1] = mode

    def unlink(self, path: Any) -> None:
        """See `Paths.unlink`."""
        self._node(path)
        del self._nodes[as_path(path)]

    remove = unlink

    def stat(self, path: Any) -> Any:
        """See `Paths.stat`: the mode is true, the rest is 0."""
        return os.stat_result((stat.S_IFSOCK | self._node(path)[1], *[0] * 9))


class FilePaths:
    """Names in the real file system, as real socket nodes, for code that looks at them with `os`.

    Nobody but the simulation can connect to them. Abstract names are kept in memory.
    """

    def __init__(self) -> None:
        self._abstract = MemoryPaths()
        self._files: dict[tuple[int, int], Any] = {}

    def bind(self, path: bytes, file: Any) -> None:
        """See `Paths.bind`.

        Raises:
            OSError: EADDRINUSE, or what making the node met with.
        """
        if path[:1] == b"\0":
            self._abstract.bind(path, file)
            return
        try:
            os.mknod(path, stat.S_IFSOCK | 0o755)
        except FileExistsError:
            raise failure(errno.EADDRINUSE) from None
        self.adopt(path, file)

    def adopt(self, path: bytes, file: Any) -> None:
        """Let a node that is there stand for a socket."""
        self._files[self._identity(path)] = file

    def become(self, old: Any, new: Any) -> None:
        """See `Paths.become`."""
        self._abstract.become(old, new)
        for identity, file in self._files.items():
            if file is old:
                self._files[identity] = new

    def _identity(self, path: bytes) -> tuple[int, int]:
        found = Path(os.fsdecode(path)).stat()
        return found.st_dev, found.st_ino

    def find(self, path: bytes) -> Any:
        """See `Paths.find`.

        Raises:
            OSError: ENOENT, ECONNREFUSED, EACCES.
        """
        if path[:1] == b"\0":
            return self._abstract.find(path)
        identity = self._identity(path)
        if not os.access(path, os.W_OK):
            raise failure(errno.EACCES)
        if self._files.get(identity) is None:
            raise failure(errno.ECONNREFUSED)
        return self._files[identity]

    def forget(self, file: Any) -> None:
        """See `Paths.forget`."""
        self._abstract.forget(file)
        self._files = {identity: kept for identity, kept in self._files.items() if kept is not file}

    def chmod(self, path: Any, mode: int) -> None:
        """See `Paths.chmod`."""
        Path(os.fsdecode(path)).chmod(mode)

    def unlink(self, path: Any) -> None:
        """See `Paths.unlink`."""
        Path(os.fsdecode(path)).unlink()

    remove = unlink

    def stat(self, path: Any) -> Any:
        """See `Paths.stat`."""
        return Path(os.fsdecode(path)).stat()
