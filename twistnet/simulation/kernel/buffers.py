"""What has arrived at a socket and was not read yet.

The rule of this module: octets leave in the order in which they came; where one piece ended and the next began is
remembered, because a reader may be shown it.
"""

from __future__ import annotations

from collections import deque

__all__ = ["ByteQueue"]


class ByteQueue:
    """Octets of a stream, in the pieces in which they came.

    Attributes:
        size: How many octets are waiting.
        taken: How many have been taken since the beginning.
    """

    __slots__ = ("_pieces", "size", "taken")

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        self.size = 0
        self.taken = 0

    @property
    def cost(self) -> int:
        """What it takes of the sender's buffer on a UNIX socket: its octets, and 512 for each piece."""
        return self.size + 512 * len(self._pieces)

    def put(self, piece: bytes) -> None:
        """Add a piece, which must not be empty."""
        self._pieces.append(piece)
        self.size += len(piece)

    def take(self, most: int, coalesce: bool) -> bytes:
        """Take up to `most` octets (at least 1), of the first piece alone unless pieces are to be joined."""
        pieces = self._pieces
        first = pieces[0]
        if len(first) > most:
            pieces[0] = first[most:]
            first = first[:most]
        else:
            pieces.popleft()
            if coalesce and pieces and len(first) < most:
                first = self._join(first, most)
        self.size -= len(first)
        self.taken += len(first)
        return first

    def _join(self, first: bytes, most: int) -> bytes:
        pieces, joined, room = self._pieces, [first], most - len(first)
        while pieces and room:
            piece = pieces.popleft()
            if len(piece) > room:
                pieces.appendleft(piece[room:])
                piece = piece[:room]
            joined.append(piece)
            room -= len(piece)
        return b"".join(joined)

    def peek(self, most: int, coalesce: bool) -> bytes:
        """What `take` would give, left where it is."""
        kept, size, taken = self._pieces.copy(), self.size, self.taken
        piece = self.take(most, coalesce)
        self._pieces, self.size, self.taken = kept, size, taken
        return piece
