"""What a link does, measured: 10,000 datagrams agree with its settings within three standard errors."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from zope.interface import implementer

from twistnet.simulation import (
    Exponential,
    GilbertElliott,
    Host,
    KernelConfig,
    LinkConfig,
    Network,
    Normal,
    RandomSizes,
    Trace,
    Uniform,
)

COUNT = 10_000
GAP = 0.001
"""Seconds between two datagrams."""


class Arrivals(DatagramProtocol):
    """Notes which datagrams come, and how long each was on its way."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.numbers: list[int] = []
        self.delays: list[float] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        number, sent = struct.unpack_from("!Id", datagram)
        self.numbers.append(number)
        self.delays.append(self.host.seconds() - sent)


def two_hosts(seed: int, link: dict[str, Any] | LinkConfig, **config: Any) -> tuple[Network, Host, Host]:
    """A network that writes nothing down."""
    network = Network(seed, link=link, trace=Trace(limit=0))
    return network, network.host("a"), network.host("b", config=KernelConfig(**config))


def send(count: int = COUNT, size: int = 100, gap: float = GAP, seed: int = 1, **link: Any) -> Arrivals:
    """What becomes of datagrams that leave at regular intervals."""
    network, a, b = two_hosts(seed, link)
    arrivals = Arrivals(b)
    b.listenUDP(9, arrivals)
    sending = a.listenUDP(0, DatagramProtocol())

    def send_one(number: int) -> None:
        datagram = struct.pack("!Id", number, a.seconds()).ljust(size, b".")
        sending.write(datagram, (b.addresses[0], 9))
        if number + 1 < count:
            a.callLater(gap, send_one, number + 1)

    send_one(0)
    network.advance(count * gap + 100)
    assert network.clock.next_time is None
    return arrivals


def within_three_errors(measured: float, expected: float, deviation: float, count: int = COUNT) -> None:
    """See that a mean is what it should be, given the standard deviation of one value."""
    error = deviation / math.sqrt(count)
    assert abs(measured - expected) <= 3 * error, (
        f"{measured} is {(measured - expected) / error:.1f} errors off"
    )


def share(probability: float, happened: int, count: int = COUNT) -> None:
    """See that something happened as often as it should."""
    within_three_errors(happened / count, probability, math.sqrt(probability * (1 - probability)), count)


# Datagrams


def test_without_settings_every_datagram_arrives_once_after_the_latency() -> None:
    arrivals = send(latency=0.25)
    assert arrivals.numbers == list(range(COUNT))
    assert arrivals.delays == pytest.approx([0.25] * COUNT)


@pytest.mark.parametrize("probability", [0.01, 0.2, 0.5])
def test_as_many_are_lost_as_should_be(probability: float) -> None:
    share(probability, COUNT - len(send(loss=probability).numbers))


def test_as_many_come_twice_as_should() -> None:
    probability = 0.3
    numbers = send(duplicate=probability).numbers
    assert set(numbers) == set(range(COUNT))
    share(probability, len(numbers) - COUNT)


def test_as_many_are_held_back_as_should_be_and_no_longer_than_said() -> None:
    probability, latency = 0.2, 0.05
    delays = send(reorder=probability, latency=latency).delays
    held = [delay for delay in delays if delay > latency * (1 + 1e-9)]
    share(probability, len(held))
    assert max(delays) <= 3 * latency
    assert min(delays) == pytest.approx(latency)


@pytest.mark.parametrize(
    ("jitter", "extra", "deviation", "median", "kurtosis"),
    [
        (Uniform(0.05), 0.0, 0.05 / math.sqrt(3), 0.0, 1.8),
        (Normal(0.01), 0.0, 0.01, 0.0, 3.0),
        (Exponential(0.02), 0.02, 0.02, 0.02 * math.log(2), 9.0),
    ],
)
def test_delays_have_the_distribution_that_was_asked_for(
    jitter: Any, extra: float, deviation: float, median: float, kurtosis: float
) -> None:
    latency = 0.1
    delays = send(latency=latency, jitter=jitter).delays
    assert len(delays) == COUNT
    mean = sum(delays) / COUNT
    within_three_errors(mean, latency + extra, deviation)
    variance = sum((delay - mean) ** 2 for delay in delays) / (COUNT - 1)
    within_three_errors(variance, deviation**2, deviation**2 * math.sqrt(kurtosis - 1))
    share(0.5, sum(delay < latency + median for delay in delays))


def test_a_rate_is_kept_to_the_octet() -> None:
    """1,000 octets with the headers, ten times as fast as the link takes them."""
    arrivals = send(size=972, latency=0.1, rate=100_000)
    assert arrivals.numbers == list(range(COUNT))
    waits = [delay + number * GAP for number, delay in enumerate(arrivals.delays)]
    assert waits == pytest.approx([0.1 + 0.01 * (number + 1) for number in range(COUNT)])


def test_what_a_full_queue_drops_is_what_the_rate_leaves_over() -> None:
    """Twice as much is sent as the link takes, and the queue holds a fifth of a second."""
    arrivals = send(size=972, gap=0.005, latency=0.1, rate=100_000, queue=30_000)
    assert len(arrivals.numbers) == pytest.approx(COUNT / 2, abs=30)
    assert max(arrivals.delays) <= 0.3 + 0.01
    assert arrivals.delays[-1] == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize(
    "model",
    [
        GilbertElliott(to_bad=0.02, to_good=0.25),
        GilbertElliott(to_bad=0.05, to_good=0.1, good=0.01, bad=0.5),
    ],
)
def test_bursts_lose_as_many_as_the_chain_says(model: GilbertElliott) -> None:
    """The variance is that of a mean over a two-state Markov chain, whose terms are correlated."""
    lost = COUNT - len(send(loss=model).numbers)
    in_bad = model.to_bad / (model.to_bad + model.to_good)
    expected = in_bad * model.bad + (1 - in_bad) * model.good
    memory = 1 - model.to_bad - model.to_good
    together = 2 * (model.bad - model.good) ** 2 * in_bad * (1 - in_bad) * memory / (1 - memory)
    within_three_errors(lost / COUNT, expected, math.sqrt(expected * (1 - expected) + together))


def test_bursts_are_as_long_as_the_chain_says() -> None:
    arrived = set(send(loss=GilbertElliott(to_bad=0.02, to_good=0.25)).numbers)
    bursts, length = list[int](), 0
    for number in range(COUNT):
        if number not in arrived:
            length += 1
        elif length:
            bursts.append(length)
            length = 0
    within_three_errors(sum(bursts) / len(bursts), 4.0, math.sqrt(1 - 0.25) / 0.25, len(bursts))


def test_independent_losses_come_in_bursts_of_chance_alone() -> None:
    arrived = set(send(loss=0.2).numbers)
    pairs = sum(number not in arrived and number + 1 not in arrived for number in range(COUNT - 1))
    share(0.2**2, pairs, COUNT - 1)


# Streams


class Gathering(Protocol):
    """Keeps all octets, and says when there are no more."""

    transport: Any

    def __init__(self) -> None:
        self.octets = bytearray()
        self.whole: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.octets += data

    def connectionLost(self, reason: Any = None) -> None:
        self.whole.callback(bytes(self.octets))


def connect(network: Network, a: Host, server: Protocol, client: Protocol) -> Any:
    """A connection to port 7 of `b`."""
    network.hosts["b"].listenTCP(7, Factory.forProtocol(lambda: server))
    endpoint = HostnameEndpoint(a, "b", 7)
    network.run(endpoint.connect(Factory.forProtocol(lambda: client)))
    return client.transport


@pytest.mark.parametrize(
    "link",
    [
        {"loss": 0.2},
        {"loss": 0.2, "jitter": 0.02, "reorder": 0.2, "duplicate": 0.2, "latency": 0.02},
        {
            "loss": GilbertElliott(to_bad=0.05, to_good=0.2),
            "slicing": RandomSizes(1, 2000),
            "rate": 1_000_000,
        },
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_stream_over_loss_delivers_every_octet_in_order(link: dict[str, Any], seed: int) -> None:
    network, a, _ = two_hosts(seed, link)
    data = network.random.randbytes(500_000)
    server = Gathering()
    transport = connect(network, a, server, Protocol())
    transport.write(data)
    transport.loseConnection()
    assert network.run(server.whole) == data


@implementer(IPushProducer)
class Source:
    """Writes whenever it may, until all is written."""

    def __init__(self, transport: Any, total: int) -> None:
        self.transport = transport
        self.left = total
        self.written = 0
        self.pauses = 0
        self.is_paused = False

    def resumeProducing(self) -> None:
        self.is_paused = False
        while not self.is_paused and self.left:
            size = min(10_000, self.left)
            self.left -= size
            self.written += size
            self.transport.write(b"x" * size)
        if not self.left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def pauseProducing(self) -> None:
        self.pauses += 1
        self.is_paused = True

    def stopProducing(self) -> None:
        self.left = 0


class SlowReader(Gathering):
    """Rests for a second after each read."""

    def __init__(self, host: Host, source: Callable[[], Source | None]) -> None:
        super().__init__()
        self.host = host
        self.source = source
        self.most_between = 0

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        source = self.source()
        assert source is not None
        self.most_between = max(self.most_between, source.written - len(self.octets))
        self.transport.pauseProducing()
        self.host.callLater(1, self.transport.resumeProducing)


def test_a_slow_readers_sender_is_paused_and_what_is_between_them_stays_bounded() -> None:
    """The two buffers of the kernels, the one of the transport, and what was just written."""
    network, a, b = two_hosts(1, {}, send_buffer=100_000, receive_buffer=50_000)
    sources = list[Source]()
    server = SlowReader(b, lambda: sources[0] if sources else None)
    transport = connect(network, a, server, Protocol())
    source = Source(transport, 5_000_000)
    sources.append(source)
    transport.registerProducer(source, True)
    source.resumeProducing()
    assert source.is_paused
    network.advance(10)
    assert source.left > 3_000_000
    assert network.run(server.whole) == b"x" * 5_000_000
    assert source.pauses > 10
    limits = a.kernel.config.send_buffer + b.kernel.config.receive_buffer
    assert server.most_between <= limits + 2**16 + 10_000
