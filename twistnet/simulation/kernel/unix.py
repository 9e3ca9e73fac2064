"""UNIX sockets, streams and datagrams, within one machine.

The rule of this module: what is sent is with the receiver at once, or the sender is told why not (unix(7)).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

from ..packets import FIN, PSH, Endpoint, Fate, Packet, Transport
from .addresses import failure
from .files import ERR, HUP, IN, OUT, PEEK, File
from .stream import StreamFile

if TYPE_CHECKING:
    from .kernel import Kernel

__all__ = ["UnixDatagramFile", "UnixListener", "UnixStreamFile"]

QUEUE = 512
"""Datagrams that wait for one reader, at most (net.unix.max_dgram_qlen)."""
LONGEST = 212_992 - 32
"""Octets of the longest datagram."""
RIGHTS = (socket.SOL_SOCKET, socket.SCM_RIGHTS)


def _endpoint(kernel: Kernel, path: bytes | None) -> Endpoint:
    return Endpoint(kernel.name, os.fsdecode((path or b"").replace(b"\0", b"@")), 0)


class UnixStreamFile(StreamFile):
    """A UNIX stream socket.

    Attributes:
        local: The path that it is bound to, if any.
        peer: The other end, while there is one.
        remote: The path that it has connected to, if any.
    """

    def __init__(self, kernel: Kernel, family: int) -> None:
        super().__init__(kernel, family)
        self.local: bytes | None = None
        self.remote: bytes | None = None
        self.peer: UnixStreamFile | None = None
        self._was_connected = False
        self._rights: deque[tuple[int, int, list[Any]]] = deque()

    @property
    def is_connected(self) -> bool:
        """See `StreamFile.is_connected`."""
        return self._was_connected

    @property
    def coalesces(self) -> bool:
        """See `StreamFile.coalesces`: as the loopback link of the machine has it."""
        return bool(self.kernel.loopback.config.coalesces)

    def connect(self, path: bytes) -> int:
        """See connect(2): it is done at once, or not at all. Returns an error number, or 0."""
        listener = self.kernel.paths.find(path)
        if not isinstance(listener, UnixListener):
            return errno.ECONNREFUSED if isinstance(listener, UnixStreamFile) else errno.EPROTOTYPE
        if len(listener.queue) > listener.backlog:
            return errno.EAGAIN
        if self._was_connected:
            return errno.EISCONN
        other = UnixStreamFile(self.kernel, self.family)
        other.local, other.remote, self.remote = listener.local, self.local, path
        self.join(other)
        listener.admit(other)
        return 0

    def join(self, other: UnixStreamFile) -> None:
        """Be the two ends of one stream."""
        self.peer, other.peer = other, self
        self._was_connected = other._was_connected = True

    def recv(self, most: int, flags: int = 0) -> bytes:
        """See recv(2): descriptors that came with the octets are gone."""
        if not self._rights:
            return self._read(most, flags)
        data, rights = self.receive_message(most, flags)
        self.kernel.drop_descriptors(rights)
        return data

    def receive_message(self, most: int, flags: int = 0) -> tuple[bytes, list[Any]]:
        """See recvmsg(2): octets and the descriptors that came with them; a read ends where those of one message do."""
        if not self._rights:
            return self._read(most, flags), []
        start, end, rights = self._rights[0]
        data = self._read(min(most, end - self.incoming.taken), flags)
        if self.incoming.taken <= start:
            return data, []
        self._rights.popleft()
        return data, rights

    def _read(self, most: int, flags: int) -> bytes:
        """Octets; here an error comes before the end of input."""
        if not self.incoming.size:
            self.raise_error()
        return super().recv(most, flags)

    def has_read(self) -> None:
        """See `StreamFile.has_read`."""
        if self.peer is not None:
            self.peer.wake()

    def send(self, data: Any) -> int:
        """See send(2).

        Raises:
            OSError: EAGAIN, EPIPE, ECONNRESET, ENOTCONN.
        """
        if not self._was_connected:
            raise failure(errno.ENOTCONN)
        peer = self.peer
        if self.write_closed or peer is None or peer.read_closed:
            raise failure(errno.EPIPE)
        self.raise_error()
        room = self.send_buffer - peer.incoming.cost
        if room <= 0:
            raise failure(errno.EAGAIN)
        data = bytes(data[:room])
        if data:
            self._put(data, peer)
        return len(data)

    def _put(self, data: bytes, peer: UnixStreamFile) -> None:
        loopback, start = self.kernel.loopback, 0
        while start < len(data) and self.peer is peer:
            size, offset = len(data) - start, peer.incoming.taken + peer.incoming.size
            if not loopback.whole:
                size = loopback.cut(self, offset, size)
            self._note(data[start : start + size], PSH)
            peer.incoming.put(data[start : start + size])
            start += size
            if not loopback.whole:
                loopback.passed(self, offset + size)
        peer.wake()

    def _note(self, payload: bytes, flags: int) -> None:
        here = _endpoint(self.kernel, self.local)
        there = _endpoint(self.kernel, self.remote or (self.peer.local if self.peer else None))
        now = self.kernel.clock.now
        packet = Packet(now, Transport.UNIX_STREAM, here, there, payload, flags)
        packet.arrived, packet.fate = now, Fate.ARRIVED
        self.kernel.record(packet)

    def send_message(self, data: bytes, ancillary: list[tuple[int, int, bytes]]) -> int:
        """See sendmsg(2): octets, and copies of descriptors with the first of them."""
        sent: list[int] = []
        for level, kind, packed in ancillary:
            if (level, kind) != RIGHTS:
                raise failure(errno.EINVAL)
            sent += struct.unpack(f"{len(packed) // 4}i", packed[: len(packed) // 4 * 4])
        rights = [self.kernel.send_descriptor(descriptor) for descriptor in sent]
        peer = self.peer
        try:
            octets = self.send(data)
        except OSError:
            self.kernel.drop_descriptors(rights)
            raise
        if rights and peer is not None:
            end = peer.incoming.taken + peer.incoming.size
            peer._rights.append((end - octets, end, rights))
        return octets

    def shutdown(self, how: int) -> None:
        """See shutdown(2): the peer sees both halves of it."""
        if not self._was_connected:
            raise failure(errno.ENOTCONN)
        if how in {socket.SHUT_RD, socket.SHUT_RDWR}:
            self.read_closed = True
            if self.peer is not None:
                self.peer.write_closed = True
        if how in {socket.SHUT_WR, socket.SHUT_RDWR} and not self.write_closed:
            self.write_closed = True
            self._note(b"", FIN)
            if self.peer is not None:
                self.peer.ended = True
        self.wake()
        if self.peer is not None:
            self.peer.wake()

    def close(self) -> None:
        """See `File.close`: what was not read makes the peer's next read an ECONNRESET."""
        peer, self.peer = self.peer, None
        self.read_closed = self.write_closed = True
        for _, _, rights in self._rights:
            self.kernel.drop_descriptors(rights)
        self._rights.clear()
        self.kernel.paths.forget(self)
        if peer is not None:
            if not peer.ended:
                self.peer = peer
                self._note(b"", FIN)
                self.peer = None
            peer.peer, peer.ended = None, True
            if self.incoming.size:
                peer.error = errno.ECONNRESET
            peer.wake()

    vanish = close

    def poll(self) -> int:
        """See `File.poll`."""
        if not self._was_connected:
            return OUT | HUP
        mask = IN if self.incoming.size or self.ended or self.error or self.read_closed else 0
        if self.error:
            mask |= ERR
        if self.peer is None or ((self.ended or self.read_closed) and self.write_closed):
            mask |= HUP
        used = self.peer.incoming.cost if self.peer is not None else 0
        return mask | OUT if used * 4 <= self.send_buffer else mask


class UnixListener(StreamFile):
    """A listening UNIX stream socket.

    Attributes:
        local: Its path.
        backlog: How many connections may wait to be accepted.
        queue: Those that do.
    """

    is_connected = False
    remote = None

    def __init__(self, kernel: Kernel, family: int, path: bytes | None, backlog: int) -> None:
        super().__init__(kernel, family)
        self.is_listening = True
        self.local = path
        self.backlog = max(0, backlog)
        self.queue: deque[UnixStreamFile] = deque()

    def poll(self) -> int:
        """See `File.poll`."""
        return IN if self.queue else 0

    def connect(self, path: bytes) -> int:
        """See connect(2): who listens does not connect."""
        return errno.EINVAL

    def admit(self, end: UnixStreamFile) -> None:
        """A connection is there."""
        self.queue.append(end)
        self.wake()

    def accept(self) -> UnixStreamFile:
        """The connection that has waited longest.

        Raises:
            OSError: EAGAIN.
        """
        if not self.queue:
            raise failure(errno.EAGAIN)
        return self.queue.popleft()

    def has_read(self) -> None:
        """See `StreamFile.has_read`: nothing is ever read."""

    def send(self, data: Any) -> int:
        """See send(2): there is nobody to send to."""
        raise failure(errno.ENOTCONN)

    def shutdown(self, how: int) -> None:
        """See shutdown(2)."""

    def close(self) -> None:
        """See `File.close`: those that were not accepted are closed; the path stays, and refuses."""
        for end in self.queue:
            if end.peer is not None:
                end.peer.error = errno.ECONNRESET
            end.close()
        self.queue.clear()
        self.kernel.paths.forget(self)

    vanish = close


class UnixDatagramFile(File):
    """A UNIX datagram socket.

    Attributes:
        local: The path that it is bound to, if any.
        remote: The path that it is connected to, if any.
    """

    kind = socket.SOCK_DGRAM
    is_listening = False

    def __init__(self, kernel: Kernel, family: int) -> None:
        super().__init__(kernel, family)
        self.local: bytes | None = None
        self.remote: bytes | None = None
        self._peer: UnixDatagramFile | None = None
        self._is_closed = False
        self._reads_no_more = self._writes_no_more = False
        self._queue: deque[tuple[bytes, bytes | None]] = deque()

    def poll(self) -> int:
        """See `File.poll`."""
        mask = OUT | (IN if self._queue or self.error or self._reads_no_more else 0)
        mask |= HUP if self._reads_no_more and self._writes_no_more else 0
        return mask | ERR if self.error else mask

    def _find(self, path: bytes) -> UnixDatagramFile:
        found = self.kernel.paths.find(path)
        if not isinstance(found, UnixDatagramFile):
            raise failure(errno.EPROTOTYPE)
        return found

    def connect(self, path: bytes) -> int:
        """See connect(2). Returns 0, or raises as `send_to` does."""
        peer = self._find(path)
        if peer._peer is not None and peer._peer is not self:
            return errno.EPERM
        self._peer, self.remote = peer, path
        return 0

    def send_to(self, data: bytes, path: bytes | None) -> int:
        """Send a datagram to a path, or to the peer.

        Raises:
            OSError: EMSGSIZE, ENOTCONN, ENOENT, ECONNREFUSED, EACCES, EPROTOTYPE, EAGAIN (the reader's queue is full),
                EPIPE (either has shut down).
        """
        self.raise_error()
        if path is None and self._peer is None:
            raise failure(errno.ENOTCONN)
        if len(data) > LONGEST:
            raise failure(errno.EMSGSIZE)
        if self._writes_no_more:
            raise failure(errno.EPIPE)
        to = self._find(path) if path is not None else self._peer
        assert to is not None
        if to._is_closed:
            self._peer = None if to is self._peer else self._peer
            raise failure(errno.ECONNREFUSED)
        if to._peer is not None and to._peer is not self:
            raise failure(errno.EPERM)
        if to._reads_no_more:
            raise failure(errno.EPIPE)
        if len(to._queue) >= QUEUE:
            raise failure(errno.EAGAIN)
        self._note(data, to)
        to._queue.append((data, self.local))
        to.wake()
        return len(data)

    def _note(self, data: bytes, to: UnixDatagramFile) -> None:
        now = self.kernel.clock.now
        here, there = _endpoint(self.kernel, self.local), _endpoint(self.kernel, to.local)
        packet = Packet(now, Transport.UNIX_DATAGRAM, here, there, data)
        packet.arrived, packet.fate = now, Fate.ARRIVED
        self.kernel.record(packet)

    def receive_from(self, most: int, flags: int = 0) -> tuple[bytes, bytes | None]:
        """The next datagram, cut to `most` octets, and the path of who sent it.

        Raises:
            OSError: EAGAIN, ECONNREFUSED.
        """
        self.raise_error()
        if not self._queue:
            raise failure(errno.EAGAIN)
        payload, source = self._queue[0] if flags & PEEK else self._queue.popleft()
        return payload[:most], source

    def shutdown(self, how: int) -> None:
        """See shutdown(2): who reads no more is sent nothing more."""
        self._reads_no_more |= how != socket.SHUT_WR
        self._writes_no_more |= how != socket.SHUT_RD
        self.wake()

    def close(self) -> None:
        """See `File.close`; the path stays, and refuses."""
        self._is_closed = True
        self._queue.clear()
        self.kernel.paths.forget(self)

    vanish = close
