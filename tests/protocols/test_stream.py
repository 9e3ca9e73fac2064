"""Stream protocols over an in-memory transport."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import directlyProvides

from twistnet import EchoFactory, OneShotProtocol, StreamFactory, UpperFactory
from twistnet.protocols.one_shot import HELD, LINGER, PAUSE

PEER = IPv4Address("TCP", "192.0.2.7", 40000)


class Transport(StringTransport):
    """A `StringTransport` that can be half-closed."""

    half_closed = False

    def __init__(self) -> None:
        super().__init__(peerAddress=PEER)

    def loseWriteConnection(self) -> None:
        self.half_closed = True


def connect(factory: StreamFactory) -> tuple[Any, Transport]:
    """A protocol of the factory's, connected."""
    protocol, transport = factory.buildProtocol(PEER), Transport()
    protocol.makeConnection(transport)
    return protocol, transport


class EchoTests(SynchronousTestCase):
    """`EchoProtocol`."""

    def test_sends_back_what_it_receives(self) -> None:
        """Each piece goes back as it came."""
        protocol, transport = connect(EchoFactory())
        for piece in (b"hello", b"\x00\xff", b"x" * 100_000):
            protocol.dataReceived(piece)
            self.assertEqual(transport.value(), piece)
            transport.clear()

    def test_reads_no_more_from_a_peer_that_does_not_read(self) -> None:
        """The protocol is the producer of its own output, so that a full write buffer stops the reading."""
        protocol, transport = connect(EchoFactory())
        self.assertIs(transport.producer, protocol)
        self.assertTrue(transport.streaming)
        protocol.pauseProducing()
        self.assertEqual(transport.producerState, "paused")
        protocol.resumeProducing()
        self.assertEqual(transport.producerState, "producing")
        self.assertIs(transport.producer, protocol)

    def test_answers_a_peer_that_has_ended_its_input_then_closes(self) -> None:
        """Half-close: what is owed is sent, and no producer holds the close up."""
        protocol, transport = connect(EchoFactory())
        self.assertTrue(IHalfCloseableProtocol.providedBy(protocol))
        protocol.dataReceived(b"last words")
        protocol.readConnectionLost()
        self.assertEqual(transport.value(), b"last words")
        self.assertTrue(transport.disconnecting)
        self.assertIsNone(transport.producer)


class UpperTests(SynchronousTestCase):
    """`UpperProtocol`."""

    def test_upper_cases_bytes(self) -> None:
        """By default as `bytes.upper` does, and nothing else."""
        protocol, transport = connect(UpperFactory())
        protocol.dataReceived("héllo".encode())
        self.assertEqual(transport.value(), "HéLLO".encode())

    def test_a_character_split_in_two(self) -> None:
        """The first half is kept until the second one comes."""
        protocol, transport = connect(UpperFactory("utf-8"))
        for octet in "é日".encode():
            protocol.dataReceived(bytes([octet]))
        self.assertEqual(transport.value(), "É日".encode())

    def test_input_that_does_not_decode_closes_the_connection_with_one_line(self) -> None:
        """What came before it is answered; what comes after it is read and forgotten until the peer closes."""
        protocol, transport = connect(UpperFactory("utf-8"))
        protocol.dataReceived(b"good\xffbad")
        protocol.dataReceived(b"more")
        self.assertEqual(transport.value(), b"GOOD")
        self.assertTrue(transport.half_closed)
        protocol.writeConnectionLost()
        protocol.readConnectionLost()
        self.assertTrue(transport.disconnecting)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_wrong_encoding_is_an_error_before_any_connection(self) -> None:
        """The factory raises, not the protocol."""
        self.assertRaises(ValueError, UpperFactory, "utf-9")
        self.assertRaises(ValueError, UpperFactory, "utf-8", "sometimes")


class OneShotTests(SynchronousTestCase):
    """`OneShotProtocol`, which `--once` asks for."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.protocol, self.transport = connect(UpperFactory(once=True, clock=self.clock))
        self.assertIsInstance(self.protocol, OneShotProtocol)

    def lose(self) -> None:
        """The connection is lost, and leaves no timer."""
        self.protocol.connectionLost(connectionDone)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answers_what_comes_before_the_first_pause(self) -> None:
        """Then it stops sending, and closes once the peer has closed."""
        self.protocol.dataReceived(b"one ")
        self.clock.advance(PAUSE / 2)
        self.protocol.dataReceived(b"message")
        self.clock.advance(PAUSE / 2)
        self.assertFalse(self.transport.half_closed)
        self.clock.advance(PAUSE)
        self.assertEqual(self.transport.value(), b"ONE MESSAGE")
        self.assertTrue(self.transport.half_closed)
        self.assertFalse(self.transport.disconnecting)
        self.protocol.dataReceived(b"too late")
        self.protocol.readConnectionLost()
        self.assertEqual(self.transport.value(), b"ONE MESSAGE")
        self.assertTrue(self.transport.disconnecting)
        self.lose()

    def test_closes_a_peer_that_does_not(self) -> None:
        """Some time after everything has been sent, which is when the write half is lost."""
        self.protocol.dataReceived(b"x")
        self.clock.advance(PAUSE)
        self.clock.advance(LINGER * 10)
        self.assertFalse(self.transport.disconnecting)
        self.protocol.writeConnectionLost()
        self.clock.advance(LINGER)
        self.assertTrue(self.transport.disconnecting)
        self.lose()

    def test_a_peer_that_has_ended_its_input_is_answered_at_once(self) -> None:
        """There is no pause to wait for."""
        self.protocol.dataReceived(b"x")
        self.protocol.readConnectionLost()
        self.assertEqual(self.transport.value(), b"X")
        self.assertTrue(self.transport.disconnecting)
        self.lose()

    def test_a_long_message_is_answered_as_it_comes(self) -> None:
        """Not more than a bounded part of the answer is held back."""
        for _ in range(10):
            self.protocol.dataReceived(b"x" * HELD)
        self.assertGreaterEqual(len(self.transport.value()), 9 * HELD)
        self.lose()

    def test_waiting_for_the_peer_to_read_is_no_pause(self) -> None:
        """While reading is paused nothing can come, so nothing ends."""
        self.protocol.dataReceived(b"x")
        self.protocol.pauseProducing()
        self.assertEqual(self.transport.producerState, "paused")
        self.clock.advance(PAUSE * 100)
        self.assertFalse(self.transport.half_closed)
        self.protocol.resumeProducing()
        self.clock.advance(PAUSE)
        self.assertTrue(self.transport.half_closed)
        self.lose()

    def test_tls_has_no_half_close(self) -> None:
        """Over TLS it says farewell as TLS does."""
        transport = Transport()
        directlyProvides(transport, ISSLTransport)
        protocol = UpperFactory(once=True, clock=self.clock).buildProtocol(PEER)
        protocol.makeConnection(transport)
        protocol.dataReceived(b"x")
        self.assertEqual(transport.value(), b"X", "at once: the peer's farewell could overtake it")
        self.assertFalse(transport.disconnecting)
        self.clock.advance(PAUSE)
        self.assertTrue(transport.disconnecting)
        self.assertFalse(transport.half_closed)
        protocol.connectionLost(connectionDone)
        self.lose()

    def test_it_needs_a_clock(self) -> None:
        """Said when the factory is made."""
        self.assertRaises(ValueError, UpperFactory, once=True)
        self.assertRaises(ValueError, EchoFactory, once=True)

    def test_input_that_does_not_decode_ends_it(self) -> None:
        """What came before it is answered, and the close is as careful as ever."""
        protocol, transport = connect(UpperFactory("utf-8", once=True, clock=self.clock))
        protocol.dataReceived(b"good\xff")
        self.assertEqual(transport.value(), b"GOOD")
        self.assertTrue(transport.half_closed)
        protocol.connectionLost(connectionDone)
        self.lose()

    def test_a_connection_that_says_nothing_leaves_nothing(self) -> None:
        """Lost before anything came."""
        self.protocol.stopProducing()
        self.lose()
