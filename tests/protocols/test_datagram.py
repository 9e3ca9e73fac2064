"""Datagram protocols over an in-memory transport."""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet.error import MessageLengthError
from twisted.trial.unittest import SynchronousTestCase

from twistnet import EchoDatagramProtocol, UpperDatagramProtocol

CLIENT = ("192.0.2.7", 40000)


@define(eq=False)
class DatagramTransport:
    """Keeps what is written to it, or raises."""

    written: list[tuple[bytes, Any]] = field(factory=list)
    error: Exception | None = None

    def write(self, packet: bytes, addr: Any = None) -> None:
        if self.error:
            raise self.error
        self.written.append((packet, addr))


class DatagramTests(SynchronousTestCase):
    """`EchoDatagramProtocol` and `UpperDatagramProtocol`."""

    def answers(self, protocol: Any, *datagrams: bytes, source: Any = CLIENT) -> list[tuple[bytes, Any]]:
        """What a protocol answers."""
        transport = DatagramTransport()
        protocol.makeConnection(transport)
        for datagram in datagrams:
            protocol.datagramReceived(datagram, source)
        return transport.written

    def test_one_in_one_out(self) -> None:
        """Each datagram is answered, to where it came from; an empty one with an empty one."""
        self.assertEqual(
            self.answers(EchoDatagramProtocol(), b"a", b"", b"b"), [(x, CLIENT) for x in (b"a", b"", b"b")]
        )
        self.assertEqual(self.answers(UpperDatagramProtocol(), b"a", b""), [(b"A", CLIENT), (b"", CLIENT)])

    def test_the_longest_datagram_is_answered_whole(self) -> None:
        """65,507 octets."""
        self.assertEqual(self.answers(EchoDatagramProtocol(), b"x" * 65507), [(b"x" * 65507, CLIENT)])

    def test_each_datagram_is_a_text_of_its_own(self) -> None:
        """Half a character in one is not made whole by the next; it is not answered."""
        first, second = b"\xc3", b"\x9f"
        self.assertEqual(
            self.answers(UpperDatagramProtocol("utf-8"), first, second, b"ok"), [(b"OK", CLIENT)]
        )

    def test_a_sender_without_an_address_is_not_answered(self) -> None:
        """An unbound UNIX socket."""
        self.assertEqual(self.answers(EchoDatagramProtocol(), b"x", source=None), [])

    def test_an_answer_that_cannot_be_sent_is_no_error(self) -> None:
        """The peer has gone, or the answer is too long."""
        protocol = EchoDatagramProtocol()
        transport: Any = DatagramTransport(error=OSError(111, "Connection refused"))
        protocol.makeConnection(transport)
        protocol.datagramReceived(b"x", CLIENT)
        transport.error = MessageLengthError("too long")
        protocol.datagramReceived(b"x", CLIENT)
        self.assertEqual(self.flushLoggedErrors(), [])
