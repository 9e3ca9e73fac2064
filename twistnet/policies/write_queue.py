"""What was written and may not leave yet.

The rule of this module: octets leave in the order in which they came, and none is copied more than once for each piece that
it leaves in.
"""

from __future__ import annotations

from collections import deque

__all__ = ["WriteQueue"]

SMALL = 2048
"""Octets up to which pieces are joined: each that is kept by itself costs more than it holds."""


class WriteQueue:
    """Octets that wait.

    Attributes:
        size: How many there are.
    """

    def __init__(self) -> None:
        self.size = 0
        self._pieces: deque[bytes | memoryview] = deque()

    def __bool__(self) -> bool:
        return self.size > 0

    def put(self, data: bytes) -> None:
        """Some more."""
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, bytes) and len(last) + len(data) <= SMALL:
            self._pieces[-1] = last + data
        else:
            self._pieces.append(data)
        self.size += len(data)

    def take(self, octets: int) -> bytes:
        """The first so many, of which there are at least as many."""
        self.size -= octets
        taken: list[bytes | memoryview] = []
        while octets:
            piece = self._pieces.popleft()
            if len(piece) > octets:
                view = memoryview(piece)
                piece = view[:octets]
                self._pieces.appendleft(view[octets:])
            taken.append(piece)
            octets -= len(piece)
        return b"".join(taken)

    def take_piece(self) -> bytes:
        """The first, as long as it is."""
        return self.take(len(self._pieces[0]))

    def clear(self) -> None:
        """They will never leave."""
        self._pieces.clear()
        self.size = 0
