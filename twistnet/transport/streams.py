"""Stream connections on the hub: Twisted's own, with the way of a byte from read to reply made short.

The rule of this module: what a protocol writes while it is delivered something is held back, and sent when it returns.
Whatever else it does meanwhile (closing, a producer, TLS, an exception) finds what it wrote where Twisted would have it: in
the buffer, in order, or dropped.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from twisted.internet import abstract, main, tcp
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure

from .on_hub import OnHub

if TYPE_CHECKING:
    _Connection = tcp.Connection
else:
    _Connection = object

__all__ = ["FastStream"]

PATIENCE = 64
"""Reads of a peer that sends much after which it may be that nobody is left who sends little."""

LARGE = 32768
"""Octets in one read that are many."""

LARGEST_READ = 4
"""How many times `bufferSize`, at most, is read at once from a peer whose data fills one read after the other."""

PIECES = 32
"""Pieces that are held back, at most, where they are counted anew for each: a producer waits to be paused."""

PASSING = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.EPIPE})
"""Errors of send(2) that say nothing of how the connection ends; the last is told again and again."""


class FastStream(OnHub, _Connection):
    """Mixed in before a connection of Twisted's.

    It is plain while nothing is buffered and nobody waits for the buffer to empty: then what is written in a delivery is
    kept as it is, in a list that is there for that long, and sent from there. All else goes the way of Twisted's `write`,
    into its buffer.
    """

    _held: list[bytes] | None
    _plain: bool
    _limited: bool
    _large_from: int
    _read_size: int
    _logstr: str | None = None
    _modest = 0
    """Reads since the last that was large: what is left of a long message is no sign of a peer who sends little."""
    _small = 0
    _patience = 0
    """For how many reads yet no more than `bufferSize` is read at once, because somebody else was served between them."""
    _failed = False
    """Whether sending has met an error, which the kernel tells once: then what looks like the peer's end is none."""

    def _start_plain(self) -> None:
        """Have each of these on the instance from the start, where Python finds it fastest."""
        self._held = None
        self._plain = True
        self._limited = False
        self._large_from = LARGE
        self._read_size = self._buffer_size

    _buffer_size = abstract.FileDescriptor.bufferSize

    @property
    def bufferSize(self) -> int:
        """Octets that are read at once, at first, and above which a producer is paused."""
        return self._buffer_size

    @bufferSize.setter
    def bufferSize(self, octets: int) -> None:
        self._buffer_size = self._read_size = octets

    @property
    def held_back(self) -> int:
        """Octets that were written and are not in Twisted's buffer yet."""
        return sum(map(len, self._held or ()))

    def doRead(self) -> ConnectionDone | ConnectionLost | None:  # type: ignore[override]
        """See `IReadDescriptor`."""
        try:
            data = self.socket.recv(self._read_size)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if not data:
            return self._end()
        self._deliver(data)
        return None

    def _deliver(self, data: bytes) -> None:
        """Give the protocol what came, and send what it answers."""
        if len(data) >= self._large_from:
            self._read_size = self._next_size(len(data))
        if self._plain and self._held is None:
            self._held = []
        self.protocol.dataReceived(data)
        held = self._held
        if held:
            self._held = None
            answer = held[0] if len(held) == 1 else b"".join(held)
            try:
                sent = self.socket.send(answer)
            except OSError as error:
                sent = self._not_sent(error)
            if sent != len(answer):
                self._park(answer, sent)
            elif self._limited and self.producerPaused:
                self.startWriting()  # somebody has paused it, to be told when all is sent
        else:
            self._held = None
            if self._tempDataLen:
                self.send_held()

    def _end(self) -> ConnectionDone | ConnectionLost:
        """The peer sends no more."""
        return main.CONNECTION_LOST if self._failed else main.CONNECTION_DONE

    def _not_sent(self, error: OSError) -> int:
        """Nothing was sent; remember why, unless the kernel says so again or it has only no room."""
        self._failed = self._failed or error.errno not in PASSING
        return 0

    def _next_size(self, octets: int) -> int:
        """How much to read next time: more, if this time there was as much as would fit, and nobody else has to wait for it."""
        hub, size = self._hub, self._read_size
        hub.large += 1
        self._modest = 0 if octets >= LARGE else self._modest + 1
        self._large_from = 1 if self._modest < PATIENCE else LARGE
        if hub.small != self._small:
            self._small, self._patience = hub.small, PATIENCE
        if octets < size // 2 or self._patience:
            self._patience = max(0, self._patience - 1)
            return self._buffer_size
        return min(size * 2, self._buffer_size * LARGEST_READ) if octets == size else size

    def write(self, data: bytes) -> None:
        """See `ITransport.write`."""
        held = self._held
        if held is not None and data.__class__ is bytes:
            held.append(data)
            if self._limited:
                self._hold_within_limit()
            return
        self.hold_no_more()
        super().write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """See `ITransport.writeSequence`."""
        held = self._held
        if held is not None:
            for data in iovec:
                if data.__class__ is not bytes:
                    break  # Twisted says what is wrong with it
            else:
                held.extend(iovec)
                if self._limited:
                    self._hold_within_limit()
                return
        self.hold_no_more()
        super().writeSequence(iovec)

    def send_held(self) -> None:
        """Send what was written, as far as the kernel takes it. The protocol hears nothing of it."""
        if self.dataBuffer or not self.connected or self._aborting or self._tempDataLen == 0:
            return  # what could not be sent is before it; or nothing is ever sent again
        buffer = self._tempDataBuffer
        data = buffer[0] if len(buffer) == 1 else b"".join(buffer)
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._not_sent(error)
            return  # doWrite will find the same, and may tell of it
        buffer.clear()
        self._tempDataLen = 0
        if sent != len(data):
            self._park(data, sent)
        elif not self._waits_for_room:
            self._hub.removeWriter(self)
            self._find_out_if_plain()

    def startWriting(self) -> None:
        """See `FileDescriptor.startWriting`; called whenever something was put into the buffer."""
        self._plain = False
        self._hub.addWriter(self)

    def send_all_there_is(self) -> None:
        """The same, unless somebody waits to hear of it: then doWrite sends, and tells, in one go."""
        if not self._waits_for_room:
            self.send_held()

    def _park(self, data: bytes, sent: int) -> None:
        """The kernel is full: the rest is sent when it has room."""
        self.dataBuffer, self.offset = data, sent
        self._plain = False
        self._hub.arm(self)

    def hold_no_more(self) -> None:
        """Put what is held back into the buffer, before anything that Twisted does with it, and before the reactor is run within."""
        held, self._held = self._held, None
        if held:
            self._tempDataBuffer += held
            self._tempDataLen += sum(map(len, held))
            self.startWriting()

    def _hold_within_limit(self) -> None:
        """Leave it to Twisted once there is enough that a producer must be paused."""
        held = self._held or ()
        if len(held) > PIECES or sum(map(len, held)) > self._buffer_size:
            self._leave_plain()
            self._maybePauseProducer()

    def _leave_plain(self) -> None:
        self.hold_no_more()
        self._plain = False

    @property
    def _waits_for_room(self) -> bool:
        """Whether somebody wants to hear that everything was sent."""
        if self.disconnecting or self._writeDisconnecting:
            return True
        return self.producer is not None and (self.producerPaused or not self.streamingProducer)

    def _find_out_if_plain(self) -> None:
        is_open = self.connected and not self._aborting
        busy = self.dataBuffer or self._tempDataLen or self._waits_for_room or self.TLS
        self._plain = bool(is_open and not busy)

    def doWrite(self) -> Any:
        """See `IWriteDescriptor`."""
        if self.dataBuffer:
            self._hub.large += 1
        result = super().doWrite()
        if result is None:
            self._find_out_if_plain()
        return result

    # What finds Twisted's buffer as Twisted would have it

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """See `IConsumer.registerProducer`."""
        self._leave_plain()
        super().registerProducer(producer, streaming)
        self._limited = self.producer is not None and self.streamingProducer
        self._find_out_if_plain()

    def unregisterProducer(self) -> None:
        """See `IConsumer.unregisterProducer`."""
        super().unregisterProducer()
        self._limited = False
        self._find_out_if_plain()

    def loseConnection(self) -> None:
        """See `ITransport.loseConnection`."""
        self._leave_plain()
        super().loseConnection()

    def loseWriteConnection(self) -> None:
        """See `IHalfCloseableDescriptor.loseWriteConnection`."""
        self._leave_plain()
        super().loseWriteConnection()

    def abortConnection(self) -> None:
        """See `ITCPTransport.abortConnection`."""
        self._leave_plain()
        super().abortConnection()

    def startTLS(self, ctx: Any, normal: bool = True) -> None:
        """See `ITLSTransport.startTLS`."""
        self._leave_plain()
        super().startTLS(ctx, normal)

    def connectionLost(self, reason: Failure) -> None:
        """See `IReadWriteDescriptor`; what is held back is lost with the connection."""
        self._held, self._plain = None, False
        super().connectionLost(reason)

    # What the hub prints in front of a line

    @property
    def logstr(self) -> str:
        """The prefix of what is logged meanwhile; once it was wanted it stays, whatever the protocol says later."""
        if self._logstr is None:
            self._logstr = self._make_logstr()
        return self._logstr

    @logstr.setter
    def logstr(self, prefix: str) -> None:
        self._logstr = prefix
        self._hub.forget_context(self)

    def _make_logstr(self) -> str:
        return "Uninitialized"
