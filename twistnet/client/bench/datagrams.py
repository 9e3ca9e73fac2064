"""One socket of the load, over datagrams.

The rule of this module: a reply is awaited for a time and then lost, and what the kernel does not take now is sent later.
"""

from __future__ import annotations

from collections import deque

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.error import MessageLengthError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.python.failure import Failure

from ...endpoints.datagram_client import DatagramPeer
from .asking import Asking
from .load import Load
from .payloads import Numbered

__all__ = ["LoadedSocket"]

_AGAIN = 0.001
"""Seconds until a queue that was full is tried again, if no reply comes before that."""


class LoadedSocket:
    """Sends requests, and checks replies.

    Args:
        load: What all sockets share.
        number: Which it is, from 0.
        peer: The socket.
        reactor: Has the time to try again.
    """

    def __init__(self, load: Load, number: int, peer: DatagramPeer, reactor: IReactorTime) -> None:
        self._load = load
        self._number = number
        self._peer = peer
        self._reactor = reactor
        self._datagrams = Numbered(load.pattern, load.plan.size, number)
        self._rest = self._datagrams.expected_rest
        self._digits = self._datagrams.digits
        self._asking: Asking | None = None
        self._held: deque[tuple[float, int]] = deque()
        self._sent: dict[bytes, tuple[float, float]] = {}
        self._room = load.plan.window
        self._is_warm_up = True
        self._retry: IDelayedCall | None = None
        peer.received, peer.refused = self._received, self._refused

    def begin(self, asking: Asking) -> None:
        """Send what this says."""
        self._asking = asking
        self.ask(self._load.clock())

    def ask(self, now: float) -> None:
        """Send what may be sent by now."""
        if self._asking is None or not self._room:
            return
        for since, number in self._asking.take(self._room, now):
            self._room -= number
            self._held.append((since, number))
        if self._held:
            self._send(now)

    def _send(self, now: float) -> None:
        try:
            while self._held:
                since, number = self._held.popleft()
                for left in range(number, 0, -1):
                    if not self._send_one(since, now):
                        self._held.appendleft((since, left))
                        self._try_again()
                        return
        except MessageLengthError:
            self._end(Failure(ValueError(f"--size {self._load.plan.size} is too long for a datagram there")))
        except OSError:
            self._end(Failure())

    def _send_one(self, since: float, now: float) -> bool:
        """Send a request that counts from a time; whether the kernel took it."""
        number, datagram = self._datagrams.make()
        while number in self._sent:
            number, datagram = self._datagrams.make()
        if self._is_warm_up and since >= self._load.measurement.first:
            self._is_warm_up = False
            self._datagrams.mark()
        self._sent[number] = since, now
        try:
            taken = self._peer.send(datagram)
        except BlockingIOError:
            taken = False
        if not taken:
            self._sent.pop(number, None)
        return taken

    def _try_again(self) -> None:
        if self._retry is None or not self._retry.active():
            self._retry = self._reactor.callLater(_AGAIN, self._send_held)

    def _send_held(self) -> None:
        if self._asking is not None:
            self._send(self._load.clock())

    def _received(self, datagram: bytes) -> None:
        sent = self._sent.pop(datagram[: self._digits], None)
        if sent is None or datagram[self._digits :] != self._rest:
            self._look_closer(datagram)
            return
        now = self._load.clock()
        self._room += 1
        self._load.measurement.reply(sent[0], now, 1)
        if self._held:
            self._send(now)
        self.ask(now)

    def _look_closer(self, datagram: bytes) -> None:
        """What came is no reply that is awaited: one that is too late, a second one, or a wrong one."""
        if self._datagrams.was_sent(datagram):
            self._load.measurement.stray += not self._is_warm_up and self._datagrams.is_measured(datagram)
        elif self._asking is not None:
            oldest = next(iter(self._sent), None)
            self._end(Failure(self._datagrams.wrong(datagram, oldest)))

    def _refused(self) -> None:
        self._end(Failure(error.ConnectionRefusedError("nothing listens there")))

    def watch(self, now: float) -> None:
        """Give up on replies that are not coming."""
        lost = 0
        for since, sent in self._sent.values():
            if now - sent <= self._load.plan.timeout:
                break
            self._load.measurement.lose(since)
            lost += 1
        for number in list(self._sent)[:lost]:
            del self._sent[number]
        if lost:
            self._room += lost
            self.ask(now)

    @property
    def unanswered(self) -> int:
        """How many requests are under way, or wait for the kernel to take them."""
        return self._load.plan.window - self._room

    def waiting(self, now: float) -> tuple[float, int]:
        """See `Asking.waiting`."""
        return self._asking.waiting(now) if self._asking is not None else (now, 0)

    def _end(self, reason: Failure) -> None:
        if self._asking is not None:
            self._asking = None
            self._load.end(reason)

    def abort(self) -> None:
        """Closing takes no time that it could be cut short by."""

    def close(self) -> Deferred[None]:
        """Close it; fires once it is closed."""
        self._asking = None
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        return self._peer.close()
