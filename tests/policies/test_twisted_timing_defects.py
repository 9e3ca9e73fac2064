"""What is broken in the timeouts and rates of `twisted.protocols.policies`, as in `test_twisted_defects`."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.interfaces import IPullProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.protocols.policies import ThrottlingFactory, TimeoutFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.policies.twisteds import Kept, Verdict, Wrap, dial, guarded, is_alone, listen, on_both, twisteds
from twistnet import EchoFactory
from twistnet.simulation import Network

# Time


@on_both(
    "wrap",
    ours=guarded(idle_timeout=30),
    twisted=twisteds(TimeoutFactory, 30),
    fails=pytest.raises(AssertionError, match="by the global reactor's clock"),
)
def test_a_timeout_takes_the_global_reactor(network: Network, wrap: Wrap, verdict: Verdict) -> None:
    """Instead of the clock of its reactor."""
    with verdict:
        clock = Clock()
        listen(network, wrap, EchoFactory(), clock)
        peer = dial(network)
        network.advance(60)
        assert not peer.ended.called, "thirty seconds have passed by the global reactor's clock"
        clock.advance(30)
        network.run(peer.ended, timeout=1)
        peer.transport.loseConnection()
        network.advance(1)
        assert not clock.getDelayedCalls()


class Floods(Protocol):
    """Writes more than any buffer on the way holds."""

    lost = False
    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(bytes(10_000_000))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost = True


@pytest.mark.parametrize("settings", [{"idle_timeout": 30}, {"lifetime": 30}], ids="-".join)
@on_both(
    "wrap",
    ours=guarded,
    twisted=lambda **_: twisteds(TimeoutFactory, 30),
    fails=pytest.raises(AssertionError, match="still connected after an hour"),
)
def test_a_timeout_leaves_a_peer_that_does_not_read_for_ever(
    network: Network, wrap: Any, verdict: Verdict, settings: dict[str, int]
) -> None:
    """Ticket 8902: it only calls `loseConnection`, which waits until everything is written."""
    with verdict:
        factory = Kept(Floods)
        server = listen(network, wrap(**settings), factory)
        dial(network, reads=False)
        network.advance(3600)
        assert factory.made[0].lost, "still connected after an hour"
        assert is_alone(server)
        assert not server.getDelayedCalls()


# Rates


class Pauses(Protocol):
    """Reads nothing more once something has come, until it is told to."""

    received = b""
    is_paused = False
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        if not self.is_paused:
            self.is_paused = True
            self.transport.pauseProducing()


@on_both(
    "wrap",
    ours=guarded(rate=1000),
    twisted=twisteds(ThrottlingFactory, readLimit=1000),
    fails=pytest.raises(AssertionError, match=r"\d+ octets were delivered to a protocol that had paused"),
)
def test_throttling_resumes_what_the_application_has_paused(
    network: Network, wrap: Wrap, verdict: Verdict
) -> None:
    """Tickets 11009 and 11393: when its own pause is over, it does not ask whether that was the only one."""
    with verdict:
        factory = Kept(Pauses)
        listen(network, wrap, factory)
        question = network.random.randbytes(100_000)
        peer = dial(network)
        peer.say(question)
        network.advance(1)
        protocol = factory.made[0]
        before = len(protocol.received)
        assert before
        network.advance(3600)
        more = len(protocol.received) - before
        assert not more, f"{more} octets were delivered to a protocol that had paused"
        protocol.transport.resumeProducing()
        network.advance(120)
        assert protocol.received == question


@implementer(IPullProducer)
class File:
    """A hundred thousand octets that are asked for piece by piece, as those of a file that a web site sends."""

    left = 100_000

    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer

    def resumeProducing(self) -> None:
        self.left -= 500
        self.consumer.write(bytes(500))
        if not self.left:
            self.consumer.unregisterProducer()
            self.consumer.loseConnection()

    def stopProducing(self) -> None:
        """There is nothing to be done."""


class Sends(Protocol):
    """Sends a file."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.registerProducer(File(self.transport), False)


@on_both(
    "wrap",
    ours=guarded(rate=1000),
    twisted=twisteds(ThrottlingFactory, writeLimit=1000),
    fails=pytest.raises(AssertionError, match="100000 octets in ten seconds, of a thousand a second"),
)
def test_throttling_does_not_throttle_what_is_pulled(network: Network, wrap: Wrap, verdict: Verdict) -> None:
    """Ticket 11393: a file is sent before the first second is over, at the end of which it looks."""
    with verdict:
        listen(network, wrap, Kept(Sends))
        peer = dial(network)
        network.advance(10)
        came = len(peer.received)
        assert 9_500 <= came <= 10_500, f"{came} octets in ten seconds, of a thousand a second"
        network.advance(95)
        assert peer.ended.called
        assert len(peer.received) == 100_000
