"""A client endpoint that sends the header of the PROXY protocol, on a simulated network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    connectProtocol,
)
from twisted.internet.error import (
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionRefusedError,
    NoProtocol,
)
from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    ILoggingContext,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Connection
from zope.interface import implementer
from zope.interface.verify import verifyObject

from tests.peers import Peer
from twistnet import ProxiedClientEndpoint, ProxyHeader, ProxyHeaderReader
from twistnet.simulation import Network

PORT = 7007
PATH = "/run/x.sock"
CLIENT = ("192.0.2.7", 40000)
SITE = ("192.0.2.1", 80)
CLIENT6 = ("2001:db8::7", 40000)


@pytest.fixture
def accepted(network: Network) -> list[Peer]:
    """The connections that a server has accepted, which keep what they receive; they say nothing by themselves."""
    peers: list[Peer] = []

    class Accepting(Factory):
        def buildProtocol(self, addr: Any) -> Peer:
            peers.append(Peer())
            return peers[-1]

    server = network.host("server")
    for interface in server.addresses:
        server.listenTCP(PORT, Accepting(), interface=interface)
    server.listenUNIX(PATH, Accepting())
    return peers


def to(network: Network, kind: str = "tcp") -> Any:
    """An endpoint of the client's, or of the server's for its path."""
    if kind == "unix":
        return UNIXClientEndpoint(network.hosts["server"], PATH)
    client = network.host("client")
    if kind == "tcp6":
        return TCP6ClientEndpoint(client, network.hosts["server"].addresses[1], PORT)
    return HostnameEndpoint(client, "server", PORT)


class Greeter(Peer):
    """Speaks at once."""

    def connectionMade(self) -> None:
        self.say(b"hello")


def greet(network: Network, endpoint: Any, accepted: list[Peer]) -> tuple[ProxyHeader, bytes, Greeter]:
    """What a server hears first, the header taken off, and the protocol that has spoken."""
    greeter: Greeter = network.run(connectProtocol(endpoint, Greeter()))
    network.settle()
    (peer,) = accepted
    found = ProxyHeaderReader("auto").feed(peer.received)
    assert found
    return *found, greeter


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("kind", ["tcp", "tcp6"])
def test_the_header_comes_first_and_says_where_the_connection_is_from_and_goes_to(
    network: Network, accepted: list[Peer], kind: str, version: str
) -> None:
    header, rest, greeter = greet(network, ProxiedClientEndpoint(to(network, kind), version), accepted)
    host, peer = greeter.transport.getHost(), greeter.transport.getPeer()
    assert header == ProxyHeader(
        version=int(version[1]), source=(host.host, host.port), destination=(peer.host, peer.port)
    )
    assert rest == b"hello"
    assert accepted[0].pieces == 1, "in one segment with what is said at once"


SAID: list[tuple[str, dict[str, Any], ProxyHeader]] = [
    ("tcp", {"source": CLIENT, "destination": SITE}, ProxyHeader(version=2, source=CLIENT, destination=SITE)),
    (
        "tcp",
        {"version": "v1", "source": CLIENT, "destination": SITE},
        ProxyHeader(version=1, source=CLIENT, destination=SITE),
    ),
    (
        "tcp",
        {"source": CLIENT, "destination": CLIENT6},
        ProxyHeader(version=2, source=("::ffff:192.0.2.7", 40000), destination=CLIENT6),
    ),
    ("unix", {}, ProxyHeader(version=2, local=True)),
    ("unix", {"version": "v1"}, ProxyHeader(version=1)),
    (
        "unix",
        {"source": CLIENT, "destination": SITE},
        ProxyHeader(version=2, source=CLIENT, destination=SITE),
    ),
    ("unix", {"source": CLIENT}, ProxyHeader(version=2, source=CLIENT, destination=("0.0.0.0", 0))),
    (
        "unix",
        {"destination": CLIENT6, "version": "v1"},
        ProxyHeader(version=1, source=("::", 0), destination=CLIENT6),
    ),
    ("tcp", {"source": "/run/a.sock"}, ProxyHeader(version=2, source="/run/a.sock", destination="")),
    (
        "unix",
        {"source": "\0a", "destination": "/b", "tlvs": ((1, b"h2"),)},
        ProxyHeader(version=2, source="\0a", destination="/b", tlvs=((1, b"h2"),)),
    ),
]


@pytest.mark.parametrize(("kind", "says", "header"), SAID)
def test_the_header_says_what_it_is_told_to(
    network: Network, accepted: list[Peer], kind: str, says: dict[str, Any], header: ProxyHeader
) -> None:
    assert greet(network, ProxiedClientEndpoint(to(network, kind), **says), accepted)[:2] == (
        header,
        b"hello",
    )


def test_an_address_alone_goes_with_the_connections_own(network: Network, accepted: list[Peer]) -> None:
    """IPv4 is written as mapped into IPv6 where the connection's own address is of IPv6."""
    header, _, greeter = greet(network, ProxiedClientEndpoint(to(network, "tcp6"), source=CLIENT), accepted)
    peer = greeter.transport.getPeer()
    assert header.source == ("::ffff:192.0.2.7", 40000)
    assert header.destination == (peer.host, peer.port)


def test_a_checksum_can_be_asked_for(network: Network, accepted: list[Peer]) -> None:
    endpoint = ProxiedClientEndpoint(to(network), source=CLIENT, destination=SITE, tlvs=((3, bytes(4)),))
    header = greet(network, endpoint, accepted)[0]
    assert evolve(header, tlvs=()) == ProxyHeader(version=2, source=CLIENT, destination=SITE)
    assert [type_ for type_, _ in header.tlvs] == [3]
    assert header.tlvs[0][1] != bytes(4)


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({"version": "v3"}, "the version, 'v3', is none of v1, v2"),
    ({"version": "v1", "tlvs": ((1, b""),)}, "need version 2"),
    ({"version": "v1", "source": "/run/a.sock"}, "need version 2"),
    ({"source": "/run/a.sock", "destination": SITE}, "not addresses of one kind"),
    ({"source": ("example", 80)}, "'example' does not appear to be an IPv4 or IPv6 address"),
    ({"source": ("192.0.2.7", 65536)}, "65536 is no port"),
    ({"tlvs": ((1, bytes(65500)),)}, "too long for a header"),
]


@pytest.mark.parametrize(("says", "problem"), IMPOSSIBLE)
def test_what_no_header_can_say_is_told_before_anything_connects(says: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ProxiedClientEndpoint(None, **says)


def test_the_protocol_has_the_transport_to_itself(network: Network, accepted: list[Peer]) -> None:
    """What it is given is the transport itself; what comes back comes to it, and the end of it, half by half."""
    _, _, greeter = greet(network, ProxiedClientEndpoint(to(network)), accepted)
    assert isinstance(greeter.transport, Connection)
    (peer,) = accepted
    peer.say(b"welcome", finish=True)
    assert network.run(greeter.ended) == b"welcome"
    greeter.say(b", and goodbye", finish=True)
    assert network.run(peer.ended).endswith(b"hello, and goodbye")
    greeter.transport.loseConnection()
    assert network.run(greeter.lost) is ConnectionDone


def test_a_protocol_that_does_not_close_by_halves_is_closed(network: Network, accepted: list[Peer]) -> None:
    lost: Deferred[None] = Deferred()

    class Plain(Protocol):
        def connectionLost(self, reason: Any = None) -> None:
            lost.callback(None)

    network.run(connectProtocol(ProxiedClientEndpoint(to(network)), Plain()))
    network.settle()
    accepted[0].transport.loseWriteConnection()
    network.run(lost)


def test_a_peer_that_does_not_read_pauses_the_protocol(network: Network, accepted: list[Peer]) -> None:
    paused: list[bool] = []

    class Producer(Protocol):
        transport: Any

        def connectionMade(self) -> None:
            self.transport.registerProducer(self, True)
            self.transport.write(b"x" * 10_000_000)

        def pauseProducing(self) -> None:
            paused.append(True)

        def resumeProducing(self) -> None:
            paused.append(False)

        def stopProducing(self) -> None:
            raise AssertionError("it is not lost")

    producer = network.run(connectProtocol(ProxiedClientEndpoint(to(network)), Producer()))
    assert paused == [True]
    network.settle()
    assert paused[-1] is False
    assert len(accepted[0].received) == 10_000_000 + 28
    producer.transport.unregisterProducer()


@implementer(IFileDescriptorReceiver)
class Receiver(Peer):
    """Is handed a descriptor, and reads it."""

    def connectionMade(self) -> None:
        self.descriptors: Deferred[bytes] = Deferred()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as file:
            self.descriptors.callback(file.read())


@pytest.fixture
def pipe() -> Iterator[int]:
    """The end of a pipe from which six octets can be read."""
    reading, writing = os.pipe()
    os.write(writing, b"opened")
    os.close(writing)
    yield reading
    os.close(reading)


def test_a_descriptor_comes_to_a_protocol_that_takes_them(
    network: Network, accepted: list[Peer], pipe: int
) -> None:
    receiver = network.run(connectProtocol(ProxiedClientEndpoint(to(network, "unix")), Receiver()))
    network.settle()
    accepted[0].transport.sendFileDescriptor(pipe)
    accepted[0].say(b"there")
    assert network.run(receiver.descriptors) == b"opened"


@implementer(ILoggingContext)
class Named(Protocol):
    def logPrefix(self) -> str:
        return "greeter"


@pytest.mark.parametrize(("protocol", "prefix"), [(Named, "greeter,client"), (Greeter, "Greeter,client")])
def test_the_log_names_the_protocol(
    network: Network, accepted: list[Peer], protocol: type[Protocol], prefix: str
) -> None:
    made: Any = network.run(connectProtocol(ProxiedClientEndpoint(to(network)), protocol()))
    assert made.transport.logPrefix() == prefix


class Counting(Factory):
    """Counts how often it is started and stopped, and builds what it is told to."""

    def __init__(self, build: Any = Greeter) -> None:
        self.build = build
        self.calls: list[str] = []

    def doStart(self) -> None:
        self.calls.append("start")

    def doStop(self) -> None:
        self.calls.append("stop")

    def buildProtocol(self, addr: Any) -> Any:
        self.calls.append("build")
        return self.build()


def test_the_factory_is_told_what_any_factory_is(network: Network, accepted: list[Peer]) -> None:
    factory = Counting()
    endpoint = ProxiedClientEndpoint(to(network))
    greeter = network.run(endpoint.connect(factory))
    assert isinstance(greeter, Greeter)
    assert factory.calls == ["start", "build"]
    greeter.transport.loseConnection()
    network.run(greeter.lost)
    assert factory.calls == ["start", "build", "stop"]
    network.run(endpoint.connect(factory))
    network.settle()
    assert [peer.received[-5:] for peer in accepted] == [b"hello"] * 2, "each connection has its header"
    assert all(ProxyHeaderReader("v2").feed(peer.received) for peer in accepted)


def nothing() -> None:
    """No protocol."""


def broken() -> None:
    """A bug."""
    raise ZeroDivisionError


@pytest.mark.parametrize(("build", "error"), [(nothing, NoProtocol), (broken, ZeroDivisionError)])
def test_a_factory_that_builds_nothing_sends_nothing(
    network: Network, accepted: list[Peer], build: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        network.run(ProxiedClientEndpoint(to(network)).connect(Counting(build)))
    network.settle()
    assert accepted
    assert not any(peer.received for peer in accepted)


def test_what_does_not_connect_fails_as_it_would(network: Network, accepted: list[Peer]) -> None:
    endpoint = ProxiedClientEndpoint(HostnameEndpoint(network.host("client"), "server", PORT + 1))
    with pytest.raises(ConnectionRefusedError):
        network.run(endpoint.connect(Counting()))


def test_an_attempt_can_be_cancelled(network: Network, accepted: list[Peer]) -> None:
    attempt = ProxiedClientEndpoint(to(network, "tcp6")).connect(Counting())
    attempt.cancel()
    with pytest.raises(ConnectingCancelledError):
        network.run(attempt)
    network.settle()
    assert b"hello" not in b"".join(peer.received for peer in accepted)


def test_it_is_an_endpoint() -> None:
    assert verifyObject(IStreamClientEndpoint, ProxiedClientEndpoint(None))
