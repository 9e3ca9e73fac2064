"""What is sent, and what is told of a reply that is not what was sent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.client.bench.payloads import PERIOD, PIECE, Numbered, Pattern, WrongReply

ECHO = Pattern("echo")
UPPER = Pattern("upper")


def stretch(octets: bytes, begin: int, length: int) -> bytes:
    """So many octets of a pattern from a position on, taken one by one."""
    return bytes(octets[(begin + index) % PERIOD] for index in range(length))


@given(position=st.integers(0, 10**9), length=st.integers(1, 3000), connection=st.integers(0, 10**5))
def test_the_right_octets_are_right_wherever_they_begin(position: int, length: int, connection: int) -> None:
    for pattern in (ECHO, UPPER):
        begin = pattern.begin_of(connection) + position
        pattern.check(stretch(pattern.expected, begin, length), position, connection)


def test_more_octets_than_can_be_compared_at_once_are_compared() -> None:
    data = bytearray((ECHO.expected[:PERIOD] * 9)[: 2 * PIECE + 5])
    ECHO.check(bytes(data), 0, 0)
    data[2 * PIECE + 1] ^= 1
    with pytest.raises(WrongReply, match=f"connection 1, octet {2 * PIECE + 1} of its replies"):
        ECHO.check(bytes(data), 0, 0)


@given(position=st.integers(0, 10**7), length=st.integers(1, 500), data=st.data())
def test_one_wrong_bit_is_found_and_named(position: int, length: int, data: st.DataObject) -> None:
    wrong = bytearray(stretch(ECHO.expected, ECHO.begin_of(2) + position, length))
    index = data.draw(st.integers(0, length - 1))
    wrong[index] ^= 0x20
    with pytest.raises(WrongReply) as raised:
        ECHO.check(bytes(wrong), position, 2)
    expected, got = wrong[index] ^ 0x20, wrong[index]
    assert str(raised.value) == (
        f"connection 3, octet {position + index} of its replies: expected 0x{expected:02x}, got 0x{got:02x}"
    )


def test_connections_do_not_take_each_others_replies_for_theirs() -> None:
    with pytest.raises(WrongReply):
        ECHO.check(stretch(ECHO.expected, ECHO.begin_of(1), 64), 0, 0)


def test_every_octet_there_is_goes_to_an_echo_and_text_to_an_upper() -> None:
    """Which may read text, in any encoding: there is no octet above 127, and what it makes of it is as long."""
    assert set(ECHO.sent[:PERIOD]) == set(range(256))
    assert UPPER.sent.isascii()
    assert UPPER.expected == UPPER.sent.upper() != UPPER.sent


@pytest.mark.parametrize("size", [0, 1, 5, 12, 13, 64, 65507])
@pytest.mark.parametrize("pattern", [ECHO, UPPER])
def test_a_datagram_has_its_size_and_its_own_number(pattern: Pattern, size: int) -> None:
    numbered = Numbered(pattern, size, 4)
    made = [numbered.make() for _ in range(10 ** min(size, 1))]
    assert {len(datagram) for _, datagram in made} == {size}
    assert len({number for number, _ in made}) == len(made)
    for number, datagram in made:
        reply = datagram if pattern is ECHO else datagram.upper()
        assert reply == number + numbered.expected_rest
        assert numbered.was_sent(reply)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (lambda sent: sent[:-1], "octet 63 of a datagram: expected 0x.., got none"),
        (lambda sent: sent + b"!", "octet 64 of a datagram: expected none, got 0x21"),
        (lambda sent: sent[:40] + b"\x00" + sent[41:], "octet 40 of a datagram: expected 0x.., got 0x00"),
        (lambda sent: b"x" + sent[1:], "octet 0 of a datagram: expected 0x30, got 0x78"),
        (lambda sent: b"5" + sent[1:], "octet 0 of a datagram: expected 0x30, got 0x35"),
        (lambda sent: b"", "octet 0 of a datagram: expected 0x30, got none"),
        (lambda sent: sent[:3], "octet 3 of a datagram: expected 0x30, got none"),
    ],
)
def test_what_is_wrong_with_a_datagram_is_named(reply: object, said: str) -> None:
    numbered = Numbered(ECHO, 64, 6)
    number, sent = numbered.make()
    while b"\x00" in sent[40:41]:
        number, sent = numbered.make()
    wrong = reply(sent)  # type: ignore[operator]
    assert not numbered.was_sent(wrong)
    with pytest.raises(WrongReply, match=rf"^connection 7, {said}$"):
        raise numbered.wrong(wrong, number)


def test_numbers_begin_again_where_their_digits_end() -> None:
    numbered = Numbered(ECHO, 1, 0)
    assert [numbered.make()[0] for _ in range(11)] == [b"%d" % (index % 10) for index in range(11)]
