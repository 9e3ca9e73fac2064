"""Whatever a protocol does with its transport, and whenever: Twisted's own and the fast one do the same.

The rule of this module: both play the same script on a simulated network, and come to rest after each step. What each end
was told of its connection, and what had arrived at rest, are compared. When within a step something leaves is for the
transports to say, and so what else follows from that: how often a producer is paused, and what becomes of an end that
crosses with data. The scripts are the same in every run.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as some
from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
)
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.transport.simulated_transports import use_fast_transports
from twistnet.simulation import KernelConfig, Network, Trace

SMALL = KernelConfig(send_buffer=40_000, receive_buffer=20_000)
SIZES = (0, 1, 10, 70_000, 200_000)
"""Of what is written: nothing, little, more than a transport buffers, more than it sends at once."""


class DeliberateError(Exception):
    """What a protocol raises when it is told something."""


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Writes five pieces, as many at once as it may."""

    def __init__(self, protocol: Scripted, *, streaming: bool) -> None:
        self.protocol, self.streaming = protocol, streaming
        self.left, self.paused = 5, False

    def resumeProducing(self) -> None:
        self.paused = False
        self.protocol.act()
        while self.left and not self.paused:
            self.left -= 1
            self.protocol.transport.write(b"p" * 50_000)
            if not self.streaming:
                break
        if not self.left:
            self.protocol.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self.paused = True

    def stopProducing(self) -> None:
        self.paused, self.left = True, 0


class Scripted(Protocol):
    """One end, which does what it is told to, at once or when its transport next tells it something."""

    transport: Any

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.octets = b""
        self.is_lost = False
        self.next: list[tuple[Any, ...]] = []

    def note(self, what: str) -> None:
        self.notes.append(what)

    def dataReceived(self, data: bytes) -> None:
        self.octets += data
        self.act()

    def act(self, acts: list[tuple[Any, ...]] | None = None) -> None:
        """Do something, or else what is to be done when it is told anything."""
        if acts is None:
            acts, self.next = self.next, []
        for act in acts:
            self.do(*act)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.is_lost = True
        crossed = reason.check(ConnectionDone, ConnectionLost)
        self.note("lost" if crossed else f"lost: {reason.type.__name__}")  # type: ignore[union-attr]
        self.act()

    def do(self, act: str, *arguments: Any) -> None:
        try:
            getattr(self, act)(*arguments)
        except (RuntimeError, ValueError) as error:
            self.note(str(type(error).__name__))

    def write(self, size: int, octet: bytes) -> None:
        self.transport.write(octet * size)

    def write_sequence(self, sizes: list[int], octet: bytes) -> None:
        self.transport.writeSequence([octet * size for size in sizes])

    def produce(self, streaming: bool) -> None:
        producer = Producer(self, streaming=streaming)
        self.transport.registerProducer(producer, streaming)
        if streaming and not producer.paused:
            producer.resumeProducing()

    def unregister(self) -> None:
        self.transport.unregisterProducer()

    def pause(self) -> None:
        self.transport.pauseProducing()

    def resume(self) -> None:
        self.transport.resumeProducing()

    def finish(self) -> None:
        self.transport.loseWriteConnection()

    def lose(self) -> None:
        self.transport.loseConnection()

    def abort(self) -> None:
        self.transport.abortConnection()

    def fail(self) -> None:
        raise DeliberateError


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Scripted):
    """The same, and is told of each direction's end."""

    def readConnectionLost(self) -> None:
        self.note("read lost")
        self.act()

    def writeConnectionLost(self) -> None:
        self.note("write lost")
        self.act()


octets = some.sampled_from([b"a", b"b", b"c"])
acts = some.one_of(
    some.tuples(some.just("write"), some.sampled_from(SIZES), octets),
    some.tuples(some.just("write_sequence"), some.lists(some.sampled_from(SIZES), max_size=3), octets),
    some.tuples(some.just("produce"), some.booleans()),
    some.sampled_from(
        [("unregister",), ("pause",), ("resume",), ("finish",), ("lose",), ("abort",), ("fail",)]
    ),
)
WHEN = ("at once", "in a delivery", "when it is next told anything")
steps = some.tuples(some.booleans(), some.sampled_from(WHEN), some.lists(acts, max_size=4))
"""Whether the server acts or the client, when, and what it does."""


@frozen
class Outcome:
    """What has come of a script.

    Attributes:
        notes: What each end was told.
        octets: What had arrived at each end after each step in which neither was lost; what is under way then may be lost.
        all_octets: What arrived at each end in all.
    """

    notes: list[list[str]]
    octets: list[tuple[bytes, bytes]]
    all_octets: tuple[bytes, bytes]


def play(family: str, kinds: list[type[Scripted]], script: list[Any], network: Network) -> Outcome:
    """Play a script on hosts with little room for what is under way."""
    made: list[Scripted] = []

    def make() -> Scripted:
        made.append(kinds[0]())
        return made[-1]

    server = network.host("server", config=SMALL)
    factory = Factory.forProtocol(make)
    if family == "unix":
        network.run(UNIXServerEndpoint(server, "/socket").listen(factory))
        endpoint: Any = UNIXClientEndpoint(server, "/socket")
    else:
        server.listenTCP(7, factory)
        endpoint = HostnameEndpoint(network.host("client", config=SMALL), "server", 7)
    asking: Any = network.run(connectProtocol(endpoint, kinds[1]()))
    network.settle()
    octets: list[tuple[bytes, bytes]] = []
    for by_server, when, doing in script:
        actor, other = (made[0], asking) if by_server else (asking, made[0])
        if when == "at once":
            with suppress(DeliberateError):
                actor.act(doing)
        else:
            actor.next = doing
        if when == "in a delivery":
            other.transport.write(b"?")
        network.settle()
        if not (made[0].is_lost or asking.is_lost):
            octets.append((made[0].octets, asking.octets))
    return Outcome([made[0].notes, asking.notes], octets, (made[0].octets, asking.octets))


def outcome(fast: bool, family: str, kinds: list[type[Scripted]], script: list[Any]) -> Outcome:
    """What comes of a script on one kind of transport."""
    with pytest.MonkeyPatch.context() as patch:
        if fast:
            use_fast_transports(patch.setattr)
        with Network(seed=1, trace=Trace(limit=0)) as network, network.expected_errors(DeliberateError):
            return play(family, kinds, script, network)


kinds_of_ends = some.lists(some.sampled_from([Scripted, HalfCloseable]), min_size=2, max_size=2)


@settings(derandomize=True, max_examples=100)
@given(some.sampled_from(["tcp", "unix"]), kinds_of_ends, some.lists(steps, min_size=1, max_size=5))
def test_both_do_the_same(family: str, kinds: list[type[Scripted]], script: list[Any]) -> None:
    fast, stock = outcome(True, family, kinds, script), outcome(False, family, kinds, script)
    assert fast.notes == stock.notes
    assert fast.octets == stock.octets
    for ours, theirs in zip(fast.all_octets, stock.all_octets, strict=True):
        assert ours.startswith(theirs) or theirs.startswith(ours)
