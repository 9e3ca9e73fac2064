"""UNIX datagram ports: Twisted's own, reading in batches.

The rule of this module: what is written goes out at once, by itself. A path may be gone and a queue full at any time, and
whoever writes there is told by what `write` raises, as by Twisted's ports.
"""

from __future__ import annotations

from errno import EAGAIN, ECONNREFUSED, EMSGSIZE
from typing import Any

from twisted.internet import unix
from twisted.internet.base import BasePort
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IUNIXDatagramConnectedTransport
from twisted.python import log
from zope.interface import implementedBy, implementer_only

from .batches import ReceiveVector
from .datagram_ports import LONGEST, BatchedReading, receive_vector
from .socket_addresses import UNIX_SIZE, AddressBook, unpack_unix

__all__ = ["FastConnectedUNIXDatagramPort", "FastUNIXDatagramPort"]

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

    def write(self, datagram: bytes, address: Any) -> int | None:  # type: ignore[override]
        """Send a datagram; see `IUNIXDatagramTransport.write`."""
        try:
            sent = self.socket.sendto(datagram, address)
        except OSError as error:
            self._fail_writing(error)
            return None
        self._counters.sent += 1
        return sent

    def _fail_writing(self, error: OSError) -> None:
        """What Twisted makes of an error: a full queue is none."""
        if error.errno == EAGAIN:
            self._losses.send_dropped()
        elif error.errno == EMSGSIZE:
            raise MessageLengthError("message too long") from error
        else:
            raise error


@implementer_only(IUNIXDatagramConnectedTransport, *implementedBy(BasePort))
class FastConnectedUNIXDatagramPort(FastUNIXDatagramPort, unix.ConnectedDatagramPort):
    """A connected UNIX datagram port on the hub.

    Args:
        addr: As of `unix.ConnectedDatagramPort`, and so are the others, but for the limit where no limit is given.
    """

    def __init__(
        self,
        addr: Any,
        proto: Any,
        maxPacketSize: int = LONGEST,
        mode: int = 0o666,
        bindAddress: Any = None,
        reactor: Any = None,
    ) -> None:
        unix.ConnectedDatagramPort.__init__(self, addr, proto, maxPacketSize, mode, bindAddress, reactor)
        self._begin()

    @property
    def _may_be_beside(self) -> bool:
        return False

    def doRead(self) -> None:
        """See `IReadDescriptor`."""
        self._read_batches()

    def _tell_all(self) -> None:
        for datagram, _ in self._waiting:
            try:
                self.protocol.datagramReceived(datagram)
            except BaseException:
                log.err()

    def _fail_reading(self, error: OSError) -> None:
        if error.errno == ECONNREFUSED:
            self.protocol.connectionRefused()
        else:
            super()._fail_reading(error)

    def write(self, data: bytes) -> int | None:  # type: ignore[override]
        """Send a datagram; see `IUNIXDatagramConnectedTransport.write`."""
        try:
            sent = self.socket.send(data)
        except OSError as error:
            self._fail_writing(error)
            return None
        self._counters.sent += 1
        return sent

    def _fail_writing(self, error: OSError) -> None:
        if error.errno == ECONNREFUSED:
            self.protocol.connectionRefused()
        else:
            super()._fail_writing(error)
