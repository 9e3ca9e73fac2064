"""Who has which port of a machine.

The rule of this module: a port belongs to sockets, by transport and number; whether two may share it is decided by their
addresses and options alone, as ip(7) and socket(7) have it.
"""

from __future__ import annotations

import errno
import socket
import zlib
from itertools import chain
from typing import Any

from ..packets import Endpoint
from .addresses import Address, failure, is_any, overlap

__all__ = ["EPHEMERAL", "Ports", "spread"]

EPHEMERAL = range(32768, 61000)
"""The ports that a kernel hands out (ip_local_port_range of Linux)."""


class Ports:
    """The bound sockets of one transport of one machine."""

    def __init__(self) -> None:
        self._bound: dict[int, list[Any]] = {}
        self._next = 0

    def __len__(self) -> int:
        return sum(len(files) for files in self._bound.values())

    def at(self, port: int) -> list[Any]:
        """The sockets that are bound to a port, the oldest first."""
        return self._bound.get(port, [])

    def bind(self, file: Any, address: Address) -> Address:
        """Bind a socket.

        Args:
            file: What is bound; its `local` is set.
            address: Where; a port of 0 lets the kernel choose.

        Returns:
            The address with its port.

        Raises:
            OSError: EADDRINUSE.
        """
        host, port = address
        port = port or self.choose(file, host)
        if self._conflict(file, host, port):
            raise failure(errno.EADDRINUSE)
        file.local = (host, port)
        self._bound.setdefault(port, []).append(file)
        return host, port

    def choose(self, file: Any, host: str) -> int:
        """A port that nobody has on this address.

        Raises:
            OSError: EADDRINUSE: they are all taken.
        """
        for index in chain(range(self._next, len(EPHEMERAL)), range(self._next)):
            port = EPHEMERAL[index]
            if not self._conflict(file, host, port, strict=True):
                self._next = (index + 1) % len(EPHEMERAL)
                return port
        raise failure(errno.EADDRINUSE)

    def _conflict(self, file: Any, host: str, port: int, strict: bool = False) -> bool:
        return any(
            overlap(host, other.local[0], _v6only(file, host) or _v6only(other, other.local[0]))
            and (strict or not _share(file, other))
            for other in self.at(port)
        )

    def check_listening(self, file: Any) -> None:
        """See that a bound socket may listen: those who share by SO_REUSEADDR share no callers.

        Raises:
            OSError: EADDRINUSE.
        """
        host, port = file.local
        others = [other for other in self.at(port) if other is not file and other.is_listening]
        if any(
            overlap(host, other.local[0], _v6only(file, host)) and not _share(file, other) for other in others
        ):
            raise failure(errno.EADDRINUSE)

    def forget(self, file: Any) -> None:
        """A socket gives its port up."""
        files = self._bound.get(file.local[1]) if file.local else None
        if files and file in files:
            files.remove(file)
            if not files:
                del self._bound[file.local[1]]


def _v6only(file: Any, host: str) -> bool:
    return is_any(host) and ":" in host and file.flag(socket.IPV6_V6ONLY, socket.IPPROTO_IPV6)


def _share(file: Any, other: Any) -> bool:
    """Whether two sockets may have the same port on overlapping addresses."""
    if file.flag(socket.SO_REUSEPORT) and other.flag(socket.SO_REUSEPORT):
        return True
    both = file.flag(socket.SO_REUSEADDR) and other.flag(socket.SO_REUSEADDR)
    return both and not other.is_listening


def spread(source: Endpoint, count: int) -> int:
    """Which of several sockets that share a port a peer gets: always the same (SO_REUSEPORT)."""
    return zlib.crc32(f"{source.address} {source.port}".encode()) % count
