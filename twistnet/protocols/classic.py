"""Discard, chargen, daytime, time and quote of the day (RFC 863, 864, 867, 868, 865), over streams and datagrams.

The rule of this module: what is sent to these services is read and forgotten. Over datagrams they want a guard, chargen and
qotd all the more: their answers are longer than the questions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IPushProducer,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.protocol import DatagramProtocol, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ..addresses import show_address
from ..wire.classic import CHARGEN_CYCLE, CHARGEN_MOST, chargen_line, daytime, time_since_1900
from .announcing import AnnouncingProtocol
from .stream import StreamFactory

__all__ = [
    "ChargenDatagramProtocol",
    "ChargenFactory",
    "ChargenProtocol",
    "DaytimeDatagramProtocol",
    "DaytimeFactory",
    "DaytimeProtocol",
    "DiscardDatagramProtocol",
    "DiscardFactory",
    "DiscardProtocol",
    "QuoteDatagramProtocol",
    "QuoteFactory",
    "QuoteProtocol",
    "TimeDatagramProtocol",
    "TimeFactory",
    "TimeProtocol",
]

_log = Logger("twistnet")

CYCLES = 16
"""Cycles of chargen written in one turn of the reactor, should the transport not have enough before that."""


@implementer(IHalfCloseableProtocol)
class DiscardProtocol(Protocol):
    """Reads and forgets, and closes when the peer has finished (RFC 863)."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        """Forget it."""

    def readConnectionLost(self) -> None:
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Somebody half-closed this side; the peer closes next."""


@implementer(IHalfCloseableProtocol, IHandshakeListener, IPushProducer)
class ChargenProtocol(Protocol):
    """Sends lines of printing characters for as long as the peer reads (RFC 864), also when it has finished sending.

    Args:
        clock: The reactor, which gives others their turn.
    """

    transport: Any

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._paused = False
        self._next: IDelayedCall | None = None

    def connectionMade(self) -> None:
        if not ISSLTransport.providedBy(self.transport):
            self._begin()

    def handshakeCompleted(self) -> None:
        """TLS is agreed on; what is written before would only be buffered."""
        self._begin()

    def _begin(self) -> None:
        self.transport.registerProducer(self, True)
        self._produce()

    def dataReceived(self, data: bytes) -> None:
        """Forget it."""

    def readConnectionLost(self) -> None:
        """The peer may still read."""

    def writeConnectionLost(self) -> None:
        """Somebody half-closed this side: there is nothing left to do."""
        self.stopProducing()
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.stopProducing()

    def pauseProducing(self) -> None:
        """The peer does not read."""
        self._paused = True
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def resumeProducing(self) -> None:
        """The peer has read; unless the connection is being closed, it is sent more."""
        self._paused = False
        if self._next is None:
            self._produce()

    def stopProducing(self) -> None:
        """The connection is lost."""
        self.pauseProducing()

    def _produce(self) -> None:
        self._next = None
        if self.transport.disconnecting:
            self.transport.unregisterProducer()
            return
        for _ in range(CYCLES):
            self.transport.write(CHARGEN_CYCLE)
            if self._paused:
                return
        self._next = self._clock.callLater(0, self._produce)


class DaytimeProtocol(AnnouncingProtocol):
    """Says the date and the time as text, then closes (RFC 867): `Tuesday, February 22, 1982 17:37:43-UTC`.

    Args:
        clock: The reactor, which tells the time, in seconds since 1970.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(lambda _: daytime(clock.seconds()), clock)


class TimeProtocol(AnnouncingProtocol):
    """Says the seconds since 1900 in four octets, then closes (RFC 868).

    Args:
        clock: See `DaytimeProtocol`.
    """

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(lambda _: time_since_1900(clock.seconds()), clock)


class QuoteProtocol(AnnouncingProtocol):
    """Says one of several quotes, then closes (RFC 865).

    Args:
        quotes: The quotes; each of at most 512 octets, as the RFC wants it.
        clock: The reactor, which measures how long a peer takes to close.
        random: Chooses.
    """

    def __init__(self, quotes: Sequence[bytes], clock: IReactorTime, random: Random) -> None:
        super().__init__(lambda _: random.choice(quotes), clock)


class DiscardFactory(StreamFactory):
    """Builds `DiscardProtocol`."""

    def __init__(self) -> None:
        super().__init__(DiscardProtocol)


class ChargenFactory(StreamFactory):
    """Builds `ChargenProtocol`; see there for the argument."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(lambda: ChargenProtocol(clock))


class DaytimeFactory(StreamFactory):
    """Builds `DaytimeProtocol`; see there for the argument."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(lambda: DaytimeProtocol(clock))


class TimeFactory(StreamFactory):
    """Builds `TimeProtocol`; see there for the argument."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(lambda: TimeProtocol(clock))


class QuoteFactory(StreamFactory):
    """Builds `QuoteProtocol`; see there for the arguments.

    Raises:
        ValueError: There are no quotes.
    """

    def __init__(self, quotes: Sequence[bytes], clock: IReactorTime, random: Random | None = None) -> None:
        chooser = _chooser(quotes, random)
        super().__init__(lambda: QuoteProtocol(quotes, clock, chooser))


class DiscardDatagramProtocol(DatagramProtocol):
    """Forgets each datagram (RFC 863)."""

    noisy = False


class _ReplyingDatagramProtocol(DatagramProtocol):
    """Replies to each datagram, whatever it says. A reply that cannot be sent is a debug line."""

    noisy = False
    transport: Any

    def __init__(self, reply: Callable[[], bytes]) -> None:
        self._reply = reply

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if not addr:
            return  # an unbound UNIX socket: there is nowhere to send a reply to
        try:
            self.transport.write(self._reply(), addr)
        except (OSError, MessageLengthError, InvalidAddressError) as error:
            _log.debug("no answer to {peer}: {error}", peer=show_address(addr), error=error)


class ChargenDatagramProtocol(_ReplyingDatagramProtocol):
    """Replies with a line of 0 to 512 octets (RFC 864).

    Args:
        random: Chooses how many.
    """

    def __init__(self, random: Random | None = None) -> None:
        chooser = random or Random()
        super().__init__(lambda: chargen_line(chooser.randint(0, CHARGEN_MOST)))


class DaytimeDatagramProtocol(_ReplyingDatagramProtocol):
    """Replies with the date and the time; see `DaytimeProtocol`."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(lambda: daytime(clock.seconds()))


class TimeDatagramProtocol(_ReplyingDatagramProtocol):
    """Replies with the seconds since 1900; see `TimeProtocol`."""

    def __init__(self, clock: IReactorTime) -> None:
        super().__init__(lambda: time_since_1900(clock.seconds()))


class QuoteDatagramProtocol(_ReplyingDatagramProtocol):
    """Replies with one of several quotes; see `QuoteProtocol`.

    Raises:
        ValueError: There are no quotes.
    """

    def __init__(self, quotes: Sequence[bytes], random: Random | None = None) -> None:
        chooser = _chooser(quotes, random)
        super().__init__(lambda: chooser.choice(quotes))


def _chooser(quotes: Sequence[bytes], random: Random | None) -> Random:
    if not quotes:
        raise ValueError("there are no quotes to choose from")
    return random or Random()
