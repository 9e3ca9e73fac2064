"""Who comes in, and for how long, on a simulated network: each policy by itself, over links of every kind."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory

from tests.peers import Peer, connect
from tests.policies.serving import PORT, Told, settings, start
from twistnet import EchoFactory, PolicyCounters, guard
from twistnet.simulation import KernelConfig, LinkConfig, Network, OneByte, RandomSizes

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""

ROUGH = {"latency": 0.02, "jitter": 0.01, "loss": 0.05, "slicing": RandomSizes(1, 700)}
BY_OCTETS = {"latency": 0.02, "loss": 0.01, "slicing": OneByte()}
LINKS = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (("plain", {}), ("rough", ROUGH), ("by octets", BY_OCTETS))
]


def echoing(**handlers: Any) -> Told:
    return Told(received=lambda protocol, data: protocol.transport.write(data), **handlers)


def many(network: Network, number: int) -> list[Peer]:
    """Peers, each on its own host, that connected in this order."""
    return [connect(network, network.host(f"client{index}"), "server", PORT) for index in range(number)]


def is_over(peer: Peer) -> bool:
    """Whether the other end has closed or aborted the connection."""
    return bool(peer.ended.called or peer.lost.called)


# max_connections


@pytest.mark.parametrize("link", LINKS)
def test_a_connection_too_many_waits_for_its_turn(network: Network, link: Any, lines: list[str]) -> None:
    """The kernel holds it, with what it has said already; those who wait are served in their order."""
    served = start(network, echoing, max_connections=2)
    peers = many(network, 5)
    for index, peer in enumerate(peers):
        peer.say(b"%d" % index)
    network.advance(60)
    assert [peer.received for peer in peers] == [b"0", b"1", b"", b"", b""]
    assert (len(served.made), served.slots) == (2, 2)
    for index in range(3):
        peers[index].transport.loseConnection()
        network.advance(60)
        assert [bool(peer.received) for peer in peers] == [True] * (index + 3) + [False] * (2 - index)
        assert served.slots == 2
    for peer in peers[3:]:
        peer.transport.loseConnection()
    network.advance(60)
    served.assert_at_rest()
    assert peers[4].received == b"4"
    assert lines[0].startswith("test: accepting paused 10.0.0.")
    assert lines[0].endswith(": 2 connections are open (max_connections)")


@pytest.mark.parametrize("link", LINKS)
def test_a_connection_too_many_is_refused(network: Network, link: Any, lines: list[str]) -> None:
    served = start(network, echoing, max_connections=2, overflow="refuse")
    peers = many(network, 3)
    network.advance(10)
    assert [is_over(peer) for peer in peers] == [False, False, True]
    assert peers[2].lost.result is ConnectionLost
    assert served.counters["max_connections", "refused"] == 1
    assert lines[-1].endswith(": 2 connections are open (max_connections)")
    peers[0].transport.abortConnection()
    network.advance(10)
    fourth = connect(network, network.host("fourth"), "server", PORT)
    fourth.say(b"hello")
    network.advance(10)
    assert (fourth.received, served.slots) == (b"hello", 2)


def test_a_peer_that_gives_up_while_it_waits_takes_no_slot(network: Network) -> None:
    served = start(network, echoing, max_connections=1)
    first, second, third = many(network, 3)
    second.transport.abortConnection()
    third.say(b"hello")
    network.advance(1)
    first.transport.loseConnection()
    network.advance(1)
    assert (third.received, served.slots) == (b"hello", 1)


def test_a_machine_that_crashes_holds_its_slot_until_it_is_found_out(network: Network) -> None:
    """By its own reset when it runs again and is spoken to; or by `idle_timeout`, which needs no word of it."""
    served = start(network, echoing, max_connections=1, idle_timeout=60, graceful_timeout=1)
    many(network, 1)
    network.advance(1)
    network.crash("client0")
    later = connect(network, network.host("later"), "server", PORT)
    later.say(b"hello")
    network.advance(50)
    assert (later.received, served.slots) == (b"", 1)
    network.advance(15)
    assert (later.received, served.slots) == (b"hello", 1)
    assert served.counters["idle_timeout", "closed"] == 1


def test_factories_that_refuse_or_fail_take_no_slot(network: Network) -> None:
    """`buildProtocol` that returns None or raises, before and after a wait."""
    answers: list[Any] = [echoing(), None, RuntimeError("a bug"), echoing()]

    class Fickle(Factory):
        noisy = False

        def buildProtocol(self, addr: Any) -> Any:
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    server = network.host("server")
    factory = guard(Fickle(), settings(max_connections=1), clock=server, counters=PolicyCounters())
    port = server.listenTCP(PORT, factory)
    with network.expected_errors(RuntimeError) as errors:
        peers = many(network, 4)
        peers[3].say(b"hello")
        network.advance(1)
        peers[0].transport.loseConnection()
        network.advance(1)
    assert [is_over(peer) for peer in peers] == [True, True, True, False]
    assert (peers[3].received, len(errors), factory.gate.slots.open) == (b"hello", 1, 1)
    peers[3].transport.loseConnection()
    network.run(port.stopListening())
    network.advance(1)
    assert (factory.gate.slots.open, server.getDelayedCalls()) == (0, [])


# per_source, accept_rate, allow, deny


def listen_on_both(network: Network, **values: Any) -> Any:
    """A guarded echo on a socket for IPv4 and IPv6."""
    server = network.host("server", addresses=["198.51.100.1", "2001:db8:ffff::1"])
    factory = guard(EchoFactory(), settings(**values), clock=server, name="test", counters=PolicyCounters())
    server.listenTCP(PORT, factory, interface="::")
    return factory


def from_address(network: Network, address: str) -> Peer:
    """A peer on a host with that address alone."""
    to = "2001:db8:ffff::1" if ":" in address else "198.51.100.1"
    name = "at-" + address.replace(":", "-")
    client = network.hosts.get(name) or network.host(name, addresses=[address])
    peer = connect(network, client, to, PORT)
    network.advance(0.1)
    return peer


@pytest.mark.parametrize(
    ("first", "second", "refused"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:3:4:5:6", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
    ],
)
def test_one_source_is_an_ipv4_address_or_an_ipv6_64(
    network: Network, first: str, second: str, refused: bool
) -> None:
    """Mapped into IPv6 or not, which those of IPv4 are here."""
    factory = listen_on_both(network, per_source=1)
    one, other = from_address(network, first), from_address(network, second)
    assert (is_over(one), is_over(other)) == (False, refused)
    assert factory.counters["per_source", "refused"] == refused
    one.transport.loseConnection()
    network.advance(1)
    again = from_address(network, second)
    assert is_over(again) is (not refused)
    for peer in (other, again):
        peer.transport.loseConnection()
    network.advance(1)
    assert factory.gate.sources == 0


def test_one_source_connects_so_often(network: Network, lines: list[str]) -> None:
    """A burst at once, and then at the rate; another source does not notice."""
    factory = listen_on_both(network, accept_rate=0.5, accept_burst=3)
    quick = [from_address(network, "192.0.2.1") for _ in range(5)]
    assert [is_over(peer) for peer in quick] == [False, False, False, True, True]
    assert not is_over(from_address(network, "192.0.2.2"))
    for waits, refused in ((1.0, True), (1.0, False), (1.0, True), (4.0, False)):
        network.advance(waits)
        assert is_over(from_address(network, "192.0.2.1")) is refused
    assert factory.counters["accept_rate", "refused"] == 4
    assert lines[0].endswith(": 192.0.2.1 connects more than 0.5 times a second (accept_rate)")


@pytest.mark.parametrize(
    ("values", "address", "policy"),
    [
        ({"allow": ["192.0.2.0/24"]}, "192.0.2.1", None),
        ({"allow": ["192.0.2.0/24"]}, "203.0.113.1", "allow"),
        ({"allow": ["192.0.2.0/24"]}, "2001:db8::1", "allow"),
        ({"deny": ["192.0.2.0/24"]}, "192.0.2.1", "deny"),
        ({"deny": ["192.0.2.0/24"]}, "2001:db8::1", None),
        ({"deny": ["2001:db8:1::/48"]}, "2001:db8:1::5", "deny"),
        ({"allow": ["192.0.2.0/24"], "deny": ["192.0.2.128/25"]}, "192.0.2.129", "deny"),
        ({"allow": ["192.0.2.0/24"], "deny": ["192.0.2.128/25"]}, "192.0.2.1", None),
    ],
)
def test_networks(network: Network, values: Any, address: str, policy: str | None, lines: list[str]) -> None:
    factory = listen_on_both(network, **values)
    peer = from_address(network, address)
    assert is_over(peer) is (policy is not None)
    if policy is not None:
        assert factory.counters[policy, "refused"] == 1
        assert lines[0].endswith(f"({policy})")


# Time


@pytest.mark.parametrize("link", LINKS)
def test_a_silent_peer_is_closed_to_the_second(network: Network, link: Any, lines: list[str]) -> None:
    """So long after the last octet either way, and not sooner, whatever its link does to it."""
    served = start(network, echoing, idle_timeout=30)
    peer = connect(network, network.host("client"), "server", PORT)
    for _ in range(4):
        network.advance(25)
        peer.say(b"x")
    network.run(peer.ended)
    silent, last = served.made[0], network.clock.now
    assert silent.data == b"xxxx"
    assert 130 <= last <= 131 + 5 * ("loss" in repr(link))
    assert lines == [lines[0]]
    assert lines[0].endswith(": silent for 30 s (idle_timeout)")
    served.assert_at_rest()


@pytest.mark.network(link=LinkConfig(latency=0.0))
@pytest.mark.parametrize(("values", "at"), [({"idle_timeout": 30}, 30.0), ({"lifetime": 45}, 45.0)])
def test_exactly_when_it_is_due(network: Network, values: Any, at: float) -> None:
    served = start(network, echoing, **values)
    before = network.clock.now
    connect(network, network.host("client"), "server", PORT)
    network.advance(at - 0.001 - (network.clock.now - before))
    assert served.made[0].events == ["made"]
    network.advance(0.002)
    assert served.made[0].events == ["made", ConnectionDone]


@pytest.mark.parametrize("values", [{"idle_timeout": 20}, {"lifetime": 20}])
@pytest.mark.parametrize("more", [{}, {"rate": 100_000}, {"high_water_mark": 1000}])
def test_a_peer_that_does_not_read_is_aborted(network: Network, values: Any, more: Any) -> None:
    """`graceful_timeout` after it was to be closed, which it would never be."""

    def flood(protocol: Told) -> None:
        protocol.transport.write(b"x" * 2_000_000)

    served = start(network, lambda: Told(flood), graceful_timeout=3, **values, **more)
    lazy = network.host("client", config=KernelConfig(receive_buffer=1000))
    peer = connect(network, lazy, "server", PORT, reads=False)
    network.advance(19.5)
    assert not served.made[0].is_lost
    network.advance(100)
    policy = next(iter(values))
    assert (served.counters[policy, "closed"], served.counters[policy, "aborted"]) == (1, 1)
    assert served.made[0].is_lost
    served.assert_at_rest()
    peer.read()
    assert network.run(peer.lost) is ConnectionLost


def test_no_time_is_counted_while_a_connection_waits_for_a_slot(network: Network) -> None:
    served = start(network, echoing, max_connections=1, lifetime=10, idle_timeout=8)
    _, second = many(network, 2)
    second.say(b"hello")
    network.advance(14)
    assert (second.received, is_over(second)) == (b"hello", False)
    network.advance(3)
    assert is_over(second)
    served.assert_at_rest()


def test_tls_that_a_client_does_not_begin(network: Network) -> None:
    served = start(network, echoing, tls=True, handshake_timeout=5)
    peer = connect(network, network.host("client"), "server", PORT)
    network.advance(4.9)
    assert not is_over(peer)
    network.advance(0.2)
    assert is_over(peer)
    assert served.counters["handshake_timeout", "closed"] == 1
    served.assert_at_rest()


# A dry run


@pytest.mark.parametrize(
    ("values", "policy", "outcome"),
    [
        ({"max_connections": 1}, "max_connections", "delayed"),
        ({"max_connections": 1, "overflow": "refuse"}, "max_connections", "refused"),
        ({"per_source": 1}, "per_source", "refused"),
        ({"accept_rate": 0.001}, "accept_rate", "refused"),
        ({"allow": ["192.0.2.0/24"]}, "allow", "refused"),
        ({"deny": ["10.0.0.0/8"]}, "deny", "refused"),
        ({"idle_timeout": 5}, "idle_timeout", "closed"),
        ({"lifetime": 5}, "lifetime", "closed"),
        ({"rate": 10_000}, "rate", "reading paused"),
        ({"high_water_mark": 1000}, "high_water_mark", "reading paused"),
        ({"write_buffer_limit": 1000}, "write_buffer_limit", "aborted"),
    ],
)
def test_a_dry_run_says_what_it_would_do(
    network: Network, values: Any, policy: str, outcome: str, lines: list[str]
) -> None:
    """And does nothing: two peers of one source that are silent, flood and do not read are served."""
    served = start(network, echoing, dry_run=True, **values)
    client = network.host("client", config=KernelConfig(receive_buffer=10_000))
    peers = [connect(network, client, "server", PORT, reads=False) for _ in range(2)]
    network.advance(7)
    for peer in peers:
        peer.say(b"x" * 500_000)
    network.advance(7)
    for peer in peers:
        peer.read()
    network.advance(60)
    assert [len(peer.received) for peer in peers] == [500_000] * 2
    assert served.counters[policy, f"dry run: {outcome}"] >= 1
    assert any(line.startswith("test: dry run: ") and line.endswith(f"({policy})") for line in lines)
    for peer in peers:
        peer.transport.loseConnection()
    network.advance(1)
    assert served.server.getDelayedCalls() == []


def test_socket_options(network: Network) -> None:
    served = start(network, echoing, no_delay=True, keepalive=True)
    connect(network, network.host("client"), "server", PORT)
    network.advance(1)
    transport = served.made[0].transport
    assert (transport.getTcpNoDelay(), transport.getTcpKeepAlive()) == (True, True)
