"""What the datagram ports have in common: how they read.

The rule of this module: a wake-up reads one datagram, as long as one is all there is; where more are waiting, wake-ups read
batches. Either way the protocol hears what it would hear from Twisted's port, in the same order. A datagram that was read
is delivered: to a protocol that pauses once it resumes, to one that stops listening at once, as Twisted's ports do, and to
one that runs the reactor from within a delivery in its next turn, if it comes to the hub.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from errno import EAGAIN, ECONNREFUSED, EINTR
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from twisted.internet import udp
from twisted.python import log

from .batches import SLOTS, ReceiveVector, available
from .datagram_losses import DatagramCounters, Losses
from .hub import Hub, hub_of
from .on_hub import OnHub
from .socket_addresses import AddressBook

if TYPE_CHECKING:
    _Port = udp.Port
else:
    _Port = object

__all__ = ["LONGEST", "BatchedReading", "receive_vector"]

LONGEST = 65536
"""Octets of a datagram, at most, where the caller names no size: over IP none is longer, so none is cut."""

ROOM = 8 << 20
"""Octets that a batch may take up; where datagrams may be longer, a batch is of fewer."""

ROUNDS = 8
"""Batches of one turn, at most."""

FEW, MANY = 2, 64
"""Wake-ups that read one datagram each before another batch is tried: so many at first, and at most."""

WORTH_HOLDING = 5
"""Datagrams of a batch whose answers are held; for fewer a call of their own each is cheaper."""

LONE = 2
"""Batches of a single datagram, one after the other, until wake-ups read one datagram each again."""

_vectors: WeakKeyDictionary[Hub, dict[tuple[int, int, bool], ReceiveVector]] = WeakKeyDictionary()


def receive_vector(hub: Hub, size: int, name_size: int, *, names_vary: bool = False) -> ReceiveVector | None:
    """The room that the ports of a hub share; None on a system without batches."""
    if not available():
        return None
    vectors = _vectors.setdefault(hub, {})
    key = (size, name_size, names_vary)
    if key not in vectors:
        slots = max(2, min(SLOTS, ROOM // size))
        vectors[key] = ReceiveVector(size, name_size, slots, names_vary=names_vary)
    return vectors[key]


class BatchedReading(OnHub, _Port):
    """Mixed in before a datagram port of Twisted's.

    Attributes:
        reads_errors: An error of the socket is something to read, and no end: a peer that refuses is heard of in
            `connectionRefused`, and the port lives on.
    """

    reads_errors = True

    _book: AddressBook
    _recvfrom: Callable[[int], tuple[bytes, Any]]
    _receive: Callable[[int], tuple[list[bytes], Iterable[Any]]]
    _sender: Callable[[Any], Any]
    _longest = sys.maxsize  # octets that a datagram can have
    _ending = False
    _paused = False
    _is_beside = False
    _waiting: Iterator[tuple[bytes, Any]] = iter(())
    _held: list[bytes]
    _worth_holding = WORTH_HOLDING
    _holding = _delivering = False
    _singly = _patience = FEW
    _lone = 0

    def _begin(self) -> None:
        """Part of the constructor."""
        self._hub = hub_of(self.reactor)
        self._losses = Losses(self, self.reactor)
        self._counters = self._losses.counters
        self._kept: list[tuple[bytes, Any]] = []
        self._held = []

    @property
    def counters(self) -> DatagramCounters:
        """What the port has received, sent and lost, up to now."""
        if self.connected:
            self._losses.look(self.socket)
        return self._counters

    def _open(self) -> ReceiveVector | None:
        """The socket is there.

        Returns:
            Where batches come in; None on a system without them.
        """
        raise NotImplementedError

    def _bindSocket(self) -> None:
        super()._bindSocket()
        self._recvfrom = self.socket.recvfrom
        self._ending = self._paused = False
        vector = self._open()
        if vector is None:
            self._receive, self._sender = self._receive_one_by_one, itself
            self._worth_holding = sys.maxsize
        else:
            self._receive, self._sender = vector.receive, self._book.__getitem__

    def doRead(self) -> None:
        """See `IReadDescriptor`."""
        if not self._singly:
            return self._read_batches()
        self._singly -= 1
        try:
            datagram, address = self._recvfrom(self.maxPacketSize + 1)
        except OSError as error:
            return self._fail_reading(error)
        self._counters.received += 1
        if len(datagram) > self.maxPacketSize:
            datagram = self._cut(datagram)
        try:
            self.protocol.datagramReceived(datagram, address)
        except BaseException:
            log.err()
        if self._ending and self.connected:
            self._read_batches()
        return None

    def doWrite(self) -> None:
        """Deliver what was read before the protocol paused."""
        self.stopWriting()
        self._deliver_rest()

    def _cut(self, datagram: bytes) -> bytes:
        self._counters.truncated += 1
        return datagram[: self.maxPacketSize]

    def _fail_reading(self, error: OSError) -> None:
        if error.errno in (EAGAIN, EINTR):
            return
        if error.errno != ECONNREFUSED:
            raise error
        if self._connectedAddr:
            self.protocol.connectionRefused()

    # Batches

    def _read_batches(self) -> None:
        """Deliver all that is there, for so many rounds; all of it, once the port stops."""
        if self._delivering or self._kept:
            self._deliver_rest()
            if self._paused or self._kept:
                return
        if self._read_rounds() and self.connected:
            self._losses.look(self.socket)

    def _read_rounds(self) -> int:
        """Read batches until one is not full.

        Returns:
            How many were full.
        """
        full, left = 0, self.maxThroughput
        while left > 0 and (full < ROUNDS or self._ending) and self.connected:
            try:
                datagrams, names = self._receive(self.fileno())
            except OSError as error:
                self._fail_reading(error)
                break
            self._read_batch(datagrams, names)
            full += len(datagrams) == SLOTS
            if not self._ending and (len(datagrams) < SLOTS or self._paused or self._kept):
                break
            left -= sum(map(len, datagrams))
        return full

    def _read_batch(self, datagrams: list[bytes], names: Iterable[Any]) -> None:
        count = len(datagrams)
        self._counters.received += count
        limit = self.maxPacketSize
        if limit < self._longest and max(map(len, datagrams)) > limit:
            datagrams = [self._cut(one) if len(one) > limit else one for one in datagrams]
        self._waiting = zip(datagrams, map(self._sender, names), strict=False)
        self._deliver(count)
        if count == 1:
            self._count_lone()
        else:
            self._lone, self._patience = 0, FEW

    def _count_lone(self) -> None:
        """Go back to single datagrams if that is all there is, for longer and longer."""
        self._lone += 1
        if self._lone >= LONE:
            self._lone = 0
            self._singly = self._patience = min(self._patience * 2, MANY)

    def _receive_one_by_one(self, _: int) -> tuple[list[bytes], list[Any]]:
        """A batch on a system without batches."""
        found = [self._recvfrom(self.maxPacketSize + 1)]
        with suppress(OSError):  # the next wake-up meets it
            found.extend(self._recvfrom(self.maxPacketSize + 1) for _ in range(SLOTS - 1))
        return [datagram for datagram, _ in found], [sender for _, sender in found]

    def _deliver(self, count: int) -> None:
        """Have the protocol receive what waits; who runs the reactor meanwhile has the rest delivered by `doWrite`."""
        self._holding, self._delivering = count >= self._worth_holding, True
        if count > 1:
            self.startWriting()
        self._tell_all()
        self._holding = self._delivering = False
        if self._held:
            self.send_held()
        if count > 1 and (self._paused or not self._kept):
            self.stopWriting()

    def _tell_all(self) -> None:
        for datagram, sender in self._waiting:
            try:
                self.protocol.datagramReceived(datagram, sender)
            except BaseException:
                log.err()

    def _deliver_rest(self) -> None:
        """What an outer turn has not come to, and what was kept while the protocol paused."""
        if self._delivering:
            self._deliver(1)
        if self._kept and not self._paused:
            kept, self._kept = self._kept, []
            self._waiting = iter(kept)
            self._deliver(1)

    def send_held(self) -> None:
        """Send what is held."""

    def send_all_there_is(self) -> None:
        """Send what is held, while the reactor is run from within a delivery."""
        self.send_held()

    # Pausing and stopping

    def stopReading(self) -> None:
        """Pause: what was read and not yet delivered is kept; see `FileDescriptor.stopReading`."""
        self._paused = True
        if not self._ending:
            self._kept += self._waiting
        if self._is_beside:
            self.reactor.removeReader(self)
        else:
            super().stopReading()

    def startReading(self) -> None:
        """Resume, with what was kept; see `FileDescriptor.startReading`."""
        self._paused = False
        self._is_beside = self._may_be_beside
        if self._is_beside:
            self.reactor.addReader(self)
        else:
            super().startReading()
        if self._kept:
            self._singly = 0
            self.startWriting()

    @property
    def _may_be_beside(self) -> bool:
        """Whether it is better off beside the hub: one socket has batches of its own, and has to pay for one wait only.

        Nobody refuses it, as long as it is connected to nobody: what a reactor makes of that is for the hub to mend.
        """
        return self._hub.reactor_waits and self._connectedAddr is None

    def _loseConnection(self) -> None:
        self._ending = True
        super()._loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        """The port is closed; see `FileDescriptor.connectionLost`."""
        self._kept.clear()
        deque(self._waiting, maxlen=0)
        self._losses.close(self.socket)
        super().connectionLost(reason)


def itself(address: Any) -> Any:
    """Who has sent, where the socket says it as the protocol is told."""
    return address
