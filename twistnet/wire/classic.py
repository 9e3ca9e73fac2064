"""What the small services of 1983 say: discard aside, RFC 864 (chargen), 865 (qotd), 867 (daytime) and 868 (time).

The rule of this module: octets from numbers and text alone. Who asks for the time says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from math import floor

__all__ = [
    "CHARGEN_CYCLE",
    "CHARGEN_MOST",
    "QUOTE_MOST",
    "chargen_line",
    "daytime",
    "quotes_of",
    "time_since_1900",
]

_RING = bytes(range(32, 127))
"""The 95 printing characters of ASCII, space included."""

CHARGEN_CYCLE = b"".join((_RING * 2)[first : first + 72] + b"\r\n" for first in range(95))
"""Lines of 72 characters, each of which begins one character later; after 95 lines they begin anew (RFC 864)."""

CHARGEN_MOST = 512
"""Octets of the longest datagram (RFC 864)."""

QUOTE_MOST = 512
"""Octets of the longest quote (RFC 865)."""

_FROM_1900_TO_1970 = 2_208_988_800
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def daytime(seconds: float) -> bytes:
    """The line of RFC 867, `Tuesday, February 22, 1982 17:37:43-UTC`, whatever the locale.

    Args:
        seconds: Since 1970, UTC.
    """
    now = datetime.fromtimestamp(floor(seconds), UTC)
    date = f"{_DAYS[now.weekday()]}, {_MONTHS[now.month - 1]} {now.day}, {now.year}"
    return f"{date} {now:%H:%M:%S}-UTC\r\n".encode()


def time_since_1900(seconds: float) -> bytes:
    """The four octets of RFC 868: seconds since 1900, modulo 2**32; they begin at 0 again on 7 February 2036.

    Args:
        seconds: Since 1970, UTC.
    """
    return ((floor(seconds) + _FROM_1900_TO_1970) % 2**32).to_bytes(4, "big")


def chargen_line(octets: int) -> bytes:
    """A line of so many octets, its end (CRLF) included; without an end if there is no room for it."""
    end = b"\r\n" if octets >= 2 else b""
    return (_RING * 6)[: octets - len(end)] + end


def quotes_of(text: str) -> tuple[Sequence[bytes], int]:
    """The quotes of a file in the format of fortune(6): a line of `%` stands between any two.

    Returns:
        The quotes, in UTF-8, each line ended by CRLF; and how many are left out because they have more than `QUOTE_MOST`
        octets so.
    """
    pieces: list[list[str]] = [[]]
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.rstrip() == "%":
            pieces.append([])
        else:
            pieces[-1].append(line)
    quotes = [_quote(piece) for piece in pieces if any(line.strip() for line in piece)]
    short = [quote for quote in quotes if len(quote) <= QUOTE_MOST]
    return short, len(quotes) - len(short)


def _quote(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in "\n".join(lines).strip("\n").split("\n")).encode()
