"""What is sent, and what has to come back.

The rule of this module: every octet of a reply is compared, by comparing slices; what is wrong is looked for only once
something is.
"""

from __future__ import annotations

import random
import string

from attrs import field, frozen

from .plan import EXPECTATIONS

__all__ = ["PERIOD", "PIECE", "Numbered", "Pattern", "WrongReply"]

PERIOD = 65521
"""Octets until the pattern repeats: a prime, so that requests of most sizes differ, and a lost one shows."""

PIECE = 1 << 18
"""Octets that can be taken of the pattern at once, wherever it begins."""

_STRIDE = 7919
"""Octets between the beginnings of two connections, which so do not mistake each other's replies."""


class WrongReply(Exception):
    """What came is not what it should be.

    Args:
        connection: Whose reply it is, from 1.
        offset: Octets before the wrong one: of all replies of a stream, or of the datagram.
        expected: The octet that should be there; `None` if there should be none.
        got: The octet that is; `None` if there is none.
        where: What the offset counts in.
    """

    def __init__(
        self, connection: int, offset: int, expected: int | None, got: int | None, where: str
    ) -> None:
        super().__init__(connection, offset, expected, got)
        self._where = where

    def __str__(self) -> str:
        connection, offset, expected, got = self.args
        return f"connection {connection}, octet {offset} of {self._where}: expected {_octet(expected)}, got {_octet(got)}"


def _octet(value: int | None) -> str:
    return "none" if value is None else f"0x{value:02x}"


def _first_difference(expected: bytes, got: bytes) -> tuple[int, int | None, int | None]:
    """Where two differ, and in what."""
    pairs = zip(expected, got, strict=False)
    shorter = min(len(expected), len(got))
    offset = next((index for index, (a, b) in enumerate(pairs) if a != b), shorter)
    return offset, _at(expected, offset), _at(got, offset)


def _at(octets: bytes, offset: int) -> int | None:
    return octets[offset] if offset < len(octets) else None


def _random_octets(expect: str) -> bytes:
    """Always the same; for an upper-case service such as are text in any encoding."""
    source = random.Random(PERIOD)
    if expect == "echo":
        return source.randbytes(PERIOD)
    printable = f"{string.ascii_letters}{string.digits}{string.punctuation} \n"
    return "".join(source.choices(printable, k=PERIOD)).encode()


@frozen
class Pattern:
    """The octets of a stream: a period of random ones, again and again.

    Attributes:
        expect: What the service makes of them, a name of `EXPECTATIONS`.
    """

    expect: str
    sent: bytes = field(init=False, repr=False)
    expected: bytes = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        octets = _random_octets(self.expect)
        long = octets * ((PERIOD + PIECE) // PERIOD + 1)
        object.__setattr__(self, "sent", long)
        object.__setattr__(self, "expected", EXPECTATIONS[self.expect](long))

    @staticmethod
    def begin_of(connection: int) -> int:
        """Where a connection, counted from 0, begins."""
        return connection * _STRIDE % PERIOD

    def check(self, data: bytes, position: int, connection: int) -> None:
        """See whether octets are those at a position of a connection's replies, however many they are.

        Raises:
            WrongReply: They are not.
        """
        begin = self.begin_of(connection) + position
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            offset = (begin + start) % PERIOD
            if not self.expected.startswith(piece, offset):
                where, expected, got = _first_difference(self.expected[offset : offset + len(piece)], piece)
                raise WrongReply(connection + 1, position + start + where, expected, got, "its replies")


class Numbered:
    """The datagrams of a connection: a number in digits, which no service changes, and the pattern.

    Args:
        pattern: Where the rest comes from.
        size: Octets of each.
        connection: Whose they are, counted from 0.
    """

    def __init__(self, pattern: Pattern, size: int, connection: int) -> None:
        self.digits = min(size, 12)
        begin = pattern.begin_of(connection)
        self._rest = pattern.sent[begin : begin + size - self.digits]
        self.expected_rest = pattern.expected[begin : begin + size - self.digits]
        self._connection = connection
        self._next = 0
        self._marked = 0

    def mark(self) -> None:
        """The one made last is the first that is measured."""
        self._marked = self._next - 1

    def is_measured(self, datagram: bytes) -> bool:
        """Whether the one that a datagram replies to was made since the mark: the last one that had its number."""
        latest, numbers = self._next - 1, int(10**self.digits)
        return latest - (latest - int(datagram[: self.digits] or b"0")) % numbers >= self._marked

    def make(self) -> tuple[bytes, bytes]:
        """The next number, and its datagram."""
        number = b"%0*d" % (self.digits, self._next % 10**self.digits) if self.digits else b""
        self._next += 1
        return number, number + self._rest

    def was_sent(self, datagram: bytes) -> bool:
        """Whether a datagram is right as the reply to one that was sent at some time."""
        number = datagram[: self.digits]
        return (
            datagram[self.digits :] == self.expected_rest and number.isdigit() and (int(number) < self._next)
        ) or (not self.digits and not datagram and self._next > 0)

    def wrong(self, datagram: bytes, oldest: bytes | None) -> WrongReply:
        """What is wrong with a reply.

        Args:
            datagram: The reply.
            oldest: The number that is awaited longest, if any is.
        """
        number = datagram[: self.digits]
        sent = number.isdigit() and len(number) == self.digits and int(number) < self._next
        nearest = number if sent else oldest or b"%0*d" % (self.digits, max(0, self._next - 1))
        difference = _first_difference(nearest + self.expected_rest, datagram)
        return WrongReply(self._connection + 1, *difference, "a datagram")
