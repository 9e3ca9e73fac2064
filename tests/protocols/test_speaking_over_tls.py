"""Protocols that speak first, and framed ones, over TLS: nothing is lost to the farewell, nor to a slow handshake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS

from tests.simulation.other_code.certificates import certificate, trust_root
from twistnet import (
    ChargenFactory,
    ConnectionConfig,
    DiscardFactory,
    FramedProtocol,
    GreetingFactory,
    LengthFramer,
    guard,
)
from twistnet.simulation import Fixed, Host, Network
from twistnet.wire.classic import CHARGEN_CYCLE

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""

PORT = 443
LONG = "Grüße! " * 20_000
LINKS = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (
        ("plain", {}),
        ("in pieces", {"latency": 0.01, "slicing": Fixed(5), "rate": 100_000.0}),
        ("far away", {"latency": 1.5}),
    )
]
GUARDED = pytest.mark.parametrize("allowed", [{}, {"idle_timeout": 600, "high_water_mark": 30_000}], ids=str)


class Ear(Protocol):
    """Keeps what it hears; perhaps it says something first."""

    transport: Any

    def __init__(self, says: bytes) -> None:
        self.says = says
        self.heard = b""
        self.over: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(self.says)

    def dataReceived(self, data: bytes) -> None:
        self.heard += data

    def connectionLost(self, reason: object = None) -> None:
        self.over.callback(self.heard)


def dial(
    network: Network, make: Callable[[Host], Any], allowed: dict[str, Any], says: bytes = b""
) -> tuple[Host, Ear]:
    """A server, and an ear that is connected to it, though perhaps not yet over TLS."""
    server = network.host("server")
    factory = guard(make(server), ConnectionConfig(**allowed), clock=server)
    server.listenSSL(PORT, factory, certificate("server").options())
    endpoint = wrapClientTLS(
        optionsForClientTLS("server", trustRoot=trust_root()),
        HostnameEndpoint(network.host("client"), "server", PORT),
    )
    ear: Ear = network.run(connectProtocol(endpoint, Ear(says)))
    return server, ear


def is_rid_of_it(network: Network, server: Host) -> bool:
    """Whether nothing of a connection is left at a server."""
    network.advance(30)
    return len(server.getReaders()) == 1 and server.getDelayedCalls() == []


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("text", ["hello\n", LONG[:9000]], ids=["short", "long"])
@GUARDED
def test_a_greeting_is_whole(network: Network, link: object, text: str, allowed: dict[str, Any]) -> None:
    server, ear = dial(network, lambda clock: GreetingFactory(text, clock), allowed)
    assert network.run(ear.over).decode() == text
    assert is_rid_of_it(network, server)


@GUARDED
def test_a_greeting_is_whole_though_the_peer_speaks_too(network: Network, allowed: dict[str, Any]) -> None:
    server, ear = dial(network, lambda clock: GreetingFactory(LONG, clock), allowed, b"me first! " * 5000)
    assert network.run(ear.over).decode() == LONG
    assert is_rid_of_it(network, server)


@GUARDED
def test_staying_ends_with_the_peer(network: Network, allowed: dict[str, Any]) -> None:
    server, ear = dial(
        network, lambda clock: GreetingFactory("hello\n", clock, stay=True), allowed, b"x" * 9000
    )
    network.advance(60)
    assert (ear.heard, ear.over.called) == (b"hello\n", False)
    ear.transport.loseConnection()
    assert network.run(ear.over) == b"hello\n"
    assert is_rid_of_it(network, server)


def test_discarding_ends_with_the_peer(network: Network) -> None:
    server, ear = dial(network, lambda _: DiscardFactory(), {}, b"x" * 9000)
    network.advance(60)
    ear.transport.loseConnection()
    assert network.run(ear.over) == b""
    assert is_rid_of_it(network, server)


@pytest.mark.network(link={"latency": 0.01, "rate": 100_000.0})
@GUARDED
def test_chargen_goes_on_while_it_is_read(network: Network, allowed: dict[str, Any]) -> None:
    server, ear = dial(network, ChargenFactory, allowed)
    network.advance(2)
    before = len(ear.heard)
    assert before > 100_000
    ear.transport.pauseProducing()
    network.advance(10)
    ear.transport.resumeProducing()
    network.advance(2)
    assert len(ear.heard) > before + 100_000
    assert (CHARGEN_CYCLE * (len(ear.heard) // len(CHARGEN_CYCLE) + 1)).startswith(ear.heard)
    ear.transport.abortConnection()
    assert is_rid_of_it(network, server)


class Answering(FramedProtocol):
    """Sends each frame back."""

    def frameReceived(self, frame: bytes) -> None:
        self.sendFrame(frame)
        if frame == b"bye":
            self.close()


@pytest.mark.parametrize("link", LINKS[:2])
@pytest.mark.parametrize("end", [b"\x00\x03bye\x00\x01?", b"\xff\xff\xff"], ids=["close", "fault"])
@GUARDED
def test_frames_are_answered_up_to_the_end(
    network: Network, link: object, end: bytes, allowed: dict[str, Any]
) -> None:
    def make(clock: Host) -> Any:
        return Factory.forProtocol(lambda: Answering(LengthFramer(2, 3000), clock))

    frames = LengthFramer(2).encode(b"x" * 3000) * 3 + LengthFramer(2).encode(b"last")
    server, ear = dial(network, make, allowed, frames + end + b"more" * 100)
    assert network.run(ear.over) == frames + (b"\x00\x03bye" if b"bye" in end else b"")
    assert is_rid_of_it(network, server)
