"""A producer behind a rate or the marks: it goes on whenever the peer has read, however the pieces fall."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from tests.peers import Peer, connect
from tests.policies.serving import PORT, start
from twistnet import ConnectionConfig, EchoFactory, guard
from twistnet.simulation import Network

KIB = 1024
TOTAL = 1 << 20


@implementer(IPushProducer)
class Source(Protocol):
    """Writes so many octets in blocks, as its transport asks for them, and closes."""

    transport: Any

    def __init__(self, block: int) -> None:
        self._block = block
        self._left = TOTAL
        self._producing = False

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self._producing = True
        while self._producing and self._left:
            octets = min(self._block, self._left)
            self._left -= octets
            self.transport.write(bytes(octets))
        if self._producing and not self._left:
            self._producing = False
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def pauseProducing(self) -> None:
        self._producing = False

    stopProducing = pauseProducing


def meet(network: Network, factory: Any, config: ConnectionConfig, *more: ConnectionConfig) -> Peer:
    """A client of a guarded service; further configurations stand around the first."""
    server, client = network.host("server"), network.host("client")
    for each in (config, *more):
        factory = guard(factory, each, clock=server)
    network.run(serverFromString(server, "tcp:7007").listen(factory))
    return connect(network, client, "server", 7007)


CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "rate": {"rate": 100 * KIB},
    "rate, small burst": {"rate": 100 * KIB, "burst": 3000},
    "rate, large burst": {"rate": 300 * KIB, "burst": 200 * KIB},
    "marks": {"high_water_mark": 20_000, "low_water_mark": 5_000},
    "marks far apart": {"high_water_mark": 200_000, "low_water_mark": 10_000},
    "marks that are close": {"high_water_mark": 20_000, "low_water_mark": 20_000},
    "marks down to nothing": {"high_water_mark": 20_000, "low_water_mark": 0},
    "rate and marks": {"rate": 300 * KIB, "high_water_mark": 20_000, "low_water_mark": 5_000},
    "rate, marks, limit": {"rate": 300 * KIB, "high_water_mark": 100_000, "write_buffer_limit": 1 << 20},
}


@pytest.mark.parametrize("block", [1000, 50_000])
@pytest.mark.parametrize("settings", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_producer_writes_all_it_has(network: Network, settings: dict[str, Any], block: int) -> None:
    peer = meet(network, Factory.forProtocol(lambda: Source(block)), ConnectionConfig(**settings))
    network.advance(60)
    assert len(peer.received) == TOTAL


@pytest.mark.parametrize("limit", [20_000, 100_000])
def test_a_producer_never_comes_to_the_limit(network: Network, limit: int) -> None:
    """It is paused before that, though no mark was set: its peer may take its time."""
    factory = Factory.forProtocol(lambda: Source(1000))
    peer = meet(network, factory, ConnectionConfig(write_buffer_limit=limit))
    peer.transport.pauseProducing()
    network.advance(60)
    peer.transport.resumeProducing()
    network.advance(60)
    assert len(peer.received) == TOTAL


@pytest.mark.parametrize("settings", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_peer_that_reads_is_read_from(network: Network, settings: dict[str, Any]) -> None:
    """What stops the reading while too much waits lets it go on, whoever echoes."""
    peer = meet(network, EchoFactory(), ConnectionConfig(**settings))
    peer.say(bytes(TOTAL), finish=True)
    network.advance(60)
    assert len(peer.received) == TOTAL


@pytest.mark.parametrize("outer", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
@pytest.mark.parametrize("inner", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_two_guards_hold_up_no_producer(
    network: Network, inner: dict[str, Any], outer: dict[str, Any]
) -> None:
    factory = Factory.forProtocol(lambda: Source(10_000))
    peer = meet(network, factory, ConnectionConfig(**inner), ConnectionConfig(**outer))
    network.advance(120)
    assert len(peer.received) == TOTAL


@implementer(IPushProducer)
class Alternating(Protocol):
    """Writes little when it is resumed, and then so much that it is paused."""

    transport: Any
    rounds = 100

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self.transport.write(bytes(70_000))

    def resumeProducing(self) -> None:
        if self.rounds:
            self.rounds -= 1
            self.transport.write(bytes(1000))
            self._clock.callLater(0, self.transport.write, bytes(70_000))

    def pauseProducing(self) -> None:
        """See `IPushProducer`."""

    def stopProducing(self) -> None:
        """See `IPushProducer`."""


def test_what_was_granted_and_is_granted_anew_is_not_lost(network: Network) -> None:
    """A producer that writes while it is resumed: all that is within the burst leaves at once."""
    server, client = network.host("server"), network.host("client")
    factory = Factory.forProtocol(lambda: Alternating(server))
    guarded = guard(factory, ConnectionConfig(rate=1000, burst=8_000_000), clock=server)
    network.run(serverFromString(server, "tcp:7007").listen(guarded))
    peer = connect(network, client, "server", 7007)
    network.advance(10)
    assert len(peer.received) == 70_000 + 100 * 71_000


@pytest.mark.parametrize("values", [{"rate": 10_000_000}, {"lifetime": 3600}])
def test_a_protocol_may_have_producers_paused_sooner(network: Network, values: dict[str, Any]) -> None:
    """As with Twisted's own transports, whose `bufferSize` is there to be set."""
    served = start(network, Protocol, **values)
    connect(network, network.host("client"), "server", PORT, reads=False)
    network.settle()
    transport = served.made[0].transport
    assert transport.bufferSize == 65536
    transport.bufferSize = 1000
    assert transport.bufferSize == 1000
