"""Where connections arrive: they wait in the kernel's backlog, and not in this process, and give back what they held."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from tests.peers import connect
from twistnet import ConnectionConfig, GuardedConnection, GuardedFactory
from twistnet.simulation import Host, Network

PEER = IPv4Address("TCP", "192.0.2.7", 40000)


def guarded(inner: Any, server: Host, **config: Any) -> GuardedFactory:
    """A guard around a factory."""
    return GuardedFactory(inner, ConnectionConfig(**config), clock=server, name="test_reception")


def test_of_two_guards_one_opens_the_port_and_the_other_shuts_it_again(network: Network) -> None:
    """The inner one has room when a connection ends; the outer one gives it to somebody who sends no header."""
    server, client = network.host("server"), network.host("client")
    inner = guarded(Factory.forProtocol(Protocol), server, max_connections=2)
    outer = guarded(inner, server, max_connections=2, proxy_protocol="v1", handshake_timeout=3600)
    port = network.run(serverFromString(server, "tcp:7").listen(outer))
    port.pauseProducing()  # a reactor that is busy, and then accepts all of them in one batch
    peers = [connect(network, client, "server", 7) for _ in range(5)]
    for peer in peers[:2]:
        peer.say(b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 7\r\n")
    port.resumeProducing()
    network.advance(1)
    assert (outer.gate.slots.open, inner.gate.slots.open) == (2, 2)
    assert (waiting := outer.reception.waiting) >= 2, "accepted with the others"
    peers[0].say(b"", finish=True)
    network.advance(1)
    assert (outer.gate.slots.open, inner.gate.slots.open) == (2, 1)
    for _ in range(20):
        connect(network, client, "server", 7)
        network.advance(0.1)
    assert outer.reception.waiting <= waiting, "the rest is in the backlog"


class Failing:
    """An observer with a bug."""

    def opened(self, connection: GuardedConnection) -> None:
        """It is told of the beginning, which goes well."""

    def closed(self, connection: GuardedConnection, reason: Failure) -> None:
        """It is told of the end."""
        raise ZeroDivisionError


def test_an_observer_that_fails_keeps_no_slot() -> None:
    clock = Clock()
    factory = GuardedFactory(
        Factory.forProtocol(Protocol),
        ConnectionConfig(max_connections=1, per_source=1, overflow="refuse", lifetime=60),
        clock=clock,
        name="test_reception",
        observers=[Failing()],
    )
    for _ in range(3):
        connection = factory.buildProtocol(PEER)
        connection.makeConnection(StringTransport(peerAddress=PEER))
        assert (factory.gate.slots.open, factory.gate.sources, len(factory.open)) == (1, 1, 1)
        connection.connectionLost(Failure(ConnectionDone()))
        assert (factory.gate.slots.open, factory.gate.sources, len(factory.open)) == (0, 0, 0)
        assert clock.getDelayedCalls() == []
