"""A PROXY header in front of guarded connections, on a simulated network: who the client is, and who is believed."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import (
    HostnameEndpoint,
    SSL4ServerEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.ssl import optionsForClientTLS

from tests.peers import Peer, connect
from tests.policies.serving import PORT, Served, Told, connect_tls, settings, start
from tests.simulation.other_code.certificates import certificate, trust_root
from twistnet import ProxiedClientEndpoint
from twistnet.errors import ErrorsLogged
from twistnet.simulation import Network, OneByte

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""

V1 = b"PROXY TCP4 192.0.2.%d 198.51.100.1 40000 443\r\n"
UNKNOWN = b"PROXY UNKNOWN\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V2 = SIGNATURE + b"\x21\x11\0\x0c" + bytes([192, 0, 2, 7, 198, 51, 100, 1]) + b"\x9c\x40\x01\xbb"
LOCAL = SIGNATURE + b"\x20\0\0\0"
BY_OCTETS = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (("plain", {}), ("by octets", {"slicing": OneByte(), "loss": 0.02}))
]


def echoing() -> Told:
    return Told(received=lambda protocol, data: protocol.transport.write(data))


def proxied(network: Network, header: bytes, client: str = "client") -> Peer:
    """A proxy that has sent a header, and something to echo."""
    host = network.hosts.get(client) or network.host(client)
    peer = connect(network, host, "server", PORT)
    peer.say(header + b"hello")
    network.advance(9)
    return peer


def client_of(served: Served, index: int) -> str:
    peer = served.made[index].transport.getPeer()
    return f"{peer.host}:{peer.port}"


@pytest.mark.parametrize("link", BY_OCTETS)
@pytest.mark.parametrize(
    ("accept", "header", "client"),
    [
        ("v1", V1 % 7, "192.0.2.7:40000"),
        ("auto", V1 % 7, "192.0.2.7:40000"),
        ("v2", V2, "192.0.2.7:40000"),
        ("auto", V2, "192.0.2.7:40000"),
        ("auto", UNKNOWN, "10."),
        ("auto", LOCAL, "10."),
        ("v1", V2, None),
        ("v2", V1 % 7, None),
        ("auto", b"GET / HTTP/1.0\r\n\r\n", None),
    ],
)
def test_the_client_is_whom_the_header_names(
    network: Network, link: Any, accept: str, header: bytes, client: str | None, lines: list[str]
) -> None:
    """Or the proxy itself; and without a right header nobody is let in."""
    served = start(network, echoing, proxy_protocol=accept)
    peer = proxied(network, header)
    if client is None:
        assert (peer.lost.called, served.made) == (True, [])
        assert served.counters["proxy_protocol", "refused"] == 1
        assert lines[0].endswith("(proxy_protocol)")
        served.assert_at_rest()
    else:
        assert peer.received == b"hello"
        assert client_of(served, 0).startswith(client)


def test_limits_count_the_client_and_not_the_proxy(network: Network) -> None:
    served = start(network, echoing, proxy_protocol="auto", per_source=2, deny=["192.0.2.99"])
    peers = [proxied(network, V1 % number) for number in (1, 1, 1, 2, 99)]
    assert [peer.received for peer in peers] == [b"hello", b"hello", b"", b"hello", b""]
    assert served.counters["per_source", "refused"] == served.counters["deny", "refused"] == 1
    assert served.factory.gate.sources == 2
    for peer in peers:
        peer.transport.loseConnection()
    network.advance(1)
    served.assert_at_rest()


@pytest.mark.parametrize(("values", "seconds"), [({}, 10.0), ({"handshake_timeout": 3}, 3.0)])
@pytest.mark.parametrize("sent", [b"", V1[:5], V2[:14]])
def test_a_header_that_does_not_come(network: Network, values: Any, seconds: float, sent: bytes) -> None:
    served = start(network, echoing, proxy_protocol="auto", **values)
    peer = connect(network, network.host("client"), "server", PORT)
    if sent:
        peer.say(sent)
    network.advance(seconds - 0.1)
    assert (peer.lost.called, served.slots) == (False, 1)
    network.advance(0.2)
    assert (peer.lost.called, served.made) == (True, [])
    assert served.counters["handshake_timeout", "aborted"] == 1
    served.assert_at_rest()


def test_a_peer_that_a_policy_ends_before_its_header_is_counted_once(network: Network) -> None:
    served = start(network, echoing, proxy_protocol="auto", idle_timeout=2)
    peer = connect(network, network.host("client"), "server", PORT)
    network.advance(3)
    assert peer.lost.called
    assert list(served.counters) == [(("idle_timeout", "closed"), 1)]
    served.assert_at_rest()


def test_a_protocol_that_fails_as_it_is_connected_stays_connected(network: Network) -> None:
    """As without a header: one in `connectionMade` is logged, and what comes is delivered."""

    def fail(protocol: Told) -> None:
        raise ZeroDivisionError

    served = start(network, lambda: Told(made=fail), proxy_protocol="auto")
    with pytest.raises(ErrorsLogged, match="ZeroDivisionError"):
        proxied(network, V1 % 7)
    network.advance(1)
    assert served.made[0].data == b"hello"


def test_only_those_who_are_trusted_are_believed(network: Network, lines: list[str]) -> None:
    served = start(
        network, echoing, proxy_protocol="auto", proxy_allow_from=["10.0.0.0/8"], deny=["10.0.0.0/8"]
    )
    network.host("stranger", addresses=["203.0.113.1"])
    stranger, trusted = proxied(network, V1 % 1, "stranger"), proxied(network, V1 % 1)
    assert (stranger.received, trusted.received) == (b"", b"hello")
    assert (stranger.lost.called, len(served.made)) == (True, 1)
    assert "its PROXY header does not count" in lines[0]


def test_a_slot_is_taken_before_the_header(network: Network) -> None:
    """So that those who send none are no more than there may be; the next has the slot when one is given up."""
    served = start(network, echoing, proxy_protocol="auto", max_connections=1)
    silent = connect(network, network.host("silent"), "server", PORT)
    later = connect(network, network.host("later"), "server", PORT)
    later.say(V1 % 1 + b"hello")
    network.advance(9)
    assert (later.received, served.slots) == (b"", 1)
    network.advance(2)
    assert (later.received, served.slots, silent.lost.called) == (b"hello", 1, True)


@pytest.mark.parametrize("more", [{}, {"rate": 100_000}, {"high_water_mark": 1000}, {"idle_timeout": 60}])
def test_tls_under_the_header(network: Network, more: Any) -> None:
    """The header is in the clear, and TLS begins after it; limits count its client."""
    served = start(
        network,
        echoing,
        tls=True,
        proxy_protocol="v2",
        per_source=1,
        handshake_timeout=5,
        max_connections=9,
        **more,
    )
    endpoint = ProxiedClientEndpoint(
        HostnameEndpoint(network.host("client"), "server", PORT),
        "v2",
        ("192.0.2.7", 40000),
        ("192.0.2.1", 443),
    )
    trusting = wrapClientTLS(optionsForClientTLS("server", trust_root()), endpoint)
    first = network.run(connectProtocol(trusting, Peer()))
    first.say(b"hello" * 1000)
    network.advance(1)
    assert (first.received, client_of(served, 0)) == (b"hello" * 1000, "192.0.2.7:40000")
    second = network.run(connectProtocol(trusting, Peer()))
    network.advance(1)
    assert (second.lost.called, served.counters["per_source", "refused"]) == (True, 1)
    first.transport.loseConnection()
    network.advance(1)
    assert first.lost.called
    assert served.server.getDelayedCalls() == []


def test_a_header_within_tls_comes_after_the_handshake(network: Network) -> None:
    """Where the guard cannot know of TLS beforehand: the time for a handshake that is done does not begin again."""
    served = Served(network.host("server"), echoing, settings(proxy_protocol="auto", handshake_timeout=5))
    endpoint = SSL4ServerEndpoint(served.server, PORT, certificate("server").options())
    network.run(endpoint.listen(served.factory))
    peer = connect_tls(network, network.host("client"))
    peer.say(V1 % 7)
    network.advance(9)
    peer.say(b"hello")
    network.advance(1)
    assert peer.received == b"hello"


def test_a_client_that_the_factory_refuses_keeps_no_slot(network: Network) -> None:
    """Not even one that never answers the farewell of TLS."""
    served = Served(network.host("server"), lambda: None, settings(proxy_protocol="v1", max_connections=1))
    endpoint = SSL4ServerEndpoint(served.server, PORT, certificate("server").options())
    network.run(endpoint.listen(served.factory))
    peer = connect_tls(network, network.host("client"))
    network.advance(1)
    peer.say(V1 % 7)
    peer.transport.pauseProducing()
    network.advance(1)
    assert served.slots == 1
    network.advance(9)
    served.assert_at_rest()
