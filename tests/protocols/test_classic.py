"""Discard, chargen, daytime, time and quotes on a simulated network, over streams and guarded datagrams."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from tests.peers import DatagramPeer, Peer, connect, datagram_peer
from twistnet import (
    ChargenDatagramProtocol,
    ChargenFactory,
    ChargenProtocol,
    ConnectionConfig,
    DatagramConfig,
    DaytimeDatagramProtocol,
    DaytimeFactory,
    DiscardDatagramProtocol,
    DiscardFactory,
    GuardedDatagramProtocol,
    QuoteDatagramProtocol,
    QuoteFactory,
    TimeDatagramProtocol,
    TimeFactory,
    guard,
)
from twistnet.simulation import CutAt, Host, Network, OneByte, RandomSizes
from twistnet.wire.classic import CHARGEN_CYCLE, daytime, time_since_1900

PORT = 7011
QUOTES = [b"One.\r\n", b"Two.\r\n", b"x" * 510 + b"\r\n"]
ROUGH = {"latency": 0.02, "jitter": 0.01, "loss": 0.05, "slicing": RandomSizes(1, 700)}
LINKS = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (
        ("plain", {}),
        ("rough", ROUGH),
        ("by octets", {"latency": 0.02, "loss": 0.01, "slicing": OneByte()}),
    )
]


def make(name: str, clock: IReactorTime) -> Any:
    """A factory of one of the services."""
    factories: dict[str, Any] = {
        "discard": DiscardFactory,
        "chargen": lambda: ChargenFactory(clock),
        "daytime": lambda: DaytimeFactory(clock),
        "time": lambda: TimeFactory(clock),
        "qotd": lambda: QuoteFactory(QUOTES, clock, Random(1)),
    }
    return factories[name]()


def serve(network: Network, name: str, **allowed: Any) -> Host:
    """A host with one of the services."""
    server = network.host("server")
    server.listenTCP(PORT, guard(make(name, server), ConnectionConfig(**allowed), clock=server))
    return server


def dial(network: Network, name: str, *, reads: bool = True, **allowed: Any) -> Peer:
    """A peer of one of the services."""
    serve(network, name, **allowed)
    return connect(network, network.host("client"), "server", PORT, reads=reads)


def is_expected(name: str, said: bytes, now: float) -> bool:
    """Whether it is what one of the services says at most a few seconds before a time."""
    if name == "qotd":
        return said in QUOTES
    return said in {{"daytime": daytime, "time": time_since_1900}[name](now - ago) for ago in range(5)}


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("name", ["daytime", "time", "qotd"])
@pytest.mark.parametrize("when", [0, 2_085_978_493, 4_294_967_293], ids=["1970", "2036", "2106"])
def test_one_thing_is_said_and_then_the_connection_ends(
    network: Network, link: object, name: str, when: float
) -> None:
    """Whatever the peer sends."""
    network.advance(when)
    peer = dial(network, name)
    peer.say(b"x" * 10_000)
    said = network.run(peer.ended)
    assert is_expected(name, said, network.clock.now)
    peer.transport.loseConnection()
    assert network.run(peer.lost) is ConnectionDone


@pytest.mark.parametrize("name", ["daytime", "time", "qotd"])
def test_what_is_said_is_whole_cut_at_every_place(name: str) -> None:
    for cut in range(1, 48):
        with Network(link={"slicing": CutAt((cut,))}) as network:
            peer = dial(network, name)
            assert is_expected(name, network.run(peer.ended), network.clock.now)


def test_every_quote_comes_up(network: Network) -> None:
    serve(network, "qotd")
    client = network.host("client")
    heard = {network.run(connect(network, client, "server", PORT).ended) for _ in range(50)}
    assert heard == set(QUOTES)


@pytest.mark.parametrize("link", LINKS)
def test_discard_says_nothing_and_ends_when_the_peer_does(network: Network, link: object) -> None:
    peer = dial(network, "discard")
    for _ in range(3):
        peer.say(b"x" * 1000)
        network.advance(60)
    assert not peer.ended.called
    peer.transport.loseWriteConnection()
    assert network.run(peer.ended) == b""
    peer.transport.loseConnection()
    assert network.run(peer.lost) is ConnectionDone


# Chargen

NARROW = {"latency": 0.01, "rate": 50_000.0}
"""A link that takes its time: over any other, chargen would have much to say in a second."""


def is_pattern(data: bytes) -> bool:
    """Whether it is the beginning of what chargen says."""
    return (CHARGEN_CYCLE * (len(data) // len(CHARGEN_CYCLE) + 1)).startswith(data)


@pytest.mark.parametrize(
    "slicing",
    [
        pytest.param(s, marks=pytest.mark.network(link={**NARROW, "slicing": s}))
        for s in (None, RandomSizes(1, 99), OneByte())
    ],
    ids=str,
)
@pytest.mark.parametrize("allowed", [{}, {"rate": 20_000}], ids=str)
def test_chargen_goes_on_for_as_long_as_the_peer_reads(
    network: Network, slicing: object, allowed: dict[str, Any]
) -> None:
    """Though it has sent all that it will; and after a pause of the peer's where it was before."""
    peer = dial(network, "chargen", **allowed)
    peer.say(b"ignored", finish=True)
    for _ in range(3):
        before = len(peer.received)
        network.advance(0.5)
        assert len(peer.received) > before
        peer.transport.pauseProducing()
        network.advance(5)
        peer.transport.resumeProducing()
    assert is_pattern(peer.received)
    assert not peer.ended.called


@pytest.mark.network(link=NARROW)
def test_chargen_buffers_little_for_a_peer_that_does_not_read(network: Network) -> None:
    server = serve(network, "chargen")
    peer = connect(network, network.host("client"), "server", PORT, reads=False)
    other = connect(network, network.host("other"), "server", PORT, reads=False)
    network.advance(60)
    transports: list[Any] = [reader for reader in server.getReaders() if "Server" in type(reader).__name__]
    assert len(transports) == 2
    for transport in transports:
        assert len(transport.dataBuffer) + transport._tempDataLen < 200_000
    assert server.getDelayedCalls() == []
    other.read()
    network.advance(0.5)
    assert len(other.received) > len(peer.received) == 0


@pytest.mark.network(link=NARROW)
@pytest.mark.parametrize("leave", ["loseConnection", "abortConnection"])
@pytest.mark.parametrize("reads", [True, False])
def test_a_peer_that_leaves_chargen_leaves_nothing_behind(network: Network, leave: str, reads: bool) -> None:
    server = serve(network, "chargen")
    peer = connect(network, network.host("client"), "server", PORT, reads=reads)
    network.advance(0.05)
    getattr(peer.transport, leave)()
    network.advance(600)
    assert [type(reader).__name__ for reader in server.getReaders()] == ["TcpPort"]
    assert server.getDelayedCalls() == []


@pytest.mark.network(link=NARROW)
@pytest.mark.parametrize("how", ["lifetime", "loseConnection", "loseWriteConnection"])
@pytest.mark.parametrize("reads", [True, False])
def test_chargen_ends_when_it_is_told_to(network: Network, how: str, reads: bool) -> None:
    """By a policy or by a service that drains: once the peer has read what is unsent, or in the end in any case."""
    allowed = {"lifetime": 1.0 if how == "lifetime" else 20.0, "graceful_timeout": 5.0}
    server = serve(network, "chargen", **allowed)
    peer = connect(network, network.host("client"), "server", PORT, reads=reads)
    network.advance(0.5)
    (transport,) = {
        one for one in server.getReaders() + server.getWriters() if "Server" in type(one).__name__
    }
    if how != "lifetime":
        getattr(transport, how)()
    network.advance(5 if reads and how == "loseConnection" else 30)
    assert [type(reader).__name__ for reader in server.getReaders()] == ["TcpPort"]
    assert server.getWriters() == server.getDelayedCalls() == []
    if not reads:
        peer.read()
        network.advance(5)
    assert is_pattern(peer.received)


# Datagrams


def ask(network: Network, protocol: DatagramProtocol, questions: int, **allowed: Any) -> DatagramPeer:
    """A peer that has sent so many datagrams, one every 10 ms, to a guarded port."""
    server = network.hosts.get("server") or network.host("server")
    guarded = GuardedDatagramProtocol(protocol, DatagramConfig(**allowed), server)
    server.listenUDP(PORT, guarded, maxPacketSize=65536)
    peer = datagram_peer(network.host("client"), server, PORT)
    for number in range(questions):
        peer.transport.write(b"%d" % number * (number % 3))
        network.advance(0.01)
    network.settle()
    return peer


def test_the_time_and_the_daytime_over_datagrams(network: Network) -> None:
    network.advance(2_085_978_490)  # 2036 is when the time begins at 0 again
    server = network.host("server")
    peer = ask(network, TimeDatagramProtocol(server), 10)
    assert set(peer.received) <= {time_since_1900(2_085_978_490 + n) for n in range(3)}
    assert len(peer.received) == 10


def test_the_daytime_over_datagrams(network: Network) -> None:
    peer = ask(network, DaytimeDatagramProtocol(network.host("server")), 10)
    assert peer.received == [b"Thursday, January 1, 1970 00:00:00-UTC\r\n"] * 10


def test_discard_answers_no_datagram(network: Network) -> None:
    assert ask(network, DiscardDatagramProtocol(), 10).received == []


def test_chargen_answers_a_datagram_with_a_line_of_any_length(network: Network) -> None:
    received = ask(network, ChargenDatagramProtocol(Random(1)), 200).received
    assert len(received) == 200
    assert len({len(line) for line in received}) > 100
    assert max(map(len, received)) <= 512
    assert all(line.endswith(b"\r\n") for line in received if len(line) > 1)


def test_quotes_over_datagrams(network: Network) -> None:
    assert set(ask(network, QuoteDatagramProtocol(QUOTES, Random(1)), 30).received) == set(QUOTES)


def test_the_guard_counts_what_is_longer_than_the_question(network: Network) -> None:
    """So a source is soon answered no more."""
    peer = ask(network, QuoteDatagramProtocol(QUOTES[2:]), 20, packet_rate=10, packet_burst=20)
    assert 0 < len(peer.received) < 3


def test_no_quotes_are_an_error_at_once(network: Network) -> None:
    for refused in (
        lambda: QuoteFactory([], network.host("server")),
        lambda: QuoteDatagramProtocol([]),
    ):
        with pytest.raises(ValueError, match="no quotes"):
            refused()


def test_chargen_gives_others_their_turn_where_the_transport_never_has_enough() -> None:
    """And stops between turns as well."""
    clock, transport = Clock(), StringTransport()
    protocol = ChargenProtocol(clock)
    protocol.makeConnection(transport)
    written = len(transport.value())
    assert 0 < written <= 16 * len(CHARGEN_CYCLE)
    (turn,) = clock.getDelayedCalls()
    assert turn.getTime() == clock.seconds()
    protocol.pauseProducing()
    assert clock.getDelayedCalls() == []
    protocol.resumeProducing()
    protocol.resumeProducing()
    assert len(transport.value()) == 2 * written
    assert len(clock.getDelayedCalls()) == 1
    protocol.connectionLost()
    assert clock.getDelayedCalls() == []
