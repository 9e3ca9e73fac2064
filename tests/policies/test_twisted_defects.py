"""What is broken in `twisted.protocols.policies`, one test each: it fails there as it says, and passes with a guard.

Each test is named for what Twisted's class does, and has the number of its ticket where there is one.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, wrapClientTLS
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import globalLogPublisher
from twisted.protocols.basic import LineReceiver
from twisted.protocols.policies import (
    LimitConnectionsByPeer,
    LimitTotalConnectionsFactory,
    ThrottlingFactory,
    TrafficLoggingFactory,
    WrappingFactory,
)
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.logged import Lines
from tests.peers import Peer
from tests.policies.twisteds import (
    PORT,
    Kept,
    Verdict,
    Wrap,
    dial,
    guarded,
    is_alone,
    is_served,
    listen,
    on_both,
    twisteds,
)
from tests.simulation.other_code.certificates import certificate, trust_root
from twistnet import AccessLog, ConnectionConfig, EchoFactory, GuardedFactory, PolicyCounters
from twistnet.errors import ErrorsLogged
from twistnet.simulation import Network

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""
NO_PROTOCOL = "AttributeError: 'NoneType' object has no attribute 'makeConnection'"


# Limits


@on_both(
    "wrap",
    ours=guarded(per_source=2, overflow="refuse"),
    twisted=twisteds(LimitConnectionsByPeer),
    fails=pytest.raises(ErrorsLogged, match="TypeError: 'IPv4Address' object is not subscriptable"),
)
def test_a_limit_by_peer_raises_type_error_on_every_connection(
    network: Network, wrap: Wrap, verdict: Verdict
) -> None:
    """Ticket 12183: it takes an address for a tuple."""
    with verdict:
        listen(network, wrap, EchoFactory())
        first, second, third = (dial(network) for _ in range(3))
        assert is_served(network, first)
        assert is_served(network, second)
        assert not is_served(network, third)
        assert is_served(network, dial(network, "other"))
        second.transport.loseConnection()
        network.advance(1)
        assert is_served(network, dial(network))


@on_both(
    "wrap",
    ours=guarded(max_connections=1, overflow="refuse"),
    twisted=twisteds(LimitTotalConnectionsFactory),
    fails=pytest.raises(TypeError, match="takes no arguments"),
)
def test_a_limit_of_all_connections_cannot_wrap_a_factory(
    network: Network, wrap: Wrap, verdict: Verdict
) -> None:
    """It has to be made the factory's base class."""
    with verdict:
        listen(network, wrap, EchoFactory())
        first, second = dial(network), dial(network, "other")
        assert is_served(network, first)
        assert not is_served(network, second)


class FailsOnce(EchoFactory):
    """Builds no protocol for its first connection, and one for each that follows."""

    asked = False

    def buildProtocol(self, addr: Any) -> Any:
        asked, self.asked = self.asked, True
        if not asked:
            raise ZeroDivisionError
        return super().buildProtocol(addr)


@on_both(
    "wrap",
    ours=guarded(max_connections=1, overflow="refuse"),
    twisted=twisteds(ThrottlingFactory, 1),
    fails=pytest.raises(AssertionError, match="the failed build has kept the slot"),
)
def test_throttling_leaks_a_slot_when_the_factory_inside_fails(
    network: Network, wrap: Wrap, verdict: Verdict
) -> None:
    """It counts a connection before it has a protocol for it."""
    with verdict, network.expected_errors(ZeroDivisionError):
        listen(network, wrap, FailsOnce())
        failed = dial(network)
        network.advance(1)
        assert failed.ended.called or failed.lost.called
        assert is_served(network, dial(network, "other")), "the failed build has kept the slot"


# Refusals


class Refusing(Factory):
    """Lets nobody in."""

    noisy = False

    def buildProtocol(self, addr: Any) -> None:
        return None


@pytest.mark.parametrize("settings", [{"lifetime": 60}, {"max_connections": 1}, {"rate": 1000}], ids="-".join)
@on_both(
    "wrap",
    ours=guarded,
    twisted=lambda **_: twisteds(WrappingFactory),
    fails=pytest.raises(ErrorsLogged, match=NO_PROTOCOL),
)
def test_a_wrapper_wraps_a_refusal_and_crashes(
    network: Network, wrap: Any, verdict: Verdict, settings: dict[str, int]
) -> None:
    """Tickets 5232 and 6640: `buildProtocol` may return None (`IProtocolFactory`)."""
    with verdict:
        server = listen(network, wrap(**settings), Refusing())
        for _ in range(3):
            peer = dial(network)
            network.advance(1)
            assert peer.ended.called, "the refused peer was left connected"
            peer.transport.loseConnection()
            assert network.run(peer.lost) is ConnectionDone
        assert is_alone(server)
        assert not server.getDelayedCalls()


def over_tls(wrap: Wrap) -> Wrap:
    """TLS around it."""
    return lambda factory, clock: TLSMemoryBIOFactory(
        certificate("server").options(), False, wrap(factory, clock), clock=clock
    )


@on_both(
    "wrap",
    ours=over_tls(guarded(max_connections=1)),
    twisted=over_tls(lambda factory, clock: factory),
    fails=pytest.raises(ErrorsLogged, match=NO_PROTOCOL),
)
def test_tls_wraps_a_refusal_and_crashes(network: Network, wrap: Wrap, verdict: Verdict) -> None:
    """Tickets 5232 and 6640: Twisted's TLS is a `WrappingFactory` too. A guard within it refuses for the factory."""
    with verdict:
        server = listen(network, wrap, Refusing())
        tls = wrapClientTLS(
            optionsForClientTLS("server", trust_root()),
            HostnameEndpoint(network.hosts["client"], "server", PORT),
        )
        for _ in range(3):
            peer: Any = network.run(connectProtocol(tls, Peer()))
            network.advance(5)
            assert peer.lost.called, "the refused peer was left connected"
        assert is_alone(server)


def test_a_guard_around_tls_that_crashes_so_has_its_slots_back(network: Network) -> None:
    """Twisted's TLS leaves the peer connected and raises again when it is lost: a guard's lifetime ends it."""
    guards: list[GuardedFactory] = []

    def wrap(factory: Any, clock: Any) -> GuardedFactory:
        around_tls = guarded(max_connections=1, lifetime=60)
        guards.append(around_tls(over_tls(lambda inner, _: inner)(factory, clock), clock))
        return guards[0]

    with network.expected_errors(AttributeError) as crashes:
        server = listen(network, wrap, Refusing())
        peers = [dial(network), dial(network)]
        network.advance(30)
        assert (guards[0].gate.slots.open, len(crashes)) == (1, 1)
        network.advance(180)
        assert all(peer.ended.called or peer.lost.called for peer in peers)
        assert (guards[0].gate.slots.open, len(guards[0].open), len(crashes)) == (0, 0, 4)
        assert is_alone(server)
        assert not server.getDelayedCalls()


# Closing


@implementer(IHalfCloseableProtocol)
class AnswersAtTheEnd(Protocol):
    """Answers when the peer has finished."""

    asked = b""
    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.asked += data

    def readConnectionLost(self) -> None:
        self.transport.write(self.asked.upper())
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """It half-closes nothing itself."""


@on_both(
    "wrap",
    ours=guarded(idle_timeout=60, rate=1000),
    twisted=twisteds(WrappingFactory),
    fails=pytest.raises(AssertionError, match="half-close was taken for a full close"),
)
def test_a_wrapper_makes_a_half_close_a_full_close(network: Network, wrap: Wrap, verdict: Verdict) -> None:
    """It hides that the protocol inside is an `IHalfCloseableProtocol`."""
    with verdict:
        listen(network, wrap, Kept(AnswersAtTheEnd))
        peer = dial(network)
        peer.say(b"question", finish=True)
        network.advance(1)
        assert peer.received == b"QUESTION", "the half-close was taken for a full close"


class AbortsAtOnce(LineReceiver):
    """Aborts when the first line comes."""

    delimiter = b"\n"
    lines: tuple[bytes, ...] = ()
    reason: Any = None
    transport: Any

    def lineReceived(self, line: bytes) -> None:
        self.lines += (line,)
        self.transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason.type


@pytest.mark.parametrize("settings", [{"lifetime": 60}, {"lifetime": 60, "rate": 1000}], ids="-".join)
@on_both(
    "wrap",
    ours=guarded,
    twisted=lambda **_: twisteds(WrappingFactory),
    fails=pytest.raises(AssertionError, match="3 lines were delivered"),
)
def test_an_abort_leaves_disconnecting_false(
    network: Network, wrap: Any, verdict: Verdict, settings: dict[str, int]
) -> None:
    """So that a `LineReceiver`, which looks at it between two lines, goes on to deliver them."""
    with verdict:
        factory = Kept(AbortsAtOnce)
        listen(network, wrap(**settings), factory)
        dial(network).say(b"one\ntwo\nthree\n")
        network.advance(1)
        assert factory.made[0].reason is ConnectionAborted
        delivered = len(factory.made[0].lines)
        assert delivered == 1, f"{delivered} lines were delivered"


# Logging


class InMemory(TrafficLoggingFactory):
    """Writes its log into memory."""

    def open(self, name: str) -> Any:
        return io.StringIO()


def access_log(factory: Any, clock: Any) -> GuardedFactory:
    """Our access log around a factory."""
    observers = [AccessLog("echo", every=True)]
    return GuardedFactory(
        factory, ConnectionConfig(), clock=clock, observers=observers, counters=PolicyCounters()
    )


@pytest.fixture
def access() -> Iterator[list[str]]:
    """The lines of the access log."""
    observer = Lines("twistnet.access")
    globalLogPublisher.addObserver(observer)
    yield observer.lines
    globalLogPublisher.removeObserver(observer)


@on_both(
    "wrap",
    ours=access_log,
    twisted=twisteds(InMemory, "traffic", lengthLimit=20),
    fails=pytest.raises(ErrorsLogged, match="TypeError: can't concat str to bytes"),
)
def test_a_log_of_traffic_raises_type_error_when_its_lines_have_a_limit(
    network: Network, wrap: Wrap, verdict: Verdict, access: list[str]
) -> None:
    """At the first segment that is longer. Ours says how much went each way, and nothing of what it was."""
    with verdict:
        listen(network, wrap, EchoFactory())
        peer = dial(network)
        peer.say(b"x" * 100)
        network.advance(1)
        assert peer.received == b"x" * 100
        peer.transport.loseConnection()
        network.advance(1)
        assert len(access) == 2
        assert "100 octets in, 100 out: closed by the peer" in access[1]
