"""How fast, and how much may wait, on a simulated network: the rate both ways, the marks, and producers through them."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater

from tests.peers import connect
from tests.policies.serving import PORT, Served, Told, settings, start
from twistnet.simulation import KernelConfig, LinkConfig, Network, OneByte, Trace

KIB, MIB = 1 << 10, 1 << 20
BIG = KernelConfig(send_buffer=4 * MIB, receive_buffer=4 * MIB)
LINKS: list[Any] = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (("plain", {}), ("rough", {"latency": 0.02, "jitter": 0.01, "loss": 0.02, "mtu": 500}))
]


class Passed:
    """What passed, and when; and whether that was ever more than a rate allows."""

    def __init__(self) -> None:
        self.total = 0
        self._steps: list[tuple[float, int]] = []

    def add(self, now: float, octets: int) -> None:
        self.total += octets
        self._steps.append((now, octets))

    def most_beyond(self, rate: float) -> float:
        """By how many octets at most some window has had more than `rate` times its length."""
        most = level = 0.0
        last = 0.0
        for now, octets in self._steps:
            level = max(0.0, level - rate * (now - last)) + octets
            most, last = max(most, level), now
        return most


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("burst", [None, 64])
def test_what_is_received_keeps_to_the_rate(
    network: Network, link: Any, burst: int | None, lines: list[str]
) -> None:
    """For ten minutes at 1 KiB/s, within 5 %; and no window has more than the rate and the burst."""
    passed = Passed()
    more: dict[str, Any] = {} if burst is None else {"burst": burst}
    served = start(
        network,
        lambda: Told(received=lambda _, data: passed.add(network.clock.now, len(data))),
        rate=KIB,
        **more,
    )
    peer = connect(network, network.host("client"), "server", PORT)
    peer.say(b"x" * MIB)
    network.advance(600)
    assert passed.total == pytest.approx(600 * KIB, rel=0.05)
    assert passed.most_beyond(KIB) <= (burst or KIB // 5) + 1
    assert lines[0].endswith(": more than 1024 octets a second (rate)")
    assert served.counters["rate", "reading paused"] > 0


@pytest.mark.parametrize("link", LINKS)
def test_what_is_sent_keeps_to_the_rate(network: Network, link: Any) -> None:
    served = start(network, lambda: Told(lambda p: p.transport.write(b"x" * MIB)), rate=KIB)
    peer = network.run(connectProtocol(HostnameEndpoint(network.host("client"), "server", PORT), Told()))
    network.advance(600)
    assert len(peer.data) == pytest.approx(600 * KIB, rel=0.05)
    assert served.counters["rate", "writing paused"] > 0


class Counting(Protocol):
    """Sends without an end, and counts what it receives."""

    transport: Any

    def __init__(self, network: Network) -> None:
        self._network = network
        self.passed = Passed()

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self.resumeProducing()

    def resumeProducing(self) -> None:
        self.transport.write(bytes(4 * MIB))

    def pauseProducing(self) -> None:
        """It writes again when it is resumed."""

    def stopProducing(self) -> None:
        """So it does not."""

    def dataReceived(self, data: bytes) -> None:
        self.passed.add(self._network.clock.now, len(data))


@pytest.mark.network(link=LinkConfig(latency=0.0001, mtu=65_000), trace=Trace(limit=0))
def test_fast_rates_are_kept_both_ways(network: Network) -> None:
    """100 MiB/s, for half a second after the burst."""
    rate = 100 * MIB
    served = Served(network.host("server", config=BIG), lambda: Counting(network), settings(rate=rate))
    network.run(served.listen())
    endpoint = HostnameEndpoint(network.host("client", config=BIG), "server", PORT)
    peer = network.run(connectProtocol(endpoint, Counting(network)))
    network.advance(0.5)
    ends = (served.made[0].passed, peer.passed)
    before = [passed.total for passed in ends]
    network.advance(0.5)
    for passed, first in zip(ends, before, strict=True):
        assert passed.total - first == pytest.approx(rate / 2, rel=0.05)
    assert served.made[0].passed.most_beyond(rate) <= rate / 5 + 1


@pytest.mark.parametrize("values", [{"rate": 1000}, {"rate": 1000, "high_water_mark": 100}, {"rate": 10**8}])
def test_the_applications_pause_and_the_rates(network: Network, values: Any) -> None:
    """While either wants a pause nothing is delivered; nothing is lost, and no delivery is made within another."""
    inside: list[int] = []
    while_paused: list[bytes] = []
    is_paused = [False]

    def received(protocol: Told, data: bytes) -> None:
        assert not inside, "called while it was being called"
        inside.append(1)
        if is_paused[0]:
            while_paused.append(data)
        is_paused[0] = True
        protocol.transport.pauseProducing()
        deferLater(served.server, 0.3, resume, protocol)
        inside.pop()

    def resume(protocol: Told) -> None:
        is_paused[0] = False
        inside.append(1)
        protocol.transport.resumeProducing()
        inside.pop()

    served = start(network, lambda: Told(received=received), **values)
    peer = connect(network, network.host("client"), "server", PORT)
    question = network.random.randbytes(20_000)
    peer.say(question)
    network.advance(5)
    if values["rate"] == 1000:
        assert 1000 < len(served.made[0].data) <= 5200
    network.advance(120)
    assert (served.made[0].data, while_paused) == (question, [])


class Source:
    """A producer of so many octets, in blocks, that remembers how often it was paused."""

    def __init__(self, transport: Any, octets: int, *, streaming: bool) -> None:
        self._transport, self._left, self._streaming = transport, octets, streaming
        self._may = True
        self.pauses = 0
        transport.registerProducer(self, streaming)
        if streaming:
            self._go_on()

    def resumeProducing(self) -> None:
        self._may = True
        self._go_on()

    def _go_on(self) -> None:
        while self._may and self._left:
            block = min(self._left, 10_000)
            self._left -= block
            self._transport.write(b"x" * block)
            if not self._streaming:
                return
        if not self._left and self._transport is not None:
            transport, self._transport = self._transport, None
            transport.unregisterProducer()
            transport.loseConnection()

    def pauseProducing(self) -> None:
        self.pauses += 1
        self._may = False

    def stopProducing(self) -> None:
        self._may = False


@pytest.mark.parametrize("streaming", [True, False], ids=["push", "pull"])
@pytest.mark.parametrize(
    "values",
    [
        {"rate": 50_000},
        {"high_water_mark": 20_000, "low_water_mark": 100},
        {"rate": 50_000, "high_water_mark": 500},
    ],
)
@pytest.mark.parametrize("link", LINKS)
def test_producers_through_rate_and_marks(network: Network, link: Any, values: Any, streaming: bool) -> None:
    """All that they produce arrives before the close, and no more than the mark and one block waits meanwhile."""
    waits: list[int] = []

    def produce(protocol: Told) -> None:
        Source(protocol.transport, 300_000, streaming=streaming)

    served = start(network, lambda: Told(produce), **values)
    peer = connect(network, network.host("client"), "server", PORT)
    for _ in range(100):
        network.advance(0.1)
        if not served.made[0].is_lost:
            waits.append(served.made[0].transport.unsent)
    assert (len(peer.received), served.made[0].is_lost, peer.ended.called) == (300_000, True, True)
    assert max(waits, default=0) <= values.get("high_water_mark", 65_536) + 10_000
    served.assert_at_rest()


@pytest.mark.parametrize("low", [None, 0, 300])
def test_nothing_is_read_above_the_mark(network: Network, low: int | None, lines: list[str]) -> None:
    """From a peer that does not read; and all of it is once it does."""
    values: dict[str, Any] = {} if low is None else {"low_water_mark": low}
    served = start(
        network,
        lambda: Told(received=lambda p, data: p.transport.write(data)),
        high_water_mark=1000,
        **values,
    )
    lazy = network.host("client", config=KernelConfig(receive_buffer=10_000))
    peer = connect(network, lazy, "server", PORT, reads=False)
    question = network.random.randbytes(2_000_000)
    peer.say(question)
    network.advance(60)
    assert len(served.made[0].data) < 600_000
    assert served.made[0].transport.unsent <= 1000 + 65_536
    assert served.counters["high_water_mark", "reading paused"] >= 1
    assert any("octets are unread (high_water_mark)" in line for line in lines)
    peer.read()
    network.advance(60)
    assert peer.received == question


@pytest.mark.parametrize("values", [{}, {"rate": 10**7}, {"high_water_mark": 50_000}])
def test_a_peer_that_leaves_too_much_unread_is_aborted(
    network: Network, values: Any, lines: list[str]
) -> None:
    """And one that reads is not, though as much is written for it."""

    def flood(protocol: Told, data: bytes) -> None:
        protocol.transport.write(b"x" * 90_000)

    served = start(network, lambda: Told(received=flood), write_buffer_limit=100_000, **values)
    lazy = network.host("lazy", config=KernelConfig(receive_buffer=10_000))
    network.host("busy")
    peers = [
        connect(network, host, "server", PORT, reads=host is not lazy)
        for host in (lazy, network.hosts["busy"])
    ]
    for _ in range(8):
        for peer in peers:
            peer.say(b"x")
        network.advance(1)
    if "high_water_mark" in values:  # nothing more is asked of the server, then
        assert not served.made[0].is_lost
    else:
        assert served.made[0].is_lost
        assert served.counters["write_buffer_limit", "aborted"] == 1
        assert lines[-1].endswith("octets are unread (write_buffer_limit)")
    assert (served.made[1].is_lost, len(peers[1].received)) == (False, 8 * 90_000)


@pytest.mark.network(link={"slicing": OneByte(), "latency": 0.01})
def test_octet_by_octet_under_a_rate(network: Network) -> None:
    served = start(network, lambda: Told(received=lambda p, data: p.transport.write(data)), rate=500, burst=1)
    peer = connect(network, network.host("client"), "server", PORT)
    question = network.random.randbytes(1500)
    peer.say(question)
    network.advance(30)
    assert (served.made[0].data, peer.received) == (question, question)


def test_a_partition_saves_no_tokens(network: Network) -> None:
    """After a minute without a network no more than the burst comes at once."""
    passed = Passed()
    start(network, lambda: Told(received=lambda _, data: passed.add(network.clock.now, len(data))), rate=1000)
    peer = connect(network, network.host("client"), "server", PORT)
    cut = network.partition("client", "server")
    peer.say(b"x" * 100_000)
    network.advance(60)
    network.end(cut)
    network.advance(150)
    assert passed.total == 100_000
    assert passed.most_beyond(1000) <= 201
