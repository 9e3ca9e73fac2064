"""Peers that a person talks with: over streams in lines, and in datagrams.

The rule of this module: a peer that says nothing costs a number, and one that does not read costs a bounded buffer.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from twisted.internet.error import (
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
    InvalidAddressError,
    MessageLengthError,
)
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import DatagramProtocol, connectionDone
from twisted.python.failure import Failure

from ..addresses import show_address
from ..errors import RemoteProtocolError
from ..units import LONGEST_DATAGRAM
from ..wire.framing import LineFramer
from .framed import FramedProtocol, Stage
from .stream import StreamFactory
from .switchboard import Switchboard

__all__ = [
    "ANSWER_TIME",
    "FORGET_AFTER",
    "UNFINISHED_AFTER",
    "ConsoleDatagramProtocol",
    "ConsoleFactory",
    "ConsoleProtocol",
]

UNFINISHED_AFTER = 0.5
"""Seconds that the beginning of a line waits for the rest before it is shown as it is."""

ANSWER_TIME = 60.0
"""Seconds that a peer which has finished sending is kept for an answer."""

FORGET_AFTER = 300.0
"""Seconds of silence after which a source of datagrams is forgotten."""

SOURCES = 1000
"""Sources of datagrams that are remembered; the one that has been idle longest is forgotten first."""


class ConsoleProtocol(FramedProtocol):
    r"""One peer of a console: its lines are shown, and it is sent lines, ended by `\n`.

    Args:
        switchboard: Where the person is.
        clock: The reactor.
        unfinished_after: Seconds that the beginning of a line waits for the rest before it is shown as it is: not every
            peer ends its lines.
        answer_time: Seconds that it is kept for an answer once it has finished sending.
    """

    def __init__(
        self,
        switchboard: Switchboard,
        clock: IReactorTime,
        *,
        unfinished_after: float = UNFINISHED_AFTER,
        answer_time: float = ANSWER_TIME,
    ) -> None:
        super().__init__(LineFramer(unterminated=True), clock)
        self._switchboard = switchboard
        self._reactor = clock
        self._unfinished_after = unfinished_after
        self._answer_time = answer_time
        self._timer: IDelayedCall | None = None
        self._begun = False  # the beginning of the line was shown
        self.is_full = False

    def connectionMade(self) -> None:
        name = show_address(self.transport.getPeer())
        self._number = self._switchboard.came(self, name)

    def dataReceived(self, data: bytes) -> None:
        self._stop_waiting()
        super().dataReceived(data)
        self._wait_for_rest()

    def frameReceived(self, frame: bytes) -> None:
        begun, self._begun = self._begun, False
        if frame or not begun:
            self._switchboard.said(self._number, frame)

    def endReceived(self) -> None:
        """The peer has finished: it may be waiting for an answer, or gone; which of them, nobody can tell."""
        self._stop_waiting()
        self._switchboard.noted(self._number, "has finished, and may still be answered")
        if self._stage is Stage.OVER:
            return  # the person has closed it meanwhile
        self._timer = self._reactor.callLater(self._answer_time, self.close)

    def framingFailed(self, error: RemoteProtocolError) -> None:
        self._switchboard.noted(self._number, f"is closed: {error.reason}")
        self.close()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_waiting()
        super().connectionLost(reason)
        self._switchboard.left(self._number, _why(reason))

    def peer_reads(self, reads: bool) -> None:
        self.is_full = not reads
        super().peer_reads(reads)
        if reads:
            self._wait_for_rest()
            self._switchboard.reads_again()

    def say(self, text: str) -> str:
        """Send a line; why not, if it could not be sent."""
        if self.is_full:
            return "it does not read"
        if self._stage is Stage.OVER:
            return "it is being closed"
        self.transport.write(_octets(text) + b"\n")
        return ""

    def hold(self, held: bool) -> None:
        """Whether it is not to be heard at present; then nothing is read from it."""
        if held:
            self.pauseProducing()
        else:
            self.resumeProducing()
            self._wait_for_rest()

    def _wait_for_rest(self) -> None:
        if self._stage is Stage.OPEN and not self._stops:
            self._stop_waiting()
            self._timer = self._reactor.callLater(self._unfinished_after, self._show_unfinished)

    def _show_unfinished(self) -> None:
        self._timer = None
        if self._stage is Stage.OPEN and not self._stops and (unfinished := self._framer.rest()):
            self._begun = True
            self._switchboard.said(self._number, unfinished)

    def _stop_waiting(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None


class ConsoleFactory(StreamFactory):
    """Builds `ConsoleProtocol`, whose arguments these are."""

    def __init__(
        self,
        switchboard: Switchboard,
        clock: IReactorTime,
        *,
        unfinished_after: float = UNFINISHED_AFTER,
        answer_time: float = ANSWER_TIME,
    ) -> None:
        super().__init__(
            lambda: ConsoleProtocol(
                switchboard, clock, unfinished_after=unfinished_after, answer_time=answer_time
            )
        )


class _Source:
    """Who sends datagrams from one address."""

    is_full = False

    def __init__(self, protocol: ConsoleDatagramProtocol, address: Any) -> None:
        self._protocol = protocol
        self._address = address
        self.number = 0
        self.active_at = 0.0

    def say(self, text: str) -> str:
        """Send a datagram; why not, if it could not be sent."""
        octets = _octets(text)
        if len(octets) > LONGEST_DATAGRAM:
            return f"{len(octets)} octets are too long for a datagram"
        try:
            self._protocol.send(octets, self._address)
        except (
            OSError,
            MessageLengthError,
            InvalidAddressError,
        ) as problem:  # a guard would keep it to itself
            return getattr(problem, "strerror", None) or str(problem)
        return ""

    def hold(self, held: bool) -> None:
        """Who sends datagrams cannot be kept waiting; the guard limits what they send."""

    def close(self) -> None:
        """Forget it."""
        self._protocol.forget(self._address, "")


class ConsoleDatagramProtocol(DatagramProtocol):
    """Each source of datagrams is a peer of a console; each datagram, whatever is in it, a line, and each line a datagram.

    Put it behind a guard (`GuardedDatagramProtocol`): the source of a datagram can be forged.

    Args:
        switchboard: Where the person is.
        clock: The reactor.
        forget_after: Seconds of silence, on both sides, after which a source is forgotten.
    """

    noisy = False
    transport: Any

    def __init__(
        self, switchboard: Switchboard, clock: IReactorTime, *, forget_after: float = FORGET_AFTER
    ) -> None:
        self._switchboard = switchboard
        self._clock = clock
        self._forget_after = forget_after
        self._sources: OrderedDict[Any, _Source] = OrderedDict()
        self._timer: IDelayedCall | None = None

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if not addr:
            return  # an unbound UNIX socket: there is nowhere to send an answer to
        if addr not in self._sources:
            self._remember(addr)
        self._active(addr)
        self._switchboard.said(self._sources[addr].number, datagram)

    def stopProtocol(self) -> None:
        for addr in list(self._sources):
            self.forget(addr, "")

    def send(self, datagram: bytes, addr: Any) -> None:
        """Send a datagram to a source."""
        self._active(addr)
        self.transport.write(datagram, addr)

    def forget(self, addr: Any, why: str) -> None:
        """Forget a source."""
        source = self._sources.pop(addr)
        self._watch()
        self._switchboard.left(source.number, why)

    def _remember(self, addr: Any) -> None:
        if len(self._sources) >= SOURCES:
            self.forget(next(iter(self._sources)), f"{SOURCES} others have spoken since")
        source = self._sources[addr] = _Source(self, addr)
        source.number = self._switchboard.came(source, show_address(addr))

    def _active(self, addr: Any) -> None:
        self._sources[addr].active_at = self._clock.seconds()
        self._sources.move_to_end(addr)
        self._watch()

    def _watch(self) -> None:
        """One timer, for the source that has been idle longest; it looks again if that one has not been idle after all."""
        if not self._sources:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        elif self._timer is None:
            oldest = next(iter(self._sources.values()))
            wait = oldest.active_at + self._forget_after - self._clock.seconds()
            self._timer = self._clock.callLater(max(0.0, wait), self._look)

    def _look(self) -> None:
        self._timer = None
        due = self._clock.seconds() - self._forget_after
        for addr, source in list(self._sources.items()):
            if source.active_at > due:
                break
            self.forget(addr, "it was silent")
        self._watch()


def _why(reason: Failure) -> str:
    """Why a connection was lost, if there is anything to say of it."""
    if reason.check(ConnectionDone, ConnectionAborted):
        return ""
    return "the connection was lost" if reason.check(ConnectionLost) else reason.getErrorMessage()


def _octets(text: str) -> bytes:
    """A line in UTF-8; octets of a script that were none are what they were."""
    return text.encode("utf-8", "surrogateescape")
