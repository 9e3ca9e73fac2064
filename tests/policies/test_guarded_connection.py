"""The wrapper of stream connections: the protocol inside can tell no difference."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    ITCPTransport,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides, implementer
from zope.interface.verify import verifyObject

from tests.logged import LoggedCase
from twistnet import (
    AccessLog,
    ConnectionConfig,
    GuardedConnection,
    GuardedFactory,
    OpenConnections,
    PolicyCounters,
    SocketOptions,
)

PEER = IPv4Address("TCP", "192.0.2.7", 40000)


class Recorder:
    """An observer that remembers."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def opened(self, connection: GuardedConnection) -> None:
        self.events.append(("opened", connection.peer))

    def closed(self, connection: GuardedConnection, reason: Failure) -> None:
        self.events.append(("closed", reason.type))


class Inner(Protocol):
    """A protocol that remembers."""

    lost: Failure | None = None
    received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:
        self.lost = reason


class WatchedTests(SynchronousTestCase):
    """`GuardedFactory`, `GuardedConnection` and `GuardedTransport`."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.recorder = Recorder()

    def factory(self, inner: Any) -> GuardedFactory:
        """A factory of protocols of some class, watched."""
        return GuardedFactory(
            Factory.forProtocol(inner),
            ConnectionConfig(),
            clock=self.clock,
            name="test",
            observers=[self.recorder],
            counters=PolicyCounters(),
        )

    def connect(self, inner: Any = Inner, transport: Any = None) -> tuple[Any, Any, Any]:
        """The outer protocol, the inner one and the transport."""
        outer = self.factory(inner).buildProtocol(PEER)
        transport = transport or StringTransport(peerAddress=PEER)
        assert outer is not None
        outer.makeConnection(transport)
        return outer, outer.inner, transport  # type: ignore[attr-defined]

    def test_data_goes_both_ways_and_is_counted(self) -> None:
        """Octets in and out."""
        outer, inner, transport = self.connect()
        outer.dataReceived(b"hello")
        inner.transport.write(b"good")
        inner.transport.writeSequence(iter([b"b", b"ye"]))
        self.assertEqual((inner.received, transport.value()), (b"hello", b"goodbye"))
        self.assertEqual((outer.octets_in, outer.octets_out), (5, 7))

    def test_observers_hear_of_both_ends(self) -> None:
        """Opened before the protocol inside is connected, closed after it has lost."""
        outer, inner, _ = self.connect()
        self.assertEqual(self.recorder.events, [("opened", PEER)])
        outer.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.recorder.events[1:], [("closed", ConnectionDone)])
        assert inner.lost is not None

    def test_observers_hear_of_the_end_even_if_the_protocol_inside_raises(self) -> None:
        """No connection is counted for ever because of somebody's bug."""

        class Raising(Inner):
            def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:
                raise RuntimeError("a bug")

        outer, _, _ = self.connect(Raising)
        self.assertRaises(RuntimeError, outer.connectionLost, Failure(ConnectionDone()))
        self.assertEqual(self.recorder.events[1:], [("closed", ConnectionDone)])

    def test_a_factory_that_refuses_or_fails_is_survived(self) -> None:
        """A `buildProtocol` that returns None, or raises: the connection is closed, and takes no place."""

        class Refusing(Factory):
            def buildProtocol(self, addr: Any) -> None:
                return None

        class Raising(Factory):
            def buildProtocol(self, addr: Any) -> None:
                raise RuntimeError("a bug")

        for bad in (Refusing, Raising):
            factory = GuardedFactory(bad(), ConnectionConfig(), clock=self.clock, name="test")
            transport = StringTransport(peerAddress=PEER)
            factory.buildProtocol(PEER).makeConnection(transport)
            self.assertTrue(transport.disconnecting)
            self.assertEqual((len(factory.open), factory.gate.slots.open), (0, 0))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_provides_what_the_protocol_inside_provides(self) -> None:
        """Half-close and the handshake are offered only where they are wanted."""

        @implementer(IHalfCloseableProtocol, IHandshakeListener)
        class Both(Inner):
            heard: tuple[str, ...] = ()

            def readConnectionLost(self) -> None:
                self.heard += ("read",)

            def writeConnectionLost(self) -> None:
                self.heard += ("write",)

            def handshakeCompleted(self) -> None:
                self.heard += ("handshake",)

        outer, _, _ = self.connect()
        self.assertFalse(IHalfCloseableProtocol.providedBy(outer))
        self.assertTrue(ILoggingContext.providedBy(outer))
        self.assertEqual(outer.logPrefix(), "Inner")
        outer, inner, _ = self.connect(Both)
        for interface in (IHalfCloseableProtocol, IHandshakeListener):
            self.assertTrue(interface.providedBy(outer))
        outer.readConnectionLost()
        outer.writeConnectionLost()
        outer.handshakeCompleted()
        self.assertEqual(inner.heard, ("read", "write", "handshake"))

    def test_the_transport_provides_what_the_real_one_provides(self) -> None:
        """And every method of those interfaces is there."""
        transport = StringTransport(peerAddress=PEER)
        directlyProvides(transport, ITCPTransport)
        _, inner, _ = self.connect(transport=transport)
        self.assertTrue(verifyObject(ITCPTransport, inner.transport))

    def test_producers_go_through(self) -> None:
        """The inner transport can be a producer, and can have one."""
        _, inner, transport = self.connect()
        inner.transport.registerProducer(inner.transport, True)
        self.assertIs(transport.producer, inner.transport)
        transport.producer.pauseProducing()
        self.assertEqual(transport.producerState, "paused")
        transport.producer.resumeProducing()
        self.assertEqual(transport.producerState, "producing")
        inner.transport.unregisterProducer()
        self.assertIsNone(transport.producer)

    def test_a_protocol_can_hand_its_connection_over(self) -> None:
        """As HTTP upgrades do, by setting `transport.protocol`."""
        outer, inner, _ = self.connect()
        successor = Inner()
        inner.transport.protocol = successor
        outer.dataReceived(b"x")
        self.assertEqual((inner.received, successor.received), (b"", b"x"))
        self.assertIs(inner.transport.protocol, successor)

    def test_abort(self) -> None:
        """Where the transport can, and by closing where it cannot."""
        outer, _, transport = self.connect()
        outer.abort()
        self.assertTrue(transport.disconnecting)
        self.assertTrue(outer.closing)

    def test_the_factory_negotiates_if_the_one_inside_does(self) -> None:
        """ALPN."""

        @implementer(IProtocolNegotiationFactory)
        class Negotiating(Factory):
            def acceptableProtocols(self) -> list[bytes]:
                return [b"h2"]

        watched = GuardedFactory(
            Negotiating(),
            ConnectionConfig(),
            clock=self.clock,
            name="test",
            observers=[],
            counters=PolicyCounters(),
        )
        self.assertTrue(IProtocolNegotiationFactory.providedBy(watched))
        self.assertEqual(watched.acceptableProtocols(), [b"h2"])
        self.assertTrue(verifyObject(IProtocolFactory, watched))
        self.assertFalse(IProtocolNegotiationFactory.providedBy(self.factory(Inner)))

    def test_starts_and_stops_the_factory_inside(self) -> None:
        """`doStart` and `doStop`."""
        inner = Factory.forProtocol(Inner)
        inner.noisy = False
        watched = GuardedFactory(
            inner, ConnectionConfig(), clock=self.clock, name="test", observers=[], counters=PolicyCounters()
        )
        watched.doStart()
        self.assertEqual(inner.numPorts, 1)
        watched.doStop()
        self.assertEqual(inner.numPorts, 0)


class ObserverTests(LoggedCase):
    """What is done about connections."""

    namespace = "twistnet.access"

    def setUp(self) -> None:
        self.clock = Clock()
        super().setUp()

    def connect(self, *observers: Any, transport: Any = None) -> Any:
        """A connection that is watched."""
        factory = GuardedFactory(
            Factory.forProtocol(Inner),
            ConnectionConfig(),
            clock=self.clock,
            name="test",
            observers=observers,
            counters=PolicyCounters(),
        )
        connection = factory.buildProtocol(PEER)
        assert connection is not None
        connection.makeConnection(transport or StringTransport(peerAddress=PEER))
        return connection

    def test_the_access_log_has_a_line_for_each_end(self) -> None:
        """Peer, seconds, octets, and why."""
        connection = self.connect(AccessLog("echo", every=True))
        self.clock.advance(1.5)
        connection.dataReceived(b"12345")
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(
            self.lines,
            [
                "echo: 192.0.2.7:40000 opened",
                "echo: 192.0.2.7:40000 closed after 1.500 s, 5 octets in, 0 out: closed by the peer",
            ],
        )

    def test_without_it_only_bad_ends_are_told(self) -> None:
        """A reset is one line, and no traceback."""
        log = AccessLog("echo", every=False)
        for reason, told in (
            (ConnectionDone(), 0),
            (ConnectionAborted(), 0),
            (ConnectionLost(), 1),
            (OSError("odd\nly"), 2),
        ):
            self.connect(log).connectionLost(Failure(reason))
            self.assertEqual(len(self.lines), told)
        self.assertIn("lost: the peer reset the connection, or vanished", self.lines[0])
        self.assertTrue(self.lines[1].endswith("lost: odd ly"))

    def test_it_says_who_closed(self) -> None:
        """The service, the peer, or the service in answer to the peer."""
        log = AccessLog("echo", every=True)
        connection = self.connect(log)
        connection.inner.transport.loseConnection()
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertIn("closed by the service", self.lines[-1])
        connection = self.connect(log)
        connection.inner.readConnectionLost = lambda: None
        connection.readConnectionLost()
        connection.inner.transport.loseConnection()
        connection.connectionLost(Failure(ConnectionDone()))
        self.assertIn("closed by the peer", self.lines[-1])
        connection = self.connect(log)
        connection.abort()
        connection.connectionLost(Failure(ConnectionAborted()))
        self.assertIn("aborted by the service", self.lines[-1])

    def test_open_connections_are_known_until_the_last_one_is_lost(self) -> None:
        """And can be waited for, and aborted."""
        known = OpenConnections()
        self.assertEqual(self.successResultOf(known.when_none()), None)
        first, second = self.connect(known), self.connect(known)
        waiting, given_up = known.when_none(), known.when_none()
        given_up.cancel()
        self.failureResultOf(given_up)
        known.finish()  # of which a transport like theirs knows nothing
        self.assertFalse(first.transport.disconnecting)
        known.abort()
        self.assertTrue(first.transport.disconnecting)
        first.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(known), 1)
        self.assertNoResult(waiting)
        second.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(waiting)

    def test_socket_options_are_set_where_there_are_any(self) -> None:
        """TCP has them, a UNIX socket has not."""

        class Tcp(StringTransport):
            options: tuple[str, ...] = ()

            def setTcpNoDelay(self, enabled: bool) -> None:
                self.options += ("no_delay",)

            def setTcpKeepAlive(self, enabled: bool) -> None:
                self.options += ("keepalive",)

        both = SocketOptions(ConnectionConfig(no_delay=True, keepalive=True))
        tcp = Tcp(peerAddress=PEER)
        directlyProvides(tcp, ITCPTransport)
        self.connect(both, transport=tcp)
        self.assertEqual(tcp.options, ("no_delay", "keepalive"))
        tcp = Tcp(peerAddress=PEER)
        directlyProvides(tcp, ITCPTransport)
        self.connect(SocketOptions(ConnectionConfig()), transport=tcp)
        self.assertEqual(tcp.options, ())
        self.connect(both)
