"""The numbers by which a machine's programs know its open sockets.

The rule of this module: no number is used twice, and none is one that a real file could have.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from typing import Any

from .addresses import failure
from .sockets import Socket

__all__ = ["Descriptors"]

FIRST_DESCRIPTOR = 1 << 24
"""Numbers that no real file has, so that one that strays into a real call is refused there."""


class Descriptors:
    """The part of a kernel that numbers sockets.

    Args:
        most: How many may be open at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._number = FIRST_DESCRIPTOR
        self.forget_descriptors()

    def forget_descriptors(self) -> None:
        """Let all be gone at once."""
        self._descriptors: dict[int, Socket] = {}

    def check_room(self) -> None:
        """See that one more descriptor may be opened.

        Raises:
            OSError: EMFILE.
        """
        if len(self._descriptors) >= self._most:
            raise failure(errno.EMFILE)

    def open_descriptor(self, opened: Socket) -> int:
        """A number for a socket."""
        self.check_room()
        self._number += 1
        self._descriptors[self._number] = opened
        return self._number

    def close_descriptor(self, number: int) -> None:
        """The number is free again; it is not used twice."""
        self._descriptors.pop(number, None)

    def find(self, number: int) -> Socket | None:
        """The socket behind a number, if it is one of this machine's."""
        return self._descriptors.get(number)

    @property
    def open_sockets(self) -> list[Socket]:
        """All that is open, the oldest first."""
        return list(self._descriptors.values())

    def send_descriptor(self, number: int) -> Any:
        """A copy of a descriptor, real or simulated, on its way to another program."""
        own = self.find(number)
        return own.dup() if own is not None else os.dup(number)

    def receive_descriptor(self, right: Any) -> int:
        """The number of a descriptor that has come."""
        return right.fileno() if isinstance(right, Socket) else int(right)

    def drop_descriptors(self, rights: Iterable[Any]) -> None:
        """Descriptors that nobody received."""
        for right in rights:
            if isinstance(right, Socket):
                right.close()
            else:
                os.close(right)
