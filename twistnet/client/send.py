"""`twistnet send`: standard input to a peer, its answer to standard output.

The rule of this module: nothing is held that cannot be passed on. A peer that does not read stops standard input, and
a reader that does not read stops the peer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, MessageLengthError
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime, ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.stdio import StandardIO
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from ..endpoints.datagram_client import DatagramTarget
from .outcome import NetworkProblem, word_for
from .targets import stream_target

__all__ = ["exchange_datagrams", "exchange_stream", "read_datagram"]

LONGEST = 65507


@contextmanager
def _problems(shown: str, timeout: float) -> Iterator[None]:
    """Whatever the network does to us within, as a `NetworkProblem`."""
    try:
        yield
    except (NetworkProblem, ValueError):
        raise
    except Exception as problem:
        word = word_for(problem)
        if word == "TIMEOUT":
            raise NetworkProblem(word, f"{shown}: no answer within {timeout:g} s") from problem
        text = " ".join(str(problem).split()).rstrip(".") or type(problem).__name__
        raise NetworkProblem(word, f"{shown}: {text}") from problem


@contextmanager
def _terminal_kept() -> Iterator[None]:
    """Leave standard input and output blocking, if they were: a shell shares them."""
    blocking = {}
    for descriptor in (0, 1):
        with suppress(OSError):
            blocking[descriptor] = os.get_blocking(descriptor)
    try:
        yield
    finally:
        for descriptor, was in blocking.items():
            with suppress(OSError):
                os.set_blocking(descriptor, was)


async def exchange_stream(reactor: Any, target: Sequence[str], timeout: float) -> int:
    """Send standard input to a stream endpoint, half-close, and write what comes until the peer's end.

    Args:
        reactor: The reactor that is running.
        target: An endpoint string, or a host and a port.
        timeout: Seconds that connecting, and then each silence of the peer once all is sent, may take.

    Returns:
        The exit status.

    Raises:
        ValueError: The target is none.
        NetworkProblem: The network would not have it.
    """
    endpoint = stream_target(reactor, target)
    with _problems(" ".join(target), timeout), _terminal_kept():
        exchange = _StreamExchange(reactor, timeout)
        connecting = endpoint.connect(Factory.forProtocol(lambda: exchange))
        await connecting.addTimeout(timeout, reactor)
        await exchange.done
        return 0


@implementer(IHalfCloseableProtocol)
class _StreamExchange(Protocol):
    """The peer's side; it opens standard input and output once there is a connection."""

    transport: Any

    def __init__(self, clock: IReactorTime, timeout: float) -> None:
        self.done: Deferred[None] = Deferred()
        self._clock = clock
        self._timeout = timeout
        self._ends_with: Failure | None = None
        self._timer: IDelayedCall | None = None
        self._standard: Any = None
        self._output_open = True

    def connectionMade(self) -> None:
        self._standard = StandardIO(_StandardStreams(self), reactor=self._clock)
        self._standard.registerProducer(self.transport, True)
        self.transport.registerProducer(self._standard, True)

    def dataReceived(self, data: bytes) -> None:
        self._standard.write(data)
        if self._timer is not None:
            self._timer.reset(self._timeout)

    def readConnectionLost(self) -> None:
        """The peer has said all that it will."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Everything has been sent."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._ends_with is None:
            self._ends_with = reason
        self._standard.unregisterProducer()
        if self._output_open:
            self._standard.loseConnection()  # once all is written; then comes standard_lost
        else:
            self.standard_lost()

    def input_ended(self) -> None:
        """Standard input has ended: say so to the peer. TLS says it with its own farewell, and reads on."""
        if not self.transport.connected:
            return
        self.transport.unregisterProducer()
        if ISSLTransport.providedBy(self.transport):
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()
        self._timer = self._clock.callLater(self._timeout, self._silent)

    def output_ended(self) -> None:
        """Nobody reads standard output any more: there is nothing left to do."""
        self._output_open = False
        self._ends_with = Failure(ConnectionDone())
        self.transport.abortConnection()

    def standard_lost(self) -> None:
        """Standard input and output are closed, and all is written."""
        ends_with = self._ends_with or Failure(ConnectionDone())
        done, self.done = self.done, Deferred()
        if ends_with.check(ConnectionDone):
            done.callback(None)
        else:
            done.errback(ends_with)

    def _silent(self) -> None:
        self._ends_with = Failure(error.TimeoutError())
        self.transport.abortConnection()


@implementer(IHalfCloseableProtocol)
class _StandardStreams(Protocol):
    """Standard input and output."""

    def __init__(self, exchange: _StreamExchange) -> None:
        self._exchange = exchange

    def dataReceived(self, data: bytes) -> None:
        self._exchange.transport.write(data)

    def readConnectionLost(self) -> None:
        self._exchange.input_ended()

    def writeConnectionLost(self) -> None:
        self._exchange.output_ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._exchange.standard_lost()


def read_datagram() -> bytes:
    """The whole of standard input, as one datagram.

    Raises:
        ValueError: It is too long for one.
    """
    datagram = sys.stdin.buffer.read(LONGEST + 1)
    if len(datagram) > LONGEST:
        raise ValueError(f"standard input is longer than the {LONGEST} octets that a datagram can carry")
    return datagram


async def exchange_datagrams(
    reactor: Any, target: DatagramTarget, shown: str, datagram: bytes, timeout: float, wait: float | None
) -> int:
    """Send one datagram and write its reply, or all replies that come within a time.

    Args:
        reactor: The reactor that is running.
        target: Whom to send it to.
        shown: What the peer is called in an error.
        datagram: What to send.
        timeout: Seconds to wait for the reply.
        wait: Seconds to take replies for; `None` for the first one alone.

    Returns:
        The exit status.

    Raises:
        NetworkProblem: No reply came, or the network would not have it.
    """
    with _problems(shown, timeout if wait is None else wait):
        peer = await Deferred.fromCoroutine(target.connect(reactor)).addTimeout(timeout, reactor)
        replies: list[bytes] = []
        first: Deferred[None] = Deferred()

        def received(reply: bytes) -> None:
            if wait is not None or not replies:
                _write(reply)
            replies.append(reply)
            if len(replies) == 1:
                first.callback(None)

        def refused() -> None:
            if not first.called:
                first.errback(error.ConnectionRefusedError("nothing listens there"))

        peer.received, peer.refused = received, refused
        try:
            peer.send(datagram)
            await first.addTimeout(timeout if wait is None else wait, reactor)
            if wait is not None:
                await deferLater(reactor, wait, lambda: None)
        except MessageLengthError:
            raise ValueError(f"{len(datagram)} octets are too long for a datagram to {shown}") from None
        finally:
            await peer.close()
    return 0


def _write(reply: bytes) -> None:
    sys.stdout.buffer.write(reply)
    sys.stdout.buffer.flush()
