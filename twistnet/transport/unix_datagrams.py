"""UNIX datagram ports: Twisted's own, reading in batches.

The rule of this module: what is written goes out at once, by itself. A path may be gone and a queue full at any time, and
whoever writes there is told by what `write` raises, as by Twisted's ports.
"""

from __future__ import annotations

from errno import EAGAIN
from typing import Any

from twisted.internet import unix
from twisted.python import log

from .batches import ReceiveVector
from .datagram_ports import BatchedReading, receive_vector
from .socket_addresses import UNIX_SIZE, AddressBook, unpack_unix

__all__ = ["FastConnectedUNIXDatagramPort", "FastUNIXDatagramPort"]

LONGEST = 65536
"""Octets of a datagram, at most, where the caller names no size."""

STEP = 65536
"""Ports whose limits are alike share the room for what comes in."""


class FastUNIXDatagramPort(BatchedReading, unix.DatagramPort):
    """A UNIX datagram port on the hub.

    Args:
        addr: As of `unix.DatagramPort`, and so are the others, but for the limit where no limit is given.
    """

    def __init__(
        self, addr: Any, proto: Any, maxPacketSize: int = LONGEST, mode: int = 0o666, reactor: Any = None
    ) -> None:
        unix.DatagramPort.__init__(self, addr, proto, maxPacketSize, mode, reactor)
        self._begin()

    def _open(self) -> ReceiveVector | None:
        self._book = AddressBook(unpack_unix)
        size = (self.maxPacketSize // STEP + 1) * STEP
        return receive_vector(self._hub, size, UNIX_SIZE, names_vary=True)

    def write(self, datagram: bytes, address: Any) -> int | None:
        """Send a datagram; see `IUNIXDatagramTransport.write`."""
        return self._count(super().write(datagram, address))

    def _count(self, sent: int | None) -> int | None:
        """Twisted drops where a queue is full, and then says None."""
        if sent is None:
            self._losses.send_dropped()
        else:
            self._counters.sent += 1
        return sent


class FastConnectedUNIXDatagramPort(FastUNIXDatagramPort, unix.ConnectedDatagramPort):
    """A connected UNIX datagram port on the hub.

    Args:
        addr: As of `unix.ConnectedDatagramPort`, and so are the others, but for the limit where no limit is given.
    """
