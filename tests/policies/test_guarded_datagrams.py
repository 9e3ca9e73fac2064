"""The wrapper around a `DatagramProtocol`."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import Clock

from tests.logged import LoggedCase
from twistnet import (
    DatagramConfig,
    EchoDatagramProtocol,
    GuardedDatagramProtocol,
    PolicyCounters,
    policy_counters,
)
from twistnet.policies.datagram_guard import RETURNS

CLIENT = ("198.51.100.7", 40000)


class Port:
    """A datagram transport in memory."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, Any]] = []
        self.error: Exception | None = None

    def getHost(self) -> IPv4Address:
        return IPv4Address("UDP", "192.0.2.1", 7009)

    def write(self, packet: bytes, addr: Any = None) -> None:
        if self.error:
            raise self.error
        self.written.append((packet, addr))


class GuardedTests(LoggedCase):
    """`GuardedDatagramProtocol`."""

    namespace = "twistnet.guard"

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        self.clock.advance(1000)
        self.port = Port()

    def guarded(self, inner: DatagramProtocol | None = None, **settings: Any) -> GuardedDatagramProtocol:
        """A guarded protocol on the port."""
        protocol = GuardedDatagramProtocol(
            inner or EchoDatagramProtocol(), DatagramConfig(**settings), self.clock, "dg"
        )
        protocol.makeConnection(self.port)  # type: ignore[arg-type]
        return protocol

    def test_answers_what_may_be_answered(self) -> None:
        """The protocol inside sees it, and its reply goes out."""
        protocol = self.guarded()
        protocol.datagramReceived(b"x", CLIENT)
        protocol.datagramReceived(b"x", ("198.51.100.7", 7))
        self.assertEqual(self.port.written, [(b"x", CLIENT)])
        assert protocol.guard is not None
        self.assertEqual(protocol.guard.counters["answered"], 1)
        self.assertEqual(
            self.lines, ["dg: 1 dropped, the last from 198.51.100.7:7: source port of a service"]
        )

    def test_says_why_once_a_minute(self) -> None:
        """However many datagrams are dropped."""
        protocol = self.guarded()
        for _ in range(1000):
            protocol.datagramReceived(b"x", ("198.51.100.7", 7))
        self.assertEqual(len(self.lines), 1)
        self.clock.advance(61)
        protocol.datagramReceived(b"x", ("198.51.100.7", 7))
        self.assertIn("1000 dropped", self.lines[1])

    def test_every_drop_is_counted_with_the_other_policies(self) -> None:
        """As `guard`, with its reason; in the counters of the process for its name, if it was given none."""
        counters = PolicyCounters()
        for own in (counters, None):
            protocol = GuardedDatagramProtocol(
                EchoDatagramProtocol(), DatagramConfig(max_datagram=5), self.clock, "counted guard", own
            )
            protocol.makeConnection(self.port)  # type: ignore[arg-type]
            for payload, source in ((b"x", CLIENT), (b"x", ("198.51.100.7", 7)), (b"x" * 6, CLIENT)):
                protocol.datagramReceived(payload, source)
        expected = [(("guard", "longer than max_datagram"), 1), (("guard", "source port of a service"), 1)]
        self.assertEqual(list(counters), expected)
        self.assertEqual(list(policy_counters("counted guard")), expected)

    def test_a_clock_that_is_put_back_hushes_nothing(self) -> None:
        """The next line comes when it would have come."""
        protocol = self.guarded()
        protocol.datagramReceived(b"x", ("198.51.100.7", 7))
        self.clock.rightNow -= 900
        protocol.datagramReceived(b"x", ("198.51.100.7", 7))
        self.assertEqual(len(self.lines), 2)

    def test_two_services_fall_silent(self) -> None:
        """Pointed at each other by one forged datagram, both say why in one line at most."""
        other = GuardedDatagramProtocol(EchoDatagramProtocol(), DatagramConfig(), self.clock, "other")
        other_port = Port()
        other.makeConnection(other_port)  # type: ignore[arg-type]
        protocol = self.guarded()
        here, there = ("203.0.113.1", 7009), ("203.0.113.2", 7010)
        other_port.written.append((b"forged", there))
        bounces = 0
        while self.port.written or other_port.written:
            bounces += 1
            self.assertLess(bounces, 10 * RETURNS)
            for port, answerer, source in ((other_port, protocol, there), (self.port, other, here)):
                arrived, port.written = port.written, []
                for payload, _ in arrived:
                    self.clock.advance(1e-4)
                    answerer.datagramReceived(payload, source)
        self.assertEqual(len(self.lines), 1)
        self.assertIn("a loop, ended by not answering them for 2 s", self.lines[0])

    def test_a_reply_that_cannot_be_sent_is_counted(self) -> None:
        """It is no exception to the protocol inside, and no traceback in the log."""
        protocol = self.guarded()
        self.port.error = OSError(101, "Network is unreachable")
        protocol.datagramReceived(b"x", CLIENT)
        assert protocol.guard is not None
        self.assertEqual(protocol.guard.counters["not sent: Network is unreachable"], 1)
        self.assertEqual(len(self.lines), 1)
        for number in range(100):
            self.port.error = InvalidAddressError(f"nonsense{number}", "not an address")
            protocol.datagramReceived(b"x%d" % number, CLIENT)
        self.port.error = MessageLengthError("too long")
        protocol.datagramReceived(b"y", CLIENT)
        self.assertEqual(len([reason for reason in protocol.guard.counters if "not sent" in reason]), 3)

    def test_fits_any_datagram_protocol(self) -> None:
        """One that answers twice, later, and somebody else."""

        class Odd(DatagramProtocol):
            def datagramReceived(self, datagram: bytes, addr: Any) -> None:
                assert self.transport is not None
                self.transport.write(datagram, addr)
                self.transport.write(datagram * 2, ("203.0.113.9", 40000))

        protocol = self.guarded(Odd())
        protocol.datagramReceived(b"x", CLIENT)
        self.assertEqual(self.port.written, [(b"x", CLIENT), (b"xx", ("203.0.113.9", 40000))])

    def test_may_speak_before_it_is_spoken_to(self) -> None:
        """As it starts."""

        class Eager(DatagramProtocol):
            def startProtocol(self) -> None:
                assert self.transport is not None
                self.transport.write(b"hello", CLIENT)

        self.guarded(Eager())
        self.assertEqual(self.port.written, [(b"hello", CLIENT)])

    def test_can_be_stopped_and_started_again(self) -> None:
        """The protocol inside is told of both."""
        protocol = self.guarded()
        protocol.doStop()
        protocol.makeConnection(self.port)  # type: ignore[arg-type]
        protocol.datagramReceived(b"x", CLIENT)
        self.assertEqual(self.port.written, [(b"x", CLIENT)])
