"""`ListeningService` with policies, and how it takes leave of its connections, on a simulated network."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionLost

from tests.peers import Peer, connect
from tests.services.test_listening import PORT, ask, is_refused, make, talking
from twistnet import ListeningService
from twistnet.simulation import Host, Network

SECOND = 7008


@pytest.fixture
def server(network: Network) -> Host:
    """Where the service runs."""
    return network.host("server")


@pytest.fixture
def client(network: Network, server: Host) -> Host:
    """Another host."""
    return network.host("client")


def started(server: Host, *listen: str, **settings: Any) -> ListeningService:
    """A service that listens."""
    service = make(server, *listen, **settings)
    service.startService()
    return service


def test_its_state_can_be_read_all_the_way(network: Network, client: Host, server: Host) -> None:
    service = make(server, graceful_timeout=8)
    seen = [service.state]
    service.startService()
    seen.append(service.state)
    peer = talking(network, client)
    stopped = network.start(service.stopService())
    seen.append(service.state)
    network.advance(1)
    seen.append(service.state)
    assert service.draining == 1
    network.advance(6.5)
    seen.append(service.state)
    assert peer.ended.called
    network.run(stopped)
    seen.append(service.state)
    assert [state.name for state in seen] == [
        "STOPPED",
        "LISTENING",
        "CLOSING",
        "WAITING",
        "FINISHING",
        "STOPPED",
    ]
    assert service.draining == 0


def test_a_connection_is_served_as_ever_until_shortly_before_the_end(
    network: Network, client: Host, server: Host
) -> None:
    service = started(server, graceful_timeout=60)
    peer = talking(network, client)
    stopped = network.start(service.stopService())
    for _ in range(58):
        network.advance(1)
        ask(network, peer, b"still here")
    assert not peer.ended.called
    network.run(stopped)


def test_a_half_close_lets_a_peer_close_by_itself(network: Network, client: Host, server: Host) -> None:
    """One that waits for the end of the stream is not aborted, and all it was sent arrives."""
    service = started(server, graceful_timeout=10)
    peer = talking(network, client)
    peer.ended.addCallback(lambda _: peer.transport.loseConnection())
    begun = network.clock.now
    network.run(service.stopService())
    assert network.clock.now - begun == pytest.approx(9, abs=0.1)
    assert peer.received == b"hello"


def test_all_listeners_close_before_any_connection_is_waited_for(
    network: Network, client: Host, server: Host
) -> None:
    service = started(server, f"tcp:{PORT}:interface=0.0.0.0", f"tcp:{SECOND}:interface=0.0.0.0")
    talking(network, client)
    network.start(service.stopService())
    network.settle()
    assert service.draining == 1
    assert is_refused(network, client)
    with pytest.raises(Exception, match="refused"):
        connect(network, client, "server", SECOND)


def test_limits_are_for_all_listeners_of_a_service_together(
    network: Network, client: Host, server: Host
) -> None:
    listen = (f"tcp:{PORT}:interface=0.0.0.0", f"tcp:{SECOND}:interface=0.0.0.0")
    started(server, *listen, max_connections=1, overflow="refuse")
    first = connect(network, client, "server", PORT)
    second = connect(network, client, "server", SECOND)
    assert network.run(second.lost) is ConnectionLost
    ask(network, first, b"served")
    first.transport.loseConnection()
    network.settle()
    third = connect(network, client, "server", SECOND)
    ask(network, third, b"served")


def test_a_stop_serves_those_that_waited_for_a_slot(network: Network, client: Host, server: Host) -> None:
    """They were accepted by the kernel: they have their turn while the others end."""
    service = started(server, max_connections=2, graceful_timeout=30)
    peers = [connect(network, client, "server", PORT) for _ in range(7)]
    for peer in peers:
        peer.say(b"question", finish=True) if peer not in peers[:2] else peer.say(b"question")
    network.settle()
    assert [peer.received for peer in peers].count(b"question") == 2
    stopped = network.start(service.stopService())
    network.advance(1)
    assert service.draining == 7
    for peer in peers[:2]:
        peer.transport.loseConnection()
    network.run(stopped)
    network.settle()
    assert [peer.received for peer in peers] == [b"question"] * 7


def test_a_second_signal_ends_those_that_wait_too(network: Network, client: Host, server: Host) -> None:
    service = started(server, max_connections=1, graceful_timeout=3600)
    peers: list[Peer] = [connect(network, client, "server", PORT) for _ in range(3)]
    stopped, begun = network.start(service.stopService()), network.clock.now
    network.advance(1)
    service.abort()
    network.run(stopped)
    assert network.clock.now - begun < 2
    assert all(network.run(peer.lost) is ConnectionLost for peer in peers)
    assert server.getDelayedCalls() == []


def test_a_port_that_accepts_no_more_can_be_stopped_and_started(
    network: Network, client: Host, server: Host
) -> None:
    service = started(server, max_connections=1, graceful_timeout=1)
    connect(network, client, "server", PORT)
    network.run(service.stopService())
    service.startService()
    network.settle()
    ask(network, connect(network, client, "server", PORT), b"again")
    assert service.counters["connections", "admitted"] >= 2


def test_a_rate_does_not_hold_up_the_end_of_a_stop(network: Network, client: Host, server: Host) -> None:
    """What the rate still holds back at the end is aborted with its connection."""
    service = started(server, rate=100, graceful_timeout=4)
    peer = connect(network, client, "server", PORT)
    peer.say(b"x" * 5000)
    network.advance(1)
    begun = network.clock.now
    network.run(service.stopService())
    assert network.clock.now - begun <= 4.01
    assert 100 < len(peer.received) < 1000
    assert server.getDelayedCalls() == []
