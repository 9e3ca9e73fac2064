"""Every pair of policies, in both nestings and in one guard: an exchange comes through, and each still does its own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import Any

import pytest
from attrs import frozen

from tests.peers import Peer, connect
from tests.policies.serving import PORT, Served, Told, settings
from twistnet import ConnectionConfig
from twistnet.simulation import KernelConfig, Network

TEXT = bytes(range(256)) * 1200
"""What is exchanged: some 300 KB."""
HEADER = b"PROXY TCP4 192.0.2.%d 198.51.100.1 40000 7\r\n"


@frozen
class Policy:
    """A policy with settings that it can be violated with, though an exchange does not.

    Attributes:
        values: The settings.
        violate: Violates it.
    """

    values: dict[str, Any]
    violate: Callable[[Stage], None]


class Stage:
    """A service with its peers; what it serves has no measure of its own."""

    def __init__(self, network: Network, guards: tuple[ConnectionConfig, ...]) -> None:
        self.network = network
        self._proxied = any(guard.proxy_protocol != "off" for guard in guards)
        server = network.host("server", config=KernelConfig(send_buffer=20_000))
        self.served = Served(server, echo, *guards)
        network.run(self.served.listen())

    def peer(self, number: int = 1, *, header: bytes | None = None, reads: bool = True) -> Peer:
        """A peer on a host of its own; behind a proxy, a client of its own."""
        name = f"client{number}"
        host = self.network.hosts.get(name) or self.network.host(
            name, addresses=[f"192.0.2.{number}"], config=KernelConfig(receive_buffer=20_000)
        )
        peer = connect(self.network, host, "server", PORT, reads=reads)
        if self._proxied:
            peer.say(HEADER % number if header is None else header)
        self.network.advance(0.1)
        return peer

    def count(self, policy: str) -> int:
        """How often a policy has acted."""
        return sum(count for (name, _), count in self.served.counters if name == policy)


def echo() -> Told:
    return Told(
        received=lambda protocol, data: protocol.transport.write(data),
        finished=lambda protocol: protocol.transport.loseConnection(),
    )


def crowd(stage: Stage) -> None:
    """One more connection than there may be."""
    for number in range(1, 5):
        stage.peer(number)


def come_together(stage: Stage) -> None:
    for _ in range(3):
        stage.peer()


def hurry(stage: Stage) -> None:
    for _ in range(9):
        stage.peer().transport.loseConnection()


def come_from_elsewhere(stage: Stage) -> None:
    stage.peer(130)


def come_from_where_none_may(stage: Stage) -> None:
    stage.peer(200)


def be_silent(stage: Stage) -> None:
    stage.peer()
    stage.network.advance(70)


def stay(stage: Stage) -> None:
    """For ever, with a word now and then."""
    peer = stage.peer()
    for _ in range(13):
        if not peer.ended.called:
            peer.say(b"x")
        stage.network.advance(10)


def send_at_once(stage: Stage) -> None:
    """More than the rate: an echo of it takes its time."""
    peer = stage.peer()
    peer.say(b"x" * 200_000)
    stage.network.advance(1)
    assert len(peer.received) < 120_000


def read_nothing(stage: Stage) -> None:
    """The mark stops the reading, and the echo has little to keep."""
    stage.peer(reads=False).say(b"x" * 1_000_000)
    stage.network.advance(9)


def leave_unread(stage: Stage) -> None:
    """What the service says without being asked."""
    stage.peer(reads=False)
    stage.served.made[0].transport.write(b"x" * 1_500_000)
    stage.network.advance(50)


def send_no_header(stage: Stage) -> None:
    stage.peer(header=b"GET / HTTP/1.0\r\n\r\n")


def send_half_a_header(stage: Stage) -> None:
    stage.peer(header=HEADER[:9])
    stage.network.advance(8)


POLICIES = {
    "max_connections": Policy({"max_connections": 3}, crowd),
    "max_connections, refusing": Policy({"max_connections": 3, "overflow": "refuse"}, crowd),
    "per_source": Policy({"per_source": 2}, come_together),
    "accept_rate": Policy({"accept_rate": 0.5, "accept_burst": 6}, hurry),
    "allow": Policy({"allow": ["192.0.2.0/25", "192.0.2.200"]}, come_from_elsewhere),
    "deny": Policy({"deny": ["192.0.2.200"]}, come_from_where_none_may),
    "idle_timeout": Policy({"idle_timeout": 60}, be_silent),
    "lifetime": Policy({"lifetime": 120}, stay),
    "rate": Policy({"rate": 50_000}, send_at_once),
    "high_water_mark": Policy({"high_water_mark": 10_000}, read_nothing),
    "write_buffer_limit": Policy({"write_buffer_limit": 1_000_000}, leave_unread),
    "proxy_protocol": Policy({"proxy_protocol": "v1"}, send_no_header),
    "handshake_timeout": Policy({"proxy_protocol": "auto", "handshake_timeout": 5}, send_half_a_header),
}
PAIRS = [
    (one, other)
    for one, other in combinations(POLICIES, 2)
    if not POLICIES[one].values.keys() & POLICIES[other].values.keys()
]
SHAPES = ["one inside", "other inside", "one guard"]


def guards_of(one: str, other: str, shape: str) -> tuple[ConnectionConfig, ...]:
    """From the inside out."""
    first, second = POLICIES[one].values, POLICIES[other].values
    if shape == "one guard":
        return (settings(**first, **second),)
    pair = (settings(**first), settings(**second))
    return pair if shape == "one inside" else pair[::-1]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_an_exchange_comes_through(network: Network, one: str, other: str, shape: str) -> None:
    """With half-close, octet for octet; and nothing is left of it."""
    stage = Stage(network, guards_of(one, other, shape))
    peer = stage.peer()
    peer.say(TEXT, finish=True)
    network.advance(20)
    assert peer.ended.called
    assert peer.received == TEXT
    peer.transport.loseConnection()
    network.advance(20)  # a source that has connected may connect again
    stage.peer().transport.loseConnection()
    network.advance(1)
    assert stage.served.slots == 0
    assert stage.served.server.getDelayedCalls() == []


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_each_still_does_its_own(one: str, other: str, shape: str) -> None:
    """When it is violated, whatever the other has to say to that."""
    for name in (one, other):
        with Network() as network:
            stage = Stage(network, guards_of(one, other, shape))
            POLICIES[name].violate(stage)
            assert stage.count(name.partition(",")[0]) > 0, name
