"""The reading side of a connection that policies hold back.

The rule of this module: the transport reads when nobody has stopped it: not the protocol inside, not the rate, not the
marks. What was read and may not be delivered yet is kept, at most one read of it, and delivered in order; the protocol
is never called while it is being called. Once the connection is being closed nothing is delivered; TLS is read on all the
same, because only the peer's farewell ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntFlag
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime, ISSLTransport

from .byte_rate import ByteRate

if TYPE_CHECKING:
    from .guarded_connection import GuardedConnection

__all__ = ["Intake", "Stop"]


UNWANTED = 2**20
"""Octets a second that are read to be dropped, where no rate is configured."""


class Stop(IntFlag):
    """Who does not want anything to be read."""

    PROTOCOL = 1
    RATE = 2
    MARKS = 4
    CLOSING = 8
    TLS = 16


class Intake:
    """Reads for one connection.

    Args:
        connection: Whose protocol is given what is read.
        transport: What is read from.
        rate: How fast, or `None`.
        clock: Tells the time.
        dry: Count what would be held back, and hold back nothing.
    """

    def __init__(
        self,
        connection: GuardedConnection,
        transport: Any,
        rate: ByteRate | None,
        clock: IReactorTime,
        *,
        dry: bool = False,
    ) -> None:
        self._connection = connection
        self._transport = transport
        self._rate = rate
        self._clock = clock
        self._dry = dry
        self._stops = Stop(0)
        self._reads = True
        self._peer_finished = False
        self._held = bytearray()
        self._timer: IDelayedCall | None = None
        self._giving: IDelayedCall | None = None
        self._delivering = False
        self._unpaid = 0

    def is_stopped(self, why: Stop) -> bool:
        """Whether somebody in particular has stopped the reading."""
        return bool(self._stops & why)

    def stop(self, why: Stop) -> None:
        """Read nothing more."""
        self._stops |= why
        self._have_transport_read()

    def go(self, why: Stop) -> None:
        """One less who wants that; what was kept is delivered first, in another turn."""
        self._stops &= ~why
        if self._peer_finished and why is Stop.PROTOCOL:
            self._transport.resumeProducing()
        elif not self._held:
            self._have_transport_read()
        elif not self._stops & ~Stop.RATE:
            self._deliver_in(0)

    def peer_finished(self) -> None:
        """There is nothing more to read: a transport that was told to would find the end again; the protocol may tell it."""
        self._peer_finished = True

    def close(self) -> None:
        """Deliver nothing more."""
        self.forget()
        self._connection.allowance = 0
        self._stops &= ~Stop.RATE
        self.stop(Stop.CLOSING)

    def _have_transport_read(self) -> None:
        reads = not self._stops or (
            self.is_stopped(Stop.CLOSING)
            and not self.is_stopped(Stop.RATE)
            and ISSLTransport.providedBy(self._transport)
        )
        if reads is not self._reads and not self._peer_finished:
            self._reads = reads
            (self._transport.resumeProducing if reads else self._transport.pauseProducing)()

    def receive(self, data: bytes) -> None:
        """Something was read that may be more than may be delivered now."""
        if self._rate is not None:
            self._rate.give_back(int(self._connection.allowance))
        self._connection.allowance = 0
        if self.is_stopped(Stop.CLOSING):
            self._drop(len(data))
            return
        self._held += data
        if self._timer is None and not self._delivering:
            self._deliver()

    def _drop(self, octets: int) -> None:
        """While TLS waits for the farewell of its peer, nothing is delivered, and no more is read than ever."""
        if self._dry:
            return
        if self._rate is None:
            self._rate = ByteRate.of(UNWANTED, None, self._clock.seconds())
        self._unpaid += octets - self._rate.grant(self._clock.seconds(), octets)
        if self._unpaid and self._timer is None:
            self.stop(Stop.RATE)
            self._timer = self._clock.callLater(self._unpaid / self._rate.rate, self._paid, self._unpaid)

    def _paid(self, octets: int) -> None:
        self._timer = None
        self._unpaid -= octets
        self._stops &= ~Stop.RATE
        if self._unpaid:
            self._drop(0)
        else:
            self._have_transport_read()

    def give(self, receive: Callable[[bytes], None]) -> None:
        """Leave what was kept to TLS: after what the protocol itself hands to it now, before anything else is read."""
        if held := self.forget():
            self.stop(Stop.TLS)
            self._giving = self._clock.callLater(0, self._give, receive, held)
        if not self._delivering:
            self.go(Stop.RATE)

    def _give(self, receive: Callable[[bytes], None], held: bytes) -> None:
        self._giving = None
        self._connection.in_context(lambda: receive(held))
        self.go(Stop.TLS)

    def forget(self) -> bytes:
        """Deliver nothing of what was kept; returns it."""
        held, self._held = bytes(self._held), bytearray()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return held

    def lost(self) -> None:
        """The connection was lost: what was kept is delivered now, as a transport delivers what it has read."""
        if self._giving is not None:
            self._giving.cancel()
            self._giving = None
        if held := self.forget():
            self._connection.in_context(lambda: self._connection.deliver(held))

    def _deliver_in(self, seconds: float) -> None:
        if self._timer is None and not self._delivering:
            self._timer = self._clock.callLater(seconds, self._awake)

    def _awake(self) -> None:
        self._timer = None
        self._connection.in_context(self._deliver)

    def _deliver(self) -> None:
        """Deliver what may be delivered; what is left over waits."""
        wait: float | None = None
        self._delivering = True
        try:
            while self._held and wait is None and not self._stops & ~Stop.RATE:
                wait = self._deliver_piece()
        except BaseException:
            self.forget()  # as a transport does whose protocol has failed
            raise
        finally:
            self._delivering = False
            self._go_on(wait)

    def _deliver_piece(self) -> float | None:
        """Deliver some; if that was not all, say how long no more may be delivered."""
        wait: float | None = None
        wanted = len(self._held)
        granted = wanted if self._rate is None else self._rate.grant(self._clock.seconds(), wanted)
        if self._rate is not None and granted < wanted:
            self._connection.note("rate", "reading paused", f"more than {self._rate.rate} octets a second")
            if self._dry:
                granted = wanted
            else:
                wait = self._rate.wait(wanted - granted)
        if granted:
            piece = bytes(memoryview(self._held)[:granted])
            del self._held[:granted]
            self._connection.deliver(piece)
        return wait

    def _go_on(self, wait: float | None) -> None:
        """Read on when all is delivered; else try again, unless it is the protocol that wants a pause."""
        if self._held:
            self.stop(Stop.RATE)
            if wait is not None:
                self._deliver_in(wait)
            return
        if self._rate is not None and not self.is_stopped(Stop.CLOSING):
            self._connection.allowance = self._rate.advance(self._clock.seconds(), 2**31)
        self.go(Stop.RATE)
