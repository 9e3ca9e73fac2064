"""A rate on a clock that goes on while things are done, as real ones do: there is a pause, and not a busy wait."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from twistnet import ConnectionConfig, GuardedFactory, PolicyCounters

BURST = 64 * 1024
MUCH = bytes(8 * BURST)
CONFIG = ConnectionConfig(rate=100 << 20, burst=BURST)


class GoingOn(Clock):
    """Later each time that it is asked."""

    def seconds(self) -> float:
        self.rightNow += 5e-6
        return super().seconds()


class Counting(StringTransport):
    """Counts what it is given."""

    pieces = 0

    def write(self, data: bytes) -> None:
        self.pieces += 1
        super().write(data)


class Inner(Protocol):
    """Counts what it is given."""

    pieces = octets = 0

    def dataReceived(self, data: bytes) -> None:
        self.pieces += 1
        self.octets += len(data)


def meet() -> tuple[Any, Inner, Counting, GoingOn]:
    """A guarded connection, the protocol inside, the transport and the clock."""
    clock, peer = GoingOn(), IPv4Address("TCP", "192.0.2.7", 40000)
    factory = GuardedFactory(
        Factory.forProtocol(Inner), CONFIG, clock=clock, name="test", counters=PolicyCounters()
    )
    connection: Any = factory.buildProtocol(peer)
    transport = Counting(peerAddress=peer)
    connection.makeConnection(transport)
    return connection, connection.inner, transport, clock


def test_what_is_written_leaves_in_few_pieces() -> None:
    """One for the burst; then a piece a pause."""
    _, inner, transport, clock = meet()
    assert inner.transport is not None
    inner.transport.write(MUCH)
    assert transport.pieces <= 2
    assert BURST <= len(transport.value()) < 2 * BURST
    clock.pump([0.001] * 20)
    assert transport.value() == MUCH
    assert transport.pieces <= 20


def test_what_is_read_is_delivered_in_few_pieces() -> None:
    """One for the burst; then a piece a pause."""
    connection, inner, _, clock = meet()
    connection.dataReceived(MUCH)
    assert inner.pieces <= 2
    assert BURST <= inner.octets < 2 * BURST
    clock.pump([0.001] * 20)
    assert inner.octets == len(MUCH)
    assert inner.pieces <= 20
