"""What all streams have in common: reading.

The rule of this module: what has arrived is read first, then the end of the peer's output, then an error; in that order,
whatever happened first (tcp_recvmsg of Linux).
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from .addresses import failure
from .buffers import ByteQueue
from .files import PEEK, File

if TYPE_CHECKING:
    from .kernel import Kernel

__all__ = ["StreamFile"]


class StreamFile(File):
    """One end of a stream.

    Attributes:
        incoming: What has arrived and was not read.
        ended: Whether the peer has ended its output.
        read_closed: Whether this side reads no more (SHUT_RD).
        write_closed: Whether this side has ended its output (SHUT_WR).
        is_listening: Whether it accepts connections.
    """

    kind = socket.SOCK_STREAM

    def __init__(self, kernel: Kernel, family: int) -> None:
        super().__init__(kernel, family)
        self.incoming = ByteQueue()
        self.ended = False
        self.read_closed = False
        self.write_closed = False
        self.is_listening = False

    @property
    def is_connected(self) -> bool:
        """Whether it is, or was, connected to a peer."""
        raise NotImplementedError

    @property
    def coalesces(self) -> bool:
        """Whether one read may take several pieces."""
        return True

    def recv(self, most: int, flags: int = 0) -> bytes:
        """See recv(2).

        Raises:
            OSError: EAGAIN, ECONNRESET, ETIMEDOUT, ENOTCONN.
        """
        if self.incoming.size and most > 0:
            if flags & PEEK:
                return self.incoming.peek(most, self.coalesces)
            piece = self.incoming.take(most, self.coalesces)
            self.has_read()
            return piece
        if self.ended or not most:
            return b""
        self.raise_error()
        if self.read_closed:
            return b""
        raise failure(errno.EAGAIN if self.is_connected else errno.ENOTCONN)

    def has_read(self) -> None:
        """Octets have been taken: there is room for more."""
        raise NotImplementedError

    def send(self, data: Any) -> int:
        """See send(2)."""
        raise NotImplementedError
