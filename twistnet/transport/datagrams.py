"""UDP ports, over IPv4 and IPv6: Twisted's own, with the way of a datagram made short.

The rule of this module: what a protocol writes while it is delivered a batch is held, and sent in one call when the batch
is delivered, in order with whatever cannot be held. An address is checked once, and remembered when a datagram has come
from it or has been sent there. A datagram for which some buffer has no room is dropped and counted: no transport of
datagrams promises more.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from errno import EAGAIN, ECONNREFUSED, EMSGSIZE, ENOBUFS
from socket import AF_INET6
from typing import Any
from weakref import WeakKeyDictionary

from twisted.internet import udp
from twisted.internet.error import MessageLengthError
from twisted.python import log

from .batches import SLOTS, ReceiveVector, SendVector
from .datagram_ports import LONGEST, BatchedReading, receive_vector
from .hub import Hub
from .socket_addresses import (
    INET6_SIZE,
    INET_SIZE,
    AddressBook,
    ScopedAddressBook,
    pack_inet,
    pack_inet6,
    unpack_inet,
)

__all__ = ["FastDatagramPort", "FastMulticastPort"]

HELD = 16384
"""Octets of a datagram that is worth holding, at most; a longer one goes out by itself."""

_vectors: WeakKeyDictionary[Hub, dict[int, SendVector]] = WeakKeyDictionary()


def _send_vector(hub: Hub, name_size: int) -> SendVector:
    """The room that the ports of a hub share."""
    vectors = _vectors.setdefault(hub, {})
    if name_size not in vectors:
        vectors[name_size] = SendVector(HELD, name_size)
    return vectors[name_size]


class FastDatagramPort(BatchedReading, udp.Port):
    """A UDP port on the hub.

    Args:
        port: As of `udp.Port`, and so are the others, but for the limit where no limit is given.
    """

    def __init__(
        self, port: Any, proto: Any, interface: str = "", maxPacketSize: int = LONGEST, reactor: Any = None
    ) -> None:
        udp.Port.__init__(self, port, proto, interface, maxPacketSize, reactor)
        self._begin()

    _longest = LONGEST
    _sendto: Callable[[bytes, Any], int]
    _scopes: ScopedAddressBook

    def _begin(self) -> None:
        super()._begin()
        self._names: list[bytes] = []
        self._packed: dict[Any, bytes] = {}

    def _open(self) -> ReceiveVector | None:
        self._sendto = self.socket.sendto
        six = self.addressFamily == AF_INET6
        self._book = AddressBook(unpack_inet)
        if six:
            self._book = self._scopes = ScopedAddressBook()
            self._recvfrom, self._sendto = self._receive_scoped, self._send_scoped
        self._packed = self._book.packed
        self._name_size = INET6_SIZE if six else INET_SIZE
        return receive_vector(self._hub, LONGEST, self._name_size)

    def _receive_scoped(self, size: int) -> tuple[bytes, tuple[str, int]]:
        datagram, full = self.socket.recvfrom(size)
        return datagram, self._scopes.hear(full)

    def _send_scoped(self, datagram: bytes, address: Any) -> int:
        return self.socket.sendto(datagram, self._scopes.whole(address))

    def _send_connected(self, datagram: bytes, _: Any) -> int:
        return self.socket.send(datagram)

    def connect(self, host: str, port: int) -> None:
        """Hear one peer only, and write to it without an address; see `IUDPTransport.connect`."""
        self.send_held()
        try:
            super().connect(host, port)
        finally:
            if self._connectedAddr:
                if self._is_beside and not self._paused:
                    self.reactor.removeReader(self)
                    self.startReading()
                self._packed = dict.fromkeys((None, self._connectedAddr), b"")
                self._sendto = self._send_connected

    def write(self, datagram: bytes, addr: Any = None) -> int | None:  # type: ignore[override]
        """Send a datagram, or hold it until the batch is delivered; see `IUDPTransport.write`."""
        try:
            name = self._packed.get(addr)
        except TypeError:  # no address that can be remembered
            name = None
        if name is None:
            return self._write_first(datagram, addr)
        if self._holding:
            size = len(datagram)
            if type(datagram) is bytes and size <= HELD:
                held = self._held
                held.append(datagram)
                self._names.append(name)
                if len(held) >= SLOTS:
                    self.send_held()
                return size
            self.send_held()
        try:
            sent = self._sendto(datagram, addr)
        except OSError as error:
            self._fail_writing(error)
            return None
        self._counters.sent += 1
        return sent

    def _write_first(self, datagram: bytes, addr: Any) -> int | None:
        """Send to somebody who is not known: Twisted checks the address. Who can be sent to is known from now on."""
        self.send_held()
        try:
            sent = super().write(datagram, self._book.whole(addr))
        except BlockingIOError as error:
            self._fail_writing(error)
            return None
        self._counters.sent += sent is not None
        with suppress(OSError, TypeError, ValueError, struct.error):
            self._book.note(addr, pack_inet(addr) if self._name_size == INET_SIZE else pack_inet6(addr))
        return sent

    def _fail_writing(self, error: OSError) -> None:
        """What Twisted makes of an error, but that a full buffer is no error: it drops."""
        if error.errno in (EAGAIN, ENOBUFS):
            self._losses.send_dropped()
        elif error.errno == EMSGSIZE:
            raise MessageLengthError("message too long") from error
        elif error.errno != ECONNREFUSED:
            raise error
        elif self._connectedAddr:
            self.protocol.connectionRefused()

    # Holding

    def send_held(self) -> None:
        """Send what is held. What fails is logged, as if `write` had raised it in `datagramReceived`."""
        if not self._held:
            return
        held, names = self._held, self._names
        self._held, self._names = [], []
        for error in self._send_all(held, names):
            try:
                self._fail_writing(error)
            except Exception:
                log.err()

    def _send_all(self, datagrams: list[bytes], names: list[bytes]) -> list[OSError]:
        vector, descriptor = _send_vector(self._hub, self._name_size), self.fileno()
        errors: list[OSError] = []
        first, end = 0, len(datagrams)
        vector.load(datagrams, names)
        while first < end:
            try:
                first += vector.send(descriptor, first, end)
            except OSError as error:
                errors.append(error)
                first += 1
        self._counters.sent += end - len(errors)
        return errors

    def connectionLost(self, reason: Any = None) -> None:
        """The port is closed; see `FileDescriptor.connectionLost`."""
        self._holding = False
        self.send_held()
        super().connectionLost(reason)
        self._packed = {}  # whoever writes now is told by Twisted


class FastMulticastPort(FastDatagramPort, udp.MulticastPort):
    """A UDP port on the hub that can join groups.

    Args:
        port: As of `udp.MulticastPort`, and so are the others, but for the limit where no limit is given.
    """

    def __init__(
        self,
        port: Any,
        proto: Any,
        interface: str = "",
        maxPacketSize: int = LONGEST,
        reactor: Any = None,
        listenMultiple: bool = False,
    ) -> None:
        udp.MulticastPort.__init__(self, port, proto, interface, maxPacketSize, reactor, listenMultiple)
        self._begin()
