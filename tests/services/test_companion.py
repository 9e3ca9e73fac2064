"""What runs beside the listeners of a service: started after them, stopped before connections are waited for."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.application.service import Service
from twisted.internet.protocol import DatagramProtocol, Factory

from tests.peers import connect, datagram_peer
from twistnet import EchoProtocol, ListeningError, ServiceDefinition
from twistnet.config import build
from twistnet.services.node import NodeConfig, NodeService, ServiceConfig
from twistnet.simulation import Network


class Companion(Service):
    """Notes what becomes of it."""

    def __init__(self, options: Any, reactor: Any) -> None:
        self.events: list[str] = []
        self.node: Any = None

    def startService(self) -> None:
        super().startService()
        self.events.append(f"starts, {sum(len(service.ports) for service in self.node)} open")

    def stopService(self) -> None:
        super().stopService()
        self.events.append(f"stops, {sum(len(service.open) for service in self.node)} connected")


class Datagrams(DatagramProtocol):
    """Sends what its companion says."""

    def __init__(self, companion: Companion) -> None:
        self.companion = companion

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        assert self.transport is not None
        self.transport.write(self.companion.events[0].encode(), addr)


def node_of(reactor: Any, *listen: str) -> tuple[NodeService, Companion]:
    """A node with one service, and the companion of that."""
    made: list[Companion] = []

    def companion(options: Any, reactor: Any) -> Companion:
        made.append(Companion(options, reactor))
        return made[-1]

    def stream(options: Any, clock: Any, companion: Companion) -> Factory:
        assert companion is made[0]
        return Factory.forProtocol(EchoProtocol)

    definition = ServiceDefinition(
        name="accompanied",
        description="",
        listen=(),
        stream=stream,
        datagram=lambda options, clock, companion: Datagrams(companion),
        companion=companion,
    )
    settings: Any = build(definition.settings, {"listen": list(listen)})
    node = NodeService(
        NodeConfig(services=(ServiceConfig(name="a", definition=definition, settings=settings),)), reactor
    )
    (only,) = made
    only.node = node
    return node, only


def test_it_starts_after_the_listeners_and_stops_before_connections_are_waited_for(network: Network) -> None:
    server, client = network.host("server"), network.host("client")
    node, companion = node_of(server, "tcp:7:interface=10.0.0.1", "udp:7:interface=10.0.0.1")
    for _ in range(2):
        node.privilegedStartService()
        node.startService()
        peer = connect(network, client, "server", 7)
        asking = datagram_peer(client, server, 7)
        asking.transport.write(b"?")
        network.advance(1)
        assert asking.received == [b"starts, 2 open"]
        stopped = node.stopService()
        peer.transport.loseConnection()
        network.run(stopped)
    assert companion.events == ["starts, 2 open", "stops, 1 connected"] * 2


def test_it_does_not_start_when_a_listener_will_not_open(network: Network) -> None:
    server = network.host("server")
    server.listenTCP(7, Factory.forProtocol(EchoProtocol))
    node, companion = node_of(server, "udp:7", "tcp:7")
    with pytest.raises(ListeningError):
        node.privilegedStartService()
    assert companion.events == []
