"""The writing side of a connection that policies hold back.

The rule of this module: what is written leaves in order and as fast as the rate and the peer allow; the rest waits here and
is counted. Towards the protocol it behaves as Twisted's transports do (`IConsumer`): a producer is paused from within
`write`, and a close waits for what was written before it, for a producer that is paused, and for one that is pulled.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from ..errors import WriteBufferExceeded
from ..tls import is_shaking_hands
from .byte_rate import ByteRate
from .decisions import Decision
from .held_producer import HeldProducer
from .intake import Intake, Stop
from .unsent import is_closing, tell_when_empty, unsent_of
from .write_marks import WriteMarks
from .write_queue import WriteQueue

if TYPE_CHECKING:
    from .guarded_connection import GuardedConnection

__all__ = ["Outlet"]

PIECE = 65536
"""Octets that are handed to the transport at once, when a rate decides."""


class Closing(Enum):
    """What is to follow when all is written."""

    NOTHING = 0
    FINISH = 1
    CLOSE = 2


@implementer(IPushProducer)
class Outlet:
    """Writes for one connection.

    Args:
        connection: Whose outlet it is.
        transport: What is written to.
        intake: The other direction, which stops while too much waits here.
        rate: How fast, or `None`.
        marks: How much may wait.
        clock: Tells the time.
        dry: Count what would be held back, and hold back nothing.

    Attributes:
        room: Octets that may be written straight to the transport, with nothing to be decided. Whoever does so takes
            them off.
    """

    def __init__(
        self,
        connection: GuardedConnection,
        transport: Any,
        intake: Intake,
        rate: ByteRate | None,
        marks: WriteMarks,
        clock: IReactorTime,
        *,
        dry: bool = False,
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._intake = intake
        self._rate = rate
        self._is_inside = hasattr(type(transport), "protocol_changed")
        self._told = marks
        self._marks = WriteMarks() if dry else marks
        self._pause_at, self._resume_at = self._marks.pause_at, self._marks.resume_at
        self._clock = clock
        self._dry = dry
        self._waiting = WriteQueue()
        self._full = False
        self._pumping = False
        self._above = False
        self._closing = Closing.NOTHING
        self._let_go = False
        self._urgent = False
        self._producer = HeldProducer()
        self._timers: dict[Callable[[], None], IDelayedCall] = {}
        self.room = 0
        transport.registerProducer(self, True)

    @property
    def unsent(self) -> int:
        """Octets that were written and are still in this process."""
        return self._waiting.size + unsent_of(self._transport)

    @property
    def closing(self) -> bool:
        """Whether the connection is being closed."""
        return self._closing is Closing.CLOSE

    @property
    def pause_at(self) -> int:
        """A producer is paused when more than this waits."""
        return self._pause_at

    def lower(self, size: int) -> None:
        """Pause a producer when more than `size` waits, if that is less than so far."""
        if size < self._pause_at:
            self._pause_at, self._resume_at = size, min(self._resume_at, size // 4)

    # What the protocol asks for

    def write(self, data: bytes) -> None:
        """Write, as soon as it may be."""
        if not isinstance(data, bytes):
            raise TypeError(f"only bytes can be written, not {type(data).__name__}")
        if self._let_go:
            self._transport.write(data)
        elif data:
            self._waiting.put(data)
            self._pump(written=True)

    def finish(self) -> None:
        """Half-close when all is written."""
        if self._closing is Closing.NOTHING:
            self._closing = Closing.FINISH
            self._decide()

    def close(self) -> None:
        """Close when all is written, and read nothing more."""
        if self._closing is not Closing.CLOSE:
            self._closing = Closing.CLOSE
            self._intake.close()
            if self._let_go:
                self._transport.loseConnection()
            else:
                self._decide()

    def register(self, producer: Any, streaming: bool) -> None:
        """See `IConsumer.registerProducer`."""
        if self._let_go:
            self._transport.registerProducer(producer, streaming)
            return
        self._producer.register(producer, streaming)
        self._pull_now()

    def unregister(self) -> None:
        """See `IConsumer.unregisterProducer`."""
        self._producer.unregister()
        if self._let_go:
            self._transport.unregisterProducer()
        self._decide()

    def tell_when_empty(self) -> None:
        """Pause the producer until the transport has sent all that it has."""
        if self._producer and not self._let_go:
            self._producer.pause(again=True)
            self._await_empty(self.unsent)
        else:
            tell_when_empty(self._transport)

    def flush(self) -> None:
        """Hand everything to the transport now, whatever the rate: something else is to follow it at once."""
        while self._waiting:
            self._transport.write(self._waiting.take_piece())

    def send_descriptor(self, descriptor: int) -> None:
        """Send one, and all that is written in this turn: without an octet to go with it, a transport fails."""
        if not self._let_go:
            self._urgent = True
            self._call_later(0, self._calm_down)
            self.flush()
        self._transport.sendFileDescriptor(descriptor)

    def _calm_down(self) -> None:
        self._urgent = False

    def lost(self) -> None:
        """The connection was lost."""
        self._forget()
        self._producer.stop()

    def abort(self) -> None:
        """Write nothing more: while there is a producer, TLS would."""
        if not self._let_go:
            self._forget()
            self._transport.unregisterProducer()

    def _forget(self) -> None:
        self._let_go = True
        self._waiting.clear()
        self.room = 0
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # What the transport says

    def pauseProducing(self) -> None:
        """The transport has enough."""
        before, self._full = self._full, True
        if not (self._pumping or before):
            self._decide(written=True)

    def resumeProducing(self) -> None:
        """The transport has sent all that it was given."""
        self._full = False
        self._pump()

    def stopProducing(self) -> None:
        """The transport has lost its connection: `lost` follows."""

    # Between the two

    def _pump(self, *, written: bool = False) -> None:
        """Hand over what may be handed over."""
        if self._pumping:
            return
        self._pumping = True
        self._take_room_back()
        try:
            if self._rate is None or self._urgent:
                self.flush()
            while self._rate is not None and self._may_hand_over:
                self._hand_over(self._rate)
        finally:
            self._pumping = False
        self._decide(written=written)

    @property
    def _may_hand_over(self) -> bool:
        is_full = self._full and not self._is_inside  # the guard outside is to see what is unsent
        return bool(self._waiting) and not is_full and self._pump not in self._timers

    def _hand_over(self, rate: ByteRate) -> None:
        """Hand a piece to the transport; if that was not all that it might have been, find out when to go on."""
        wanted = min(self._waiting.size, PIECE)
        granted = rate.grant(self._clock.seconds(), wanted)
        if granted < wanted:
            self._connection.note("rate", "writing paused", f"more than {rate.rate} octets a second")
            if self._dry:
                granted = wanted
            else:
                self._call_later(rate.wait(wanted - granted), self._pump)
        if granted:
            self._transport.write(self._waiting.take(granted))

    def _decide(self, *, written: bool = False) -> None:
        """After anything has changed: whom to pause, whom to resume, whether to close."""
        if self._let_go:
            return
        self._take_room_back()
        unsent = self.unsent
        self._tell(unsent)
        self._mark(unsent)
        if unsent > self._pause_at:
            self._producer.pause(again=written)
        else:
            self._pull()
            if unsent <= self._resume_at:
                self._producer.resume()
        self._await_empty(unsent)
        if self._closing is not Closing.NOTHING or is_closing(self._transport):
            self._close_if_written()
        else:
            self._make_room()

    def _tell(self, unsent: int) -> None:
        """Count what is above the marks, when it comes there."""
        high, limit = self._told.high, self._told.limit
        if high is not None:
            above = unsent > (self._told.resume_at if self._above else high)
            if above and not self._above:
                self._connection.note("high_water_mark", "reading paused", f"{unsent} octets are unread")
            self._above = above
        if limit is not None and unsent > limit:
            self._call_later(0, self._look_again)

    def _await_empty(self, unsent: int) -> None:
        """If somebody is held up by what the transport has, be told when that is sent."""
        is_held_up = (
            self._producer.is_paused
            or self._intake.is_stopped(Stop.MARKS)
            or (bool(self._producer) and unsent > self._pause_at)
        )
        if is_held_up and not self._waiting and not self._full:
            self._full = True
            tell_when_empty(self._transport)

    def _mark(self, unsent: int) -> None:
        """Read nothing above the high mark, and again below the low one; TLS has to read before it can write."""
        if (
            self._marks.high is not None
            and unsent > self._marks.high
            and not is_shaking_hands(self._transport)
        ):
            self._intake.stop(Stop.MARKS)
        elif unsent <= self._marks.resume_at:
            self._intake.go(Stop.MARKS)

    def _pull(self) -> None:
        """A producer that has to be asked for each piece is asked in the next turn."""
        if self._producer.is_pulled:
            self._call_later(0, self._pull_now)

    def _pull_now(self) -> None:
        if self._producer.is_pulled:
            before = self._connection.octets_out
            self._producer.pull()
            if self._connection.octets_out != before:
                self._decide()

    def _close_if_written(self) -> None:
        if self._let_go or self._waiting or self._producer.has_more:
            return
        self._let_go = True
        self._transport.unregisterProducer()
        if self._closing is not Closing.FINISH:
            self._transport.loseConnection()
        else:
            self._intake.go(Stop.MARKS)
            self._transport.loseWriteConnection()

    def _look_again(self) -> None:
        """A peer that reads takes some of it in one turn; what is left after that is too much."""
        self._call_later(0, self._enforce_limit)

    def _enforce_limit(self) -> None:
        unsent, limit = self.unsent, self._told.limit
        if limit is not None and unsent > limit:
            self._connection.end(WriteBufferExceeded(f"{unsent} octets are unread"), Decision.ABORT)

    def _make_room(self) -> None:
        self._take_room_back()  # a producer that was resumed may have written
        if self._waiting or self._full:
            return
        most = min(self._pause_at, self._marks.unremarkable, self._told.unremarkable)
        room = max(0, most - self.unsent)
        self.room = room if self._rate is None else self._rate.advance(self._clock.seconds(), room)

    def _take_room_back(self) -> None:
        room, self.room = self.room, 0
        if self._rate is not None:
            self._rate.give_back(room)

    def _call_later(self, seconds: float, what: Callable[[], None]) -> None:
        """Do something later, unless that is to be done already."""
        if what not in self._timers:
            self._timers[what] = self._clock.callLater(seconds, self._awake, what)

    def _awake(self, what: Callable[[], None]) -> None:
        del self._timers[what]
        self._connection.in_context(what)
