"""What the datagram ports have in common: how they read.

The rule of this module: a wake-up reads one datagram, as long as one is all there is; where more are waiting, wake-ups read
batches. Either way the protocol hears what it would hear from Twisted's port, in the same order. A datagram that was read
is delivered: to whoever runs the reactor from within a delivery, to a protocol that pauses once it resumes, and to one that
stops listening at once, as Twisted's ports do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
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

__all__ = ["BatchedReading", "receive_vector"]

ROUNDS = 8
"""Batches of one turn, at most."""

FEW, MANY = 2, 64
"""Wake-ups that read one datagram each before another batch is tried: so many at first, and at most."""

LONE = 4
"""Batches of a single datagram, one after the other, until wake-ups read one datagram each again."""

_vectors: WeakKeyDictionary[Hub, dict[tuple[int, int, bool], ReceiveVector]] = WeakKeyDictionary()


def receive_vector(hub: Hub, size: int, name_size: int, *, names_vary: bool = False) -> ReceiveVector | None:
    """The room that the ports of a hub share; None on a system without batches."""
    if not available():
        return None
    vectors = _vectors.setdefault(hub, {})
    key = (size, name_size, names_vary)
    if key not in vectors:
        vectors[key] = ReceiveVector(size, name_size, names_vary=names_vary)
    return vectors[key]


class BatchedReading(OnHub, _Port):
    """Mixed in before a datagram port of Twisted's.

    Attributes:
        reads_errors: An error of the socket is something to read, and no end: a peer that refuses is heard of in
            `connectionRefused`, and the port lives on.
    """

    reads_errors = True

    _book: AddressBook
    _ending = False
    _paused = False
    _waiting: Iterator[tuple[bytes, Any]] = iter(())
    _singly = _patience = FEW
    _lone = 0

    def _begin(self) -> None:
        """Part of the constructor."""
        self._hub = hub_of(self.reactor)
        self._losses = Losses(self, self.reactor)
        self._counters = self._losses.counters
        self._kept: list[tuple[bytes, Any]] = []
        self._vector: ReceiveVector | None = None

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
        self._vector = self._open()
        self._ending = self._paused = False

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
        self._deliver_kept()

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
        self._deliver()  # an outer turn has not come to these
        self._deliver_kept()
        left, rounds = self.maxThroughput, ROUNDS
        while left > 0 and (rounds > 0 or self._ending):
            try:
                count, octets = self._receive_batch()
            except OSError as error:
                return self._fail_reading(error)
            self._deliver(hold=count > 1)
            left -= octets
            rounds -= 1
            if not self._goes_on(count):
                break
        return None

    def _goes_on(self, count: int) -> bool:
        """Whether to read once more, after a batch of so many datagrams."""
        if not self.connected:
            return False
        if count == SLOTS:
            self._losses.look(self.socket)
        self._adapt(count)
        return self._ending or (count == SLOTS and not self._paused)

    def _receive_batch(self) -> tuple[int, int]:
        """Have what is there wait for its delivery.

        Returns:
            How many datagrams it is, and how many octets.
        """
        datagrams, senders = self._receive_all() if self._vector is None else self._receive_vector(self._vector)
        lengths = list(map(len, datagrams))
        self._counters.received += len(lengths)
        limit = self.maxPacketSize
        if max(lengths) > limit:
            datagrams = [self._cut(one) if len(one) > limit else one for one in datagrams]
        self._waiting = zip(datagrams, senders, strict=True)
        return len(lengths), sum(lengths)

    def _receive_vector(self, vector: ReceiveVector) -> tuple[list[bytes], Iterator[Any]]:
        datagrams, names = vector.receive(self.fileno())
        return datagrams, map(self._book.__getitem__, names)

    def _receive_all(self) -> tuple[list[bytes], Iterator[Any]]:
        """One datagram after the other, on a system without batches."""
        found = [self._recvfrom(self.maxPacketSize + 1)]
        with suppress(OSError):  # the next wake-up meets it
            found.extend(self._recvfrom(self.maxPacketSize + 1) for _ in range(SLOTS - 1))
        return [datagram for datagram, _ in found], (sender for _, sender in found)

    def _adapt(self, count: int) -> None:
        """Go back to single datagrams if that is all there is, for longer and longer."""
        if count > 1:
            self._lone, self._patience = 0, FEW
        else:
            self._lone += 1
            if self._lone >= LONE:
                self._lone = 0
                self._singly = self._patience = min(self._patience * 2, MANY)

    def _deliver(self, *, hold: bool = False) -> None:
        """Have the protocol receive what waits.

        Args:
            hold: Its answers may wait until all is delivered.
        """
        for datagram, address in self._waiting:
            try:
                self.protocol.datagramReceived(datagram, address)
            except BaseException:
                log.err()

    def _deliver_kept(self) -> None:
        if self._kept and not self._paused:
            kept, self._kept = self._kept, []
            self._waiting = iter(kept)
            self._deliver()

    # Pausing and stopping

    def stopReading(self) -> None:
        """Pause: what was read and not yet delivered is kept; see `FileDescriptor.stopReading`."""
        self._paused = True
        if not self._ending:
            self._kept += self._waiting
        super().stopReading()

    def startReading(self) -> None:
        """Resume, with what was kept; see `FileDescriptor.startReading`."""
        self._paused = False
        super().startReading()
        if self._kept:
            self._singly = 0
            self.startWriting()

    def _loseConnection(self) -> None:
        self._ending = True
        super()._loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        """The port is closed; see `FileDescriptor.connectionLost`."""
        self._kept.clear()
        deque(self._waiting, maxlen=0)
        self._losses.close(self.socket)
        super().connectionLost(reason)
