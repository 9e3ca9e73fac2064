"""Simulated hosts with fast transports: what `--transport fast` has all the other tests run on."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import (
    HostnameEndpoint,
    UNIXClientEndpoint,
    UNIXServerEndpoint,
    connectProtocol,
)
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.protocols.wire import Echo

from tests.peers import Peer, connect, datagram_peer
from tests.transport.simulated_transports import use_fast_transports
from twistnet.simulation import Network, Trace
from twistnet.transport.hub import BATCH, hub_of
from twistnet.transport.on_hub import OnHub

PORT = 7


@pytest.fixture(autouse=True)
def fast_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hosts that are made from now on are fast ones, whatever the option says."""
    use_fast_transports(monkeypatch.setattr)


class Answering(DatagramProtocol):
    """Says twice what it hears."""

    transport: Any

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.transport.write(datagram * 2, addr)


def fast_transports(host: Any) -> list[Any]:
    """Those that a host has, every one of which must be on the hub."""
    found: list[Any] = host.getReaders()
    assert all(isinstance(transport, OnHub) for transport in found)
    return found


def test_every_transport_of_a_host_is_on_its_hub(network: Network) -> None:
    server, client = network.host("server"), network.host("client")
    served = Factory.forProtocol(Echo)
    server.listenTCP(PORT, served)
    server.listenUDP(PORT, Answering())
    network.run(UNIXServerEndpoint(server, "/socket").listen(served))
    local = network.run(connectProtocol(UNIXClientEndpoint(server, "/socket"), Peer()))
    peer, datagrams = connect(network, client, "server", PORT), datagram_peer(client, server, PORT)
    for talking in (local, peer):
        talking.say(b"hello")
    datagrams.transport.write(b"hello")
    network.settle()
    assert local.received == peer.received == b"hello"
    assert datagrams.received == [b"hellohello"]
    names = sorted(type(transport).__name__ for transport in fast_transports(server))
    assert names == ["FastServer", "FastUNIXServer", "TcpPort", "UdpPort", "UnixClient", "UnixPort"]
    assert len(fast_transports(client)) == 2


def test_more_connections_than_a_batch_has_room_for_are_all_served(network: Network) -> None:
    server, client = network.host("server"), network.host("client")
    server.listenTCP(PORT, Factory.forProtocol(Echo), backlog=1000)
    peers = [connect(network, client, "server", PORT) for _ in range(BATCH + 44)]
    for peer in peers:
        peer.say(b"hello")
    network.settle()
    assert [peer.received for peer in peers] == [b"hello"] * len(peers)


def lines_of_a_run() -> list[str]:
    """The trace of a run with chance in it."""
    with Network(seed=3, link={"loss": 0.1, "jitter": 0.002}, trace=Trace()) as network:
        server, client = network.host("server"), network.host("client")
        server.listenTCP(PORT, Factory.forProtocol(Echo))
        peers = [
            network.run(connectProtocol(HostnameEndpoint(client, "server", PORT), Peer())) for _ in range(5)
        ]
        for peer in peers:
            peer.say(b"hello" * 1000)
        network.settle()
        assert [len(peer.received) for peer in peers] == [5000] * 5
        return str(network.trace).splitlines()


def test_the_same_seed_gives_the_same_run() -> None:
    assert lines_of_a_run() == lines_of_a_run()


def test_a_crash_leaves_the_hub_with_nobody(network: Network) -> None:
    server, client = network.host("server"), network.host("client")
    server.listenTCP(PORT, Factory.forProtocol(Echo))
    peer = connect(network, client, "server", PORT)
    hub = hub_of(server)
    network.crash(server)
    assert hub.getReaders() == server.getReaders() == []
    peer.say(b"anybody there?")
    network.restart(server)
    network.run(peer.lost)
    server.listenTCP(PORT, Factory.forProtocol(Echo))
    again = connect(network, client, "server", PORT)
    again.say(b"hello")
    network.settle()
    assert again.received == b"hello"
