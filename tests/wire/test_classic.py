"""What the classic services say."""

from __future__ import annotations

import calendar
import locale

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.wire.classic import CHARGEN_CYCLE, chargen_line, daytime, quotes_of, time_since_1900


@pytest.mark.parametrize(
    ("when", "octets"),
    [
        ((1970, 1, 1, 0, 0, 0), 2_208_988_800),  # the examples of RFC 868
        ((1976, 1, 1, 0, 0, 0), 2_398_291_200),
        ((1980, 1, 1, 0, 0, 0), 2_524_521_600),
        ((1983, 5, 1, 0, 0, 0), 2_629_584_000),
        ((1858, 11, 17, 0, 0, 0), -1_297_728_000 % 2**32),
        ((2036, 2, 7, 6, 28, 15), 2**32 - 1),
        ((2036, 2, 7, 6, 28, 16), 0),
        ((2038, 1, 19, 3, 14, 8), 61_505_152),
        ((2106, 2, 7, 6, 28, 16), 2**32 + 2_208_988_800 - 2**32),
    ],
)
def test_the_time_counts_from_1900_and_goes_on_after_2036(when: tuple[int, ...], octets: int) -> None:
    assert time_since_1900(calendar.timegm(when)) == octets.to_bytes(4, "big")
    assert time_since_1900(calendar.timegm(when) + 0.9) == octets.to_bytes(4, "big")


@pytest.mark.parametrize(
    ("when", "line"),
    [
        ((1982, 2, 22, 17, 37, 43), b"Monday, February 22, 1982 17:37:43-UTC\r\n"),
        ((2038, 1, 19, 3, 14, 8), b"Tuesday, January 19, 2038 03:14:08-UTC\r\n"),
        ((2000, 12, 3, 0, 0, 0), b"Sunday, December 3, 2000 00:00:00-UTC\r\n"),
    ],
)
def test_the_daytime_is_a_line_in_english(when: tuple[int, ...], line: bytes) -> None:
    """Whatever the locale. (The RFC calls the first of these a Tuesday.)"""
    before = locale.setlocale(locale.LC_TIME)
    try:
        locale.setlocale(locale.LC_TIME, "")
        assert daytime(calendar.timegm(when) + 0.5) == line
    finally:
        locale.setlocale(locale.LC_TIME, before)


def test_chargen_has_95_lines_of_72_characters_each_a_character_further() -> None:
    lines = CHARGEN_CYCLE.split(b"\r\n")
    assert lines.pop() == b""
    assert lines[0] == rb""" !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefg"""
    assert lines[1] == rb"""!"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdefgh"""
    assert lines[94] == rb"""~ !"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\]^_`abcdef"""
    assert len(lines) == 95
    for line, following in zip(lines, lines[1:] + lines[:1], strict=True):
        assert len(line) == 72
        assert following[:71] == line[1:]


def test_a_chargen_datagram_is_one_line_of_any_length() -> None:
    for octets in range(513):
        line = chargen_line(octets)
        assert len(line) == octets
        assert line.count(b"\n") == (octets >= 2)
        assert line.removesuffix(b"\r\n").isascii()
    assert chargen_line(4) == b" !\r\n"


def test_quotes_are_separated_by_lines_of_percent() -> None:
    text = "%\n\nOne.\n  -- A\n\n%\r\nTwo, 100 %\r\n% of it\n%\n%  \n\n%\nDrei: ß"
    quotes, left_out = quotes_of(text)
    assert quotes == [b"One.\r\n  -- A\r\n", b"Two, 100 %\r\n% of it\r\n", "Drei: ß\r\n".encode()]
    assert left_out == 0


def test_quotes_of_more_than_512_octets_are_left_out() -> None:
    assert quotes_of(f"{'x' * 510}\n%\n{'x' * 511}\n%\n{'ß' * 256}") == ([b"x" * 510 + b"\r\n"], 2)
    assert quotes_of("") == ([], 0)


@given(st.text(alphabet=st.sampled_from("%\n\r x\u2028ß\x00"), max_size=60))
def test_whatever_the_file_quotes_are_lines_with_something_in_them(text: str) -> None:
    quotes, left_out = quotes_of(text)
    assert left_out == 0
    for quote in quotes:
        assert quote.endswith(b"\r\n")
        assert quote.strip()
        assert b"\r\n%\r\n" not in b"\r\n" + quote
