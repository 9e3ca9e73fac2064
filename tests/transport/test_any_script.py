"""Whatever a protocol does with its transport, within a delivery or not: Twisted's own and the fast one do the same.

The rule of this module: both play the same script on a simulated network, and come to rest after each step. What each end
was told, in its order, and all octets that arrived are compared; when within a step is left to the transports.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
)
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
    """What a protocol raises in a delivery."""


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Writes five pieces, as many at once as it may."""

    def __init__(self, protocol: Scripted, *, streaming: bool) -> None:
        self.protocol, self.streaming = protocol, streaming
        self.left, self.paused = 5, False

    def resumeProducing(self) -> None:
        self.protocol.note("resumed")
        self.paused = False
        while self.left and not self.paused:
            self.left -= 1
            self.protocol.transport.write(b"p" * 50_000)
            if not self.streaming:
                break
        if not self.left:
            self.protocol.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self.protocol.note("paused")
        self.paused = True

    def stopProducing(self) -> None:
        self.protocol.note("stopped")
        self.paused, self.left = True, 0


class Scripted(Protocol):
    """One end, which does in its next delivery, or at once, what it is told to."""

    transport: Any

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.octets = b""
        self.next: list[tuple[Any, ...]] = []

    def note(self, what: str) -> None:
        self.notes.append(f"{what} after {len(self.octets)}")

    def dataReceived(self, data: bytes) -> None:
        self.octets += data
        acts, self.next = self.next, []
        for act in acts:
            self.do(*act)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.note(f"lost: {reason.type.__name__}")  # type: ignore[union-attr]

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

    def writeConnectionLost(self) -> None:
        self.note("write lost")


octets = some.sampled_from([b"a", b"b", b"c"])
acts = some.one_of(
    some.tuples(some.just("write"), some.sampled_from(SIZES), octets),
    some.tuples(some.just("write_sequence"), some.lists(some.sampled_from(SIZES), max_size=3), octets),
    some.tuples(some.just("produce"), some.booleans()),
    some.sampled_from(
        [("unregister",), ("pause",), ("resume",), ("finish",), ("lose",), ("abort",), ("fail",)]
    ),
)
steps = some.tuples(some.booleans(), some.booleans(), some.lists(acts, max_size=4))
"""Whether the server acts or the client, whether within a delivery or not, and what it does."""


def play(family: str, kinds: list[type[Scripted]], script: list[Any], network: Network) -> tuple[Any, ...]:
    """What both ends were told, and the octets that arrived."""
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
    for by_server, delivered, doing in script:
        actor, other = (made[0], asking) if by_server else (asking, made[0])
        if delivered:
            actor.next = doing
            other.transport.write(b"?")
        else:
            for act in doing:
                if act[0] != "fail":
                    actor.do(*act)
        network.settle()
    return tuple((end.notes, end.octets) for end in (made[0], asking))


def outcome(fast: bool, family: str, kinds: list[type[Scripted]], script: list[Any]) -> tuple[Any, ...]:
    """What comes of a script."""
    with pytest.MonkeyPatch.context() as patch:
        if fast:
            use_fast_transports(patch.setattr)
        with Network(seed=1, trace=Trace(limit=0)) as network, network.expected_errors(DeliberateError):
            return play(family, kinds, script, network)


kinds_of_ends = some.lists(some.sampled_from([Scripted, HalfCloseable]), min_size=2, max_size=2)


@given(some.sampled_from(["tcp", "unix"]), kinds_of_ends, some.lists(steps, min_size=1, max_size=5))
def test_both_do_the_same(family: str, kinds: list[type[Scripted]], script: list[Any]) -> None:
    assert outcome(True, family, kinds, script) == outcome(False, family, kinds, script)
