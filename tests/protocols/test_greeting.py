"""Greetings on a simulated network: whole and nothing else, whatever the network and the peer do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import UNIXAddress
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from tests.peers import Peer, connect
from twistnet import ConnectionConfig, GreetingFactory, GreetingProtocol, guard
from twistnet.protocols.farewell import LINGER
from twistnet.simulation import CutAt, Host, Network, OneByte, RandomSizes

PORT = 7010
LONG = "Grüße, {nobody}! " * 30_000
LINKS = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (
        ("plain", {}),
        ("rough", {"latency": 0.02, "jitter": 0.01, "loss": 0.05, "slicing": RandomSizes(1, 700)}),
        ("by octets", {"latency": 0.02, "loss": 0.01, "slicing": OneByte()}),
        ("slow", {"latency": 0.1, "rate": 200_000.0}),
    )
]


def serve(network: Network, text: str, *, allowed: dict[str, Any] | None = None, **settings: Any) -> Host:
    """A host that greets."""
    server = network.host("server")
    factory: Any = GreetingFactory(text, server, **settings)
    server.listenTCP(PORT, guard(factory, ConnectionConfig(**allowed or {}), clock=server))
    return server


def dial(network: Network, **settings: Any) -> Peer:
    """A peer of that host."""
    client = network.host(f"client{len(network.hosts)}")
    return connect(network, client, "server", PORT, **settings)


def heard(network: Network, peer: Peer) -> str:
    """What a peer is told that then closes, as it ought to."""
    said = network.run(peer.ended)
    peer.transport.loseConnection()
    assert network.run(peer.lost) is ConnectionDone
    return bytes(said).decode()


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("text", ["", "hello\n", LONG[:9000]], ids=["nothing", "short", "long"])
@pytest.mark.parametrize("allowed", [{}, {"idle_timeout": 60, "rate": 1_000_000}], ids=["bare", "guarded"])
def test_the_greeting_is_whole_and_then_the_connection_ends(
    network: Network, link: object, text: str, allowed: dict[str, Any]
) -> None:
    serve(network, text, allowed=allowed)
    assert heard(network, dial(network)) == text


def test_a_greeting_cut_at_every_place() -> None:
    text = "aé日\N{GRINNING FACE}z"
    for cut in range(1, len(text.encode())):
        with Network(link={"slicing": CutAt((cut,))}) as network:
            serve(network, text)
            assert heard(network, dial(network)) == text


def test_placeholders_are_replaced(network: Network) -> None:
    """And braces around anything else are braces."""
    server = serve(
        network, "{count}: {peer} at {host}, {time} {{count}} {Count} {count!r} {peer.host} {} {0}\n"
    )
    for number in (1, 2, 3):
        network.advance(86_400)
        peer = dial(network)
        connected = int(server.seconds())
        client, here = peer.transport.getHost(), peer.transport.getPeer()
        assert heard(network, peer) == (
            f"{number}: {client.host}:{client.port} at {here.host}:{PORT}, 1970-01-0{number + 1}T00:00:00Z "
            f"{{{number}}} {{Count}} {{count!r}} {{peer.host}} {{}} {{0}}\n"
        )
        assert connected // 86_400 == number


@given(st.text(alphabet=st.sampled_from("{}!:.[]% abcountpeerhostime0é"), max_size=60))
def test_formatting_can_do_nothing_else(text: str) -> None:
    """Whatever stands between braces: it is said as it stands, but for the four words."""
    said = greeted(text)
    for word, value in (
        ("{peer}", "-"),
        ("{host}", "-"),
        ("{time}", "1970-01-01T00:00:07Z"),
        ("{count}", "5"),
    ):
        text = text.replace(word, value)
    assert said == text


def greeted(text: str) -> str:
    """What is said where the addresses have no names, at a certain time."""
    clock = Clock()
    clock.advance(7.9)
    transport = StringTransport(hostAddress=UNIXAddress(None), peerAddress=UNIXAddress(None))
    GreetingProtocol(text, clock, count=5, stay=True).makeConnection(transport)
    said: bytes = transport.value()
    return said.decode()


def test_a_path_with_a_placeholder_in_it_is_not_looked_at_again() -> None:
    transport = StringTransport(
        hostAddress=UNIXAddress(b"/run/{count}.sock"), peerAddress=UNIXAddress(b"\xff{time}")
    )
    GreetingProtocol("{host} {peer}", Clock(), stay=True).makeConnection(transport)
    assert transport.value().decode() == "/run/{count}.sock \\udcff{time}"


@pytest.mark.network(link={"latency": 0.02, "rate": 1_000_000.0})
def test_a_peer_that_sends_meanwhile_loses_nothing(network: Network) -> None:
    """To close with unread input would reset the connection, and the greeting with it."""
    serve(network, LONG)
    peer = dial(network, reads=False)
    for _ in range(20):
        peer.say(b"me first! " * 1000)
        network.advance(0.05)
    peer.read()
    assert network.run(peer.ended).decode() == LONG


@pytest.mark.parametrize("say", [b"", b"still here"])
def test_a_peer_that_does_not_close_is_closed(network: Network, say: bytes) -> None:
    """Two seconds after it has received everything."""
    serve(network, "bye\n")
    peer = dial(network)
    network.run(peer.ended)
    ended = network.clock.now
    while not peer.lost.called and network.clock.now < ended + 10 * LINGER:
        if say:
            peer.say(say)
        network.advance(0.1)
        if not say and network.clock.now > ended + LINGER + 0.1:
            peer.transport.loseConnection()
    assert network.run(peer.lost) in {ConnectionLost, ConnectionDone}
    assert LINGER - 0.1 < network.clock.now - ended < LINGER + 0.5


@pytest.mark.parametrize("leave", ["loseConnection", "abortConnection"])
@pytest.mark.parametrize("stay", [False, True])
def test_peers_that_leave_early_leave_nothing_behind(network: Network, leave: str, stay: bool) -> None:
    server = serve(network, LONG, stay=stay)
    for reads in (True, False):
        peer = dial(network, reads=reads)
        getattr(peer.transport, leave)()
    network.advance(600)
    assert [type(reader).__name__ for reader in server.getReaders()] == ["TcpPort"]
    assert server.getDelayedCalls() == []


def test_staying_is_to_read_and_forget_until_the_peer_finishes(network: Network) -> None:
    serve(network, "hello\n", stay=True)
    peer = dial(network)
    for _ in range(5):
        peer.say(b"x" * 100_000)
        network.advance(60)
    assert (peer.received, peer.ended.called) == (b"hello\n", False)
    peer.transport.loseWriteConnection()
    assert heard(network, peer) == "hello\n"


@pytest.mark.network(link={"latency": 0.02})
def test_a_partition_only_delays(network: Network) -> None:
    serve(network, LONG)
    peer = dial(network)
    cut = network.partition("server", "client1")
    network.advance(30)
    network.end(cut)
    assert heard(network, peer) == LONG


def test_a_text_that_is_not_unicode_is_an_error_before_any_connection() -> None:
    make: Callable[[], object] = lambda: GreetingFactory("\udcff", Clock())  # noqa: E731
    with pytest.raises(ValueError, match="surrogates"):
        make()
