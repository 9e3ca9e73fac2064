"""What is broken or missing in Twisted's `haproxy:`, one test each: it fails there as it says, and passes with `guarded:`.

Each test is named for what Twisted's endpoint does, and has the number of its ticket where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.protocol import Protocol
from twisted.protocols.haproxy._interfaces import IProxyInfo

from tests.peers import Peer, connect
from tests.policies.twisteds import PORT, Kept, Verdict, on_both
from twistnet import ProxyHeader, encode_proxy_header
from twistnet.simulation import Network

CLIENT, SITE = ("192.0.2.7", 40000), ("192.0.2.1", 443)
BALANCER = "10.9.0.1"
AUTHORITY = b"site.example"
"""What a TLV of type 2 says: the name that the client asked for."""
V1 = encode_proxy_header(ProxyHeader(version=1, source=CLIENT, destination=SITE))
V2 = encode_proxy_header(ProxyHeader(version=2, source=CLIENT, destination=SITE, tlvs=((2, AUTHORITY),)))
HEADERS = [pytest.param(V1, id="version 1"), pytest.param(V2, id="version 2")]
OURS, TWISTEDS = f"guarded:tcp:{PORT}:proxy_protocol=auto", f"haproxy:tcp:{PORT}"


class Greets(Protocol):
    """Greets its peer by its address, and says after it what it says."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(b"hello %s;" % self.transport.getPeer().host.encode())

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


def listen(network: Network, description: str) -> list[Any]:
    """The protocols that will greet whoever connects to an endpoint on the host `server`."""
    factory = Kept(Greets)
    network.run(serverFromString(network.host("server"), description).listen(factory))
    network.host("balancer", addresses=[BALANCER])
    network.host("stranger")
    return factory.made


def dial(network: Network, host: str = "balancer") -> Peer:
    """A connection to that endpoint."""
    return connect(network, network.hosts[host], "server", PORT)


def both(fails: Any) -> pytest.MarkDecorator:
    """Run a test on both endpoints."""
    return on_both("description", ours=OURS, twisted=TWISTEDS, fails=fails)


def in_two(version: str, header: bytes, length: int) -> list[Any]:
    """A header in two segments, the first of each length below some length."""
    return [
        pytest.param((header[:cut], header[cut:]), id=f"version {version} after {cut}")
        for cut in range(1, length)
    ]


@pytest.mark.parametrize("segments", in_two("1", V1, 8) + in_two("2", V2, 16))
@both(fails=pytest.raises(AssertionError, match="the connection was dropped"))
def test_a_header_whose_first_segment_is_short_is_dropped(
    network: Network, description: str, verdict: Verdict, segments: tuple[bytes, bytes]
) -> None:
    """Ticket 8287: below 8 octets in version 1, and below 16 in version 2. A stream has no segments."""
    with verdict:
        listen(network, description)
        balancer = dial(network)
        balancer.say(segments[0])
        network.advance(0.5)
        assert not balancer.ended.called, "the connection was dropped"
        balancer.say(segments[1] + b"question")
        network.advance(0.5)
        assert balancer.received == b"hello 192.0.2.7;question"


@both(fails=pytest.raises(AssertionError, match="the connection was dropped"))
def test_a_proxy_that_does_not_know_its_client_is_dropped(
    network: Network, description: str, verdict: Verdict
) -> None:
    """`PROXY UNKNOWN` and nothing more is a whole header (PROXY protocol, section 2.1)."""
    with verdict:
        listen(network, description)
        balancer = dial(network)
        balancer.say(b"PROXY UNKNOWN\r\nquestion")
        network.advance(1)
        assert not balancer.ended.called, "the connection was dropped"
        assert balancer.received == b"hello 10.9.0.1;question"


@pytest.mark.parametrize("header", HEADERS)
@both(fails=pytest.raises(AssertionError, match=r"the peer was 10\.9\.0\.1 when the connection was made"))
def test_the_peer_is_the_balancer_when_the_connection_is_made(
    network: Network, description: str, verdict: Verdict, header: bytes
) -> None:
    """Ticket 12501: `connectionMade` comes before the header, and that is where most protocols ask."""
    with verdict:
        made = listen(network, description)
        balancer = dial(network)
        balancer.say(header + b"question")
        network.advance(1)
        assert made[0].transport.getPeer().host == "192.0.2.7"
        greeting, _, answer = balancer.received.partition(b";")
        assert answer == b"question"
        peer = greeting.removeprefix(b"hello ").decode()
        assert peer == "192.0.2.7", f"the peer was {peer} when the connection was made"


@both(fails=pytest.raises(AssertionError, match="a greeting has left before the header"))
def test_a_greeting_leaves_before_the_header(network: Network, description: str, verdict: Verdict) -> None:
    """Ticket 12501: to whoever connects, and with the balancer's address in it."""
    with verdict:
        made = listen(network, description)
        balancer = dial(network)
        network.advance(1)
        early = balancer.received
        assert not early, "a greeting has left before the header"
        assert not made
        balancer.say(V1)
        network.advance(1)
        assert balancer.received == b"hello 192.0.2.7;"


@pytest.mark.parametrize("begun", [b"", b"PROXY TCP4 192.0.2.7", V2[:-1]], ids=["nothing", "v1", "v2"])
@both(fails=pytest.raises(AssertionError, match="still connected after an hour without a header"))
def test_a_header_may_take_for_ever(
    network: Network, description: str, verdict: Verdict, begun: bytes
) -> None:
    """Nobody has to say who they are to hold a connection open."""
    with verdict:
        listen(network, description)
        balancer = dial(network)
        balancer.say(begun)
        network.advance(3600)
        gone = balancer.ended.called or balancer.lost.called
        assert gone, "still connected after an hour without a header"
        assert not network.hosts["server"].getDelayedCalls()


@pytest.mark.parametrize("header", HEADERS)
@on_both(
    "description",
    ours=f"{OURS}:proxy_allow_from={BALANCER}",
    twisted=TWISTEDS,
    fails=pytest.raises(AssertionError, match="a stranger was taken at its word"),
)
def test_anybody_s_header_counts(network: Network, description: str, verdict: Verdict, header: bytes) -> None:
    """Whoever reaches the port chooses the address that the log and the limits have of them."""
    with verdict:
        made = listen(network, description)
        dial(network).say(header)
        network.advance(1)
        assert [one.transport.getPeer().host for one in made] == ["192.0.2.7"]
        dial(network, "stranger").say(header)
        network.advance(1)
        believed = [one for one in made[1:] if one.transport.getPeer().host == "192.0.2.7"]
        assert not believed, "a stranger was taken at its word"


def told_by_ours(transport: Any) -> list[Any]:
    """All that a protocol can learn of the header."""
    return [transport.proxy_header.source, transport.proxy_header.destination, transport.proxy_header.tlvs]


def told_by_twisteds(transport: Any) -> list[Any]:
    """All that a protocol could learn of the header, were this public; but for its octets as they came."""
    info = transport._proxyInfo
    return [getattr(info, name) for name in IProxyInfo if name != "header"]


@on_both(
    "listening",
    ours=(OURS, told_by_ours),
    twisted=(TWISTEDS, told_by_twisteds),
    fails=pytest.raises(AssertionError, match="nobody is told of the TLVs"),
)
def test_what_else_a_header_says_is_lost(
    network: Network, verdict: Verdict, listening: tuple[str, Callable[[Any], list[Any]]]
) -> None:
    """TLVs: the name that was asked for, the client's certificate, a number for the connection (section 2.2)."""
    description, told = listening
    with verdict:
        made = listen(network, description)
        dial(network).say(V2)
        network.advance(1)
        said = repr(told(made[0].transport))
        assert "192.0.2.7" in said
        assert repr(AUTHORITY) in said, "nobody is told of the TLVs"


@on_both(
    "client",
    ours=rf"proxied:tcp:server:{PORT}:version=v1:source=192.0.2.7\:40000:destination=192.0.2.1\:443",
    twisted=f"haproxy:tcp:server:{PORT}",
    fails=pytest.raises(ValueError, match="Unknown endpoint type: 'haproxy'"),
)
def test_no_client_can_send_a_header(network: Network, client: str, verdict: Verdict) -> None:
    """There is a server's endpoint of that name, and none for a client."""
    with verdict:
        listen(network, OURS)
        endpoint = clientFromString(network.hosts["balancer"], client)
        peer: Any = network.run(connectProtocol(endpoint, Peer()))
        peer.say(b"question")
        network.advance(1)
        assert peer.received == b"hello 192.0.2.7;question"
