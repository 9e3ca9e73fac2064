"""What happens at odd moments while policies hold octets back: pauses, closes, half-closes, errors, TLS."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost

from tests.peers import connect
from tests.policies.serving import PORT, Served, Told, connect_tls, settings, start
from tests.simulation.other_code.certificates import certificate
from twistnet.simulation import KernelConfig, Network, Reset

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""

FAST = 100 * 2**20
RESTRAINTS: list[dict[str, Any]] = [
    {},
    {"rate": FAST},
    {"rate": 50_000},
    {"high_water_mark": 1000},
    {"high_water_mark": 1000, "low_water_mark": 0},
    {"high_water_mark": 150_000},
    {"write_buffer_limit": 1_000_000},
]
"""The first is nothing at all: the bare factory."""


class Stream:
    """A producer that remembers what it was told."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def pauseProducing(self) -> None:
        self.heard.append("pause")

    def resumeProducing(self) -> None:
        self.heard.append("resume")

    def stopProducing(self) -> None:
        self.heard.append("stop")


@pytest.mark.parametrize("values", RESTRAINTS)
@pytest.mark.parametrize("octets", [70_000, 131_072, 190_000, 1_000_000])
def test_a_producer_that_was_paused_is_resumed(network: Network, values: Any, octets: int) -> None:
    """However little of what it has written is left to the transport."""
    stream = Stream()

    def write(protocol: Told) -> None:
        protocol.transport.registerProducer(stream, True)
        protocol.transport.write(b"x" * octets)

    start(network, lambda: Told(write), **values)
    peer = connect(network, network.host("client"), "server", PORT)
    network.advance(60)
    paused = octets > values.get("high_water_mark", 65_536)
    assert (len(peer.received), stream.heard) == (octets, ["pause", "resume"] if paused else [])


@pytest.mark.parametrize("values", RESTRAINTS)
@pytest.mark.parametrize("octets", [1001, 181_072, 500_000])
def test_a_peer_is_read_from_again_once_it_has_read(network: Network, values: Any, octets: int) -> None:
    served = start(
        network,
        lambda: Told(received=lambda protocol, data: protocol.transport.write(b"x" * octets)),
        **values,
    )
    peer = connect(network, network.host("client"), "server", PORT)
    for _ in range(3):
        peer.say(b"?")
        network.advance(30)
    assert (len(peer.received), served.made[0].data) == (3 * octets, b"???")


@pytest.mark.parametrize("inner", RESTRAINTS[1:])
@pytest.mark.parametrize("outer", RESTRAINTS[1:])
def test_guards_around_guards_resume_each_other(network: Network, inner: Any, outer: Any) -> None:
    """Whatever the marks of the one are to those of the other."""
    stream = Stream()

    def write(protocol: Told) -> None:
        protocol.transport.registerProducer(stream, True)
        protocol.transport.write(b"x" * 190_000)

    served = Served(
        network.host("server"),
        lambda: Told(write, lambda protocol, data: protocol.transport.write(data * 60_000)),
        settings(**inner),
        settings(**outer),
    )
    network.run(served.listen())
    peer = connect(network, network.host("client"), "server", PORT)
    for letter in (b"a", b"b"):
        network.advance(30)
        peer.say(letter)
    network.advance(30)
    assert served.made[0].data == b"ab"
    assert peer.received == b"x" * 190_000 + b"a" * 60_000 + b"b" * 60_000
    assert stream.heard[-1] == "resume"


@pytest.mark.parametrize("values", RESTRAINTS)
def test_a_pull_producer_that_fails_ends_the_connection(network: Network, values: Any) -> None:
    """As it does on a bare transport, where its error is that of the write."""

    class Failing(Stream):
        transport: Any

        def resumeProducing(self) -> None:
            super().resumeProducing()
            if len(self.heard) == 3:
                raise RuntimeError("a bug")
            self.transport.write(b"x" * 1000)

    def register(protocol: Told) -> None:
        producer = Failing()
        producer.transport = protocol.transport
        protocol.transport.registerProducer(producer, False)

    with network.expected_errors(RuntimeError):
        served = start(network, lambda: Told(register), **values)
        connect(network, network.host("client"), "server", PORT)
        network.advance(10)
        assert served.made[0].is_lost


@pytest.mark.parametrize("values", RESTRAINTS)
def test_an_error_in_data_received_is_the_last_that_it_hears_but_the_loss(
    network: Network, values: Any
) -> None:
    def fail(protocol: Told, data: bytes) -> None:
        raise RuntimeError("a bug")

    with network.expected_errors(RuntimeError) as errors:
        served = start(network, lambda: Told(lambda p: p.transport.write(b"x" * 90_000), fail), **values)
        peer = connect(network, network.host("client"), "server", PORT)
        peer.say(b"y" * 200_000)
        network.advance(30)
    assert len(errors) == 1
    assert len(served.made[0].events) == 3
    assert served.made[0].is_lost
    assert served.server.getDelayedCalls() == []


def test_an_error_while_the_rest_is_delivered_at_the_loss(network: Network) -> None:
    """Is logged; the loss is told, the producer is stopped and nothing stays behind."""
    stream = Stream()

    def fail_later(protocol: Told, data: bytes) -> None:
        if len(protocol.data) > 500:
            raise RuntimeError("a bug")

    with network.expected_errors(RuntimeError) as errors:
        served = start(
            network,
            lambda: Told(lambda p: p.transport.registerProducer(stream, True), fail_later),
            rate=1000,
        )
        peer = connect(network, network.host("client"), "server", PORT)
        peer.say(b"y" * 2000)
        network.advance(0.1)
        network.begin(Reset("client", "server"))
        network.advance(0.01)
        served.made[0].transport.write(b"who is there?")
        network.advance(1)
    assert len(errors) == 1
    assert (served.made[0].events[-1], stream.heard) == (ConnectionLost, ["stop"])
    served.assert_at_rest()


@pytest.mark.parametrize("values", [*RESTRAINTS, {"rate": 1000, "dry_run": True}])
def test_pausing_and_resuming_at_once_stops_nothing(network: Network, values: Any) -> None:
    def hesitate(protocol: Told, data: bytes) -> None:
        protocol.transport.pauseProducing()
        protocol.transport.resumeProducing()

    served = start(network, lambda: Told(received=hesitate), **values)
    peer = connect(network, network.host("client"), "server", PORT)
    peer.say(b"y" * 50_000)
    network.advance(60)
    peer.say(b"z" * 50_000)
    network.advance(60)
    assert len(served.made[0].data) == 100_000


@pytest.mark.parametrize("values", RESTRAINTS)
def test_the_end_of_the_input_is_told_once(network: Network, values: Any) -> None:
    """Though the marks stop and start the reading after it."""

    def answer(protocol: Told) -> None:
        protocol.transport.write(b"x" * 400_000)

    served = start(network, lambda: Told(finished=answer), **values)
    peer = connect(network, network.host("client"), "server", PORT)
    peer.say(b"?", finish=True)
    network.advance(60)
    assert len(peer.received) == 400_000
    assert served.made[0].events == ["made", b"?", "finished"]


# TLS


@pytest.mark.parametrize("values", RESTRAINTS)
@pytest.mark.parametrize("octets", [5, 100_000])
def test_a_close_over_tls_is_one(network: Network, values: Any, octets: int) -> None:
    """The peer's farewell is waited for, and so it has to be read; what comes before it is not delivered."""

    def answer(protocol: Told, data: bytes) -> None:
        protocol.transport.write(b"x" * octets)
        protocol.transport.loseConnection()

    served = start(network, lambda: Told(received=answer), tls=True, **values)
    peer = connect_tls(network, network.host("client"))
    peer.say(b"hello" * 1000)
    network.advance(30)
    assert peer.received == b"x" * octets
    assert (network.run(peer.lost), served.made[0].events[-1]) == (ConnectionDone, ConnectionDone)
    assert served.server.getDelayedCalls() == []


@pytest.mark.parametrize("values", RESTRAINTS)
@pytest.mark.parametrize("nested", [False, True])
def test_who_speaks_first_over_tls_is_heard(network: Network, values: Any, nested: bool) -> None:
    """More than the marks allow waits for the handshake, which cannot be done without reading."""
    configs = [settings(**values)] * (2 if nested else 1)
    served = Served(
        network.host("server"), lambda: Told(lambda p: p.transport.write(b"x" * 400_000)), *configs
    )
    network.run(served.listen(tls=True))
    peer = connect_tls(network, network.host("client"))
    network.advance(20)
    assert len(peer.received) == 400_000


def test_what_waits_for_the_handshake_counts_as_unread(network: Network) -> None:
    """A client that connects and then says nothing makes TLS keep all that a server has to say."""
    served = start(
        network, lambda: Told(lambda p: p.transport.write(b"x" * 20_000)), tls=True, write_buffer_limit=10_000
    )
    peer = connect(network, network.host("client"), "server", PORT)
    network.advance(1)
    assert served.made[0].is_lost
    assert served.counters["write_buffer_limit", "aborted"] == 1
    assert network.run(peer.lost) is ConnectionLost


def test_what_waits_for_a_handshake_that_was_started_later_counts_too(network: Network) -> None:
    def start_tls(protocol: Told, data: bytes) -> None:
        protocol.transport.startTLS(certificate("server").options())
        protocol.transport.write(b"x" * 20_000)

    served = start(network, lambda: Told(received=start_tls), write_buffer_limit=10_000)
    peer = connect(network, network.host("client"), "server", PORT)
    peer.say(b"starttls")
    network.advance(1)
    assert served.made[0].is_lost
    assert served.counters["write_buffer_limit", "aborted"] == 1


@pytest.mark.parametrize("values", RESTRAINTS)
def test_a_peer_that_reads_slowly_over_tls_is_read_from_again(network: Network, values: Any) -> None:
    served = start(
        network,
        lambda: Told(received=lambda protocol, data: protocol.transport.write(b"x" * 181_072)),
        tls=True,
        **values,
    )
    slow = network.host("client", config=KernelConfig(receive_buffer=4096))
    network.link("client", "server").update(rate=50_000.0)
    peer = connect_tls(network, slow)
    for _ in range(3):
        peer.say(b"?")
        network.advance(30)
    assert (len(peer.received), served.made[0].data) == (3 * 181_072, b"???")


@pytest.mark.parametrize("values", RESTRAINTS)
def test_a_farewell_that_came_with_the_question_closes_the_connection(network: Network, values: Any) -> None:
    """TLS has its transport closed, which waits for a producer that it has paused: a guard's is none to wait for."""
    served = start(
        network,
        lambda: Told(received=lambda protocol, data: protocol.transport.write(b"x" * 200_000)),
        tls=True,
        **values,
    )
    peer = connect_tls(network, network.host("client"))
    peer.say(b"?")
    peer.transport.loseConnection()
    network.advance(30)
    assert served.made[0].events == ["made", b"?", ConnectionDone]
    assert served.server.getDelayedCalls() == []
