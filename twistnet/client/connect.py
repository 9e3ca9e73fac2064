"""Attempts to reach a peer, and what came of each.

The rule of this module: an attempt is over, and its socket closed, before the next begins; and what is wrong with one is
news like another, not the end of the command.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click
from attrs import asdict, define, field, frozen
from twisted.internet import defer, error
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHandshakeListener, ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

from ..addresses import show_address
from ..endpoints.datagram_client import DatagramTarget
from ..units import one_line
from .outcome import NetworkProblem, network_problems
from .targets import stream_target

__all__ = ["Attempts", "try_to_connect"]

_FAREWELL = 1.0
"""Seconds that a peer may take to say farewell, over TLS."""


@frozen
class Answer:
    """What came of one attempt.

    Attributes:
        attempt: Its number, from 1.
        word: `OK`, or the word for the problem.
        errno: The kernel's number, 0 for `OK`; `None` where it has none.
        name: The name of that number.
        seconds: How long it took.
        text: Who answered, or what is wrong.
    """

    attempt: int
    word: str
    errno: int | None
    name: str | None
    seconds: float
    text: str

    def __str__(self) -> str:
        words = [self.word, "" if self.errno is None else str(self.errno), self.name or ""]
        return f"{' '.join(filter(None, words))} in {_milliseconds(self.seconds)}: {one_line(self.text)}"


@define(eq=False, kw_only=True)
class Attempts:
    """What is asked for, and what has come of it so far.

    Attributes:
        count: How many attempts; `None` for no end of them.
        every: Seconds from the beginning of one to the next.
        timeout: Seconds that one may take.
        as_json: Whether they are told in JSON.
    """

    count: int | None
    every: float
    timeout: float
    as_json: bool
    made: int = 0
    times: list[float] = field(factory=list)

    def tell(self, answer: Answer) -> None:
        """Note what came of one, and say so."""
        self.made += 1
        if answer.word == "OK":
            self.times.append(answer.seconds)
        click.echo(json.dumps(asdict(answer)) if self.as_json else str(answer))

    def sum_up(self) -> None:
        """Say what came of all of them, on standard error, if there was to be more than one."""
        if self.count == 1 or not self.made:
            return
        line = f"{len(self.times)} of {self.made} answered"
        if self.times:
            figures = {
                "least": min(self.times),
                "mean": sum(self.times) / len(self.times),
                "most": max(self.times),
            }
            line += f"; {', '.join(f'{name} {_milliseconds(time)}' for name, time in figures.items())}"
        click.echo(line, err=True)


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.3f} s"


async def try_to_connect(
    reactor: Any, target: Sequence[str], peer: DatagramTarget | None, attempts: Attempts
) -> int:
    """Make the attempts, and tell what comes of each.

    Args:
        reactor: The reactor that is running.
        target: An endpoint string, or a host and a port.
        peer: The same, if it is for datagrams.
        attempts: What is asked for.

    Returns:
        The exit status: 0 if all were answered.

    Raises:
        ValueError: The target is none.
    """
    while True:
        begun = reactor.seconds()
        attempts.tell(await _attempt(reactor, target, peer, attempts))
        if attempts.made == attempts.count:
            return 0 if len(attempts.times) == attempts.made else 1
        await deferLater(reactor, max(0.0, begun + attempts.every - reactor.seconds()))


async def _attempt(
    reactor: Any, target: Sequence[str], peer: DatagramTarget | None, attempts: Attempts
) -> Answer:
    endpoint: Any = stream_target(reactor, target) if peer is None else None
    number, begun = attempts.made + 1, reactor.seconds()

    def answer(word: str, code: int | None, text: str) -> Answer:
        name = errno.errorcode.get(code) if code else None
        return Answer(number, word, code, name, reactor.seconds() - begun, text)

    try:
        with network_problems(" ".join(target), attempts.timeout):
            if peer is not None:
                return answer("OK", 0, await _ask(reactor, peer, target, attempts.timeout))
            stream = _Stream()
            connecting = endpoint.connect(Factory.forProtocol(lambda: stream))
            try:
                await connecting.addTimeout(attempts.timeout, reactor)
                left = max(0.0, begun + attempts.timeout - reactor.seconds())
                await stream.ready.addTimeout(left, reactor)
                return answer("OK", 0, show_address(stream.transport.getPeer()))
            finally:
                await stream.close(reactor)
    except NetworkProblem as problem:
        return answer(problem.word, problem.number, problem.rest)


async def _ask(reactor: Any, target: DatagramTarget, words: Sequence[str], timeout: float) -> str:
    """Send an empty datagram and wait for any reply; who it came from."""
    peer = await Deferred.fromCoroutine(target.connect(reactor)).addTimeout(timeout, reactor)
    replied: Deferred[None] = Deferred()

    def received(_datagram: bytes) -> None:
        if not replied.called:
            replied.callback(None)

    def refused() -> None:
        if not replied.called:
            replied.errback(error.ConnectionRefusedError("nothing listens there"))

    peer.received, peer.refused = received, refused
    try:
        peer.send(b"")
        await replied.addTimeout(timeout, reactor)
    finally:
        await peer.close()
    return " ".join(words)


@implementer(IHandshakeListener)
class _Stream(Protocol):
    """A connection that is made to be closed.

    Attributes:
        ready: Fires once the peer has answered: with TLS, once hands are shaken.
    """

    transport: Any = None

    def __init__(self) -> None:
        self.ready: Deferred[None] = Deferred()
        self._answered = False
        self._lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        if not ISSLTransport.providedBy(self.transport):
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        """TLS is ready, or there is none."""
        if not self.ready.called:
            self._answered = True
            self.ready.callback(None)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost.callback(None)
        if not self.ready.called:
            gone = reason.check(error.ConnectionDone)
            self.ready.errback(
                Failure(error.ConnectionLost("closed before TLS was ready")) if gone else reason
            )

    async def close(self, reactor: Any) -> None:
        """Close it, if it was made, and wait until it is gone."""
        if self.transport is None:
            return
        (self.transport.loseConnection if self._answered else self.transport.abortConnection)()
        with suppress(defer.TimeoutError):
            await self._lost.addTimeout(_FAREWELL, reactor)
            return
        self.transport.abortConnection()
