"""One connection of the load, over a stream.

The rule of this module: what is in flight is the window and no more, and what the transport will not take waits for it.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IHandshakeListener, IPushProducer, ISSLTransport
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from .asking import Asking
from .load import Load
from .payloads import PERIOD, PIECE, WrongReply

__all__ = ["LoadedStream"]


class _Closed(Exception):
    """The peer has closed a connection in good order, but too early."""

    def __str__(self) -> str:
        number, unanswered = self.args
        return f"the peer has closed connection {number}; unanswered on it: {unanswered}"


@implementer(IHandshakeListener, IPushProducer)
class LoadedStream(Protocol):
    """Sends requests, and checks replies.

    Args:
        load: What all connections share.
        number: Which connection it is, from 0.

    Attributes:
        ready: Fires once requests can be sent: with TLS, once hands are shaken.
        lost: Fires once the connection is lost.
    """

    transport: Any = None

    def __init__(self, load: Load, number: int) -> None:
        self.ready: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self._load = load
        self._number = number
        self._begin = load.pattern.begin_of(number)
        self._asking: Asking | None = None
        self._since: deque[tuple[float, int]] = deque()
        self._room = load.plan.window
        self._to_send = self._sent = self._received = self._answered = 0
        self._heard = 0.0
        self._paused = False
        self._closing = False

    def connectionMade(self) -> None:
        if self._closing:
            self.transport.abortConnection()
            return
        self.transport.registerProducer(self, True)
        if not ISSLTransport.providedBy(self.transport):
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        """TLS is ready, or there is none."""
        if not self.ready.called:
            self.ready.callback(None)

    def begin(self, asking: Asking) -> None:
        """Send what this says."""
        self._asking = asking
        self.ask(self._load.clock())

    def ask(self, now: float) -> None:
        """Send what may be sent by now."""
        if self._asking is None or not self._room:
            return
        number = 0
        for since, together in self._asking.take(self._room, now):
            self._since.append((since, together))
            number += together
        if number:
            if self._room == self._load.plan.window:
                self._heard = now
            self._room -= number
            self._to_send += number * self._load.plan.size
            self._write()

    def _write(self) -> None:
        """A piece at a time, for as long as the transport takes them."""
        pattern = self._load.pattern.sent
        while self._to_send and not self._paused:
            offset = (self._begin + self._sent) % PERIOD
            octets = min(self._to_send, PIECE)
            self._to_send -= octets
            self._sent += octets
            self.transport.write(pattern[offset : offset + octets])

    def dataReceived(self, data: bytes) -> None:
        load = self._load
        before = self._received
        self._received = received = before + len(data)
        if (
            not load.pattern.expected.startswith(data, (self._begin + before) % PERIOD)
            or received > self._sent
        ) and not self._is_right_after_all(data, before):
            return
        now = self._heard = load.clock()
        answered = received // load.plan.size - self._answered
        if answered:
            self._answered += answered
            self._room += answered
            self._note(answered, now)
            self.ask(now)

    def _note(self, answered: int, now: float) -> None:
        """Tell of replies, those to the first requests first."""
        since, measurement = self._since, self._load.measurement
        while answered:
            asked, number = since[0]
            together = min(number, answered)
            if together == number:
                since.popleft()
            else:
                since[0] = asked, number - together
            measurement.reply(asked, now, together)
            answered -= together

    def _is_right_after_all(self, data: bytes, before: int) -> bool:
        """What came is longer than the pattern can be compared with at once; or it is wrong, and that is the end."""
        try:
            self._load.pattern.check(data[: max(0, self._sent - before)], before, self._number)
            if self._received > self._sent:
                extra = data[max(0, self._sent - before)]
                raise WrongReply(self._number + 1, self._sent, None, extra, "its replies")
        except WrongReply:
            self._end(Failure())
            return False
        return True

    def pauseProducing(self) -> None:
        """See `IPushProducer`."""
        self._paused = True

    def resumeProducing(self) -> None:
        """See `IPushProducer`."""
        self._paused = False
        self._write()

    def stopProducing(self) -> None:
        """See `IPushProducer`; the connection says so itself."""

    def watch(self, now: float) -> None:
        """Give up on a peer that has been silent for too long."""
        if self.unanswered and now - self._heard > self._load.plan.timeout:
            self._end(Failure(error.TimeoutError()))

    @property
    def unanswered(self) -> int:
        """How many requests are under way."""
        return self._load.plan.window - self._room

    def waiting(self, now: float) -> tuple[float, int]:
        """See `Asking.waiting`."""
        return self._asking.waiting(now) if self._asking is not None else (now, 0)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)
        if reason.check(error.ConnectionDone):
            reason = Failure(_Closed(self._number + 1, self.unanswered))
        if not self.ready.called:
            self.ready.errback(reason)
        elif not self._closing:
            self._end(reason)

    def _end(self, reason: Failure) -> None:
        self._closing = True
        self._asking = None
        self._load.end(reason)
        if self.transport.connected:
            self.transport.abortConnection()

    def close(self) -> Deferred[None]:
        """Close it in good order, or whatever is made of it yet; fires once it is closed."""
        self._closing = True
        self._asking = None
        if self.transport is None:
            return succeed(None)
        if not self.lost.called:
            self.transport.unregisterProducer()
            self.transport.loseConnection()
        return self.lost

    def abort(self) -> None:
        """Close it at once."""
        if self.transport is not None and not self.lost.called:
            self.transport.abortConnection()
