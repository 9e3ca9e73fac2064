"""Durations, sizes and the other quantities that people write down, as numbers.

The rule of this module: text in, a number out, or `ValueError` with a sentence that names the value and what would
be right. What is a number already is only checked.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping

__all__ = [
    "LONGEST_DATAGRAM",
    "did_you_mean",
    "one_line",
    "parse_datagram_size",
    "parse_duration",
    "parse_flag",
    "parse_rate",
    "parse_size",
    "parse_whole",
]

_QUANTITY = re.compile(r"\s*(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(?P<unit>[A-Za-zµ]*)\s*", re.ASCII)

_SECONDS: Mapping[str, float] = {"": 1, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}

_OCTETS: Mapping[str, int] = {"": 1, "b": 1} | {
    f"{prefix}{suffix}": factor ** (power + 1)
    for power, prefix in enumerate("kmgt")
    for suffix, factor in (("b", 1000), ("ib", 1024))
}

_FLAGS: Mapping[str, bool] = {
    **dict.fromkeys(("on", "yes", "true", "1"), True),
    **dict.fromkeys(("off", "no", "false", "0"), False),
}


def _scaled(value: object, units: Mapping[str, float], expected: str, most: float) -> float:
    """`value` in the base unit, whether it is a number or text with a unit; at most `most`."""
    if isinstance(value, str) and (match := _QUANTITY.fullmatch(value)):
        factor = units.get(match["unit"].lower())
        number = float(match["number"]) * factor if factor else math.nan
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = value
    else:
        number = math.nan
    if not 0 <= number <= most:
        raise ValueError(f"{_shown(value)} is not {expected}")
    return number


def parse_duration(value: object) -> float:
    """Seconds from `"500ms"`, `"5s"`, `"2m"`, `"1h"`, `"1d"`, or a number of seconds; from 0 to 1e9.

    Raises:
        ValueError: Neither a number nor a number with one of those units.
    """
    return float(
        _scaled(value, _SECONDS, "a duration (500ms, 5s, 2m, 1h, or a number of seconds; not below 0)", 1e9)
    )


def parse_size(value: object) -> int:
    """Octets from `"64KiB"`, `"1MB"` or a number of octets. `k` is 1,000 and `Ki` is 1,024 (IEC 80000-13).

    Raises:
        ValueError: Neither a number nor a number with one of those units.
    """
    expected = "a size (64KiB, 1MB, or a whole number of bytes)"
    octets = _scaled(value, _OCTETS, expected, 2**62)
    if octets != int(octets):
        raise ValueError(f"{_shown(value)} is not {expected}")
    return int(octets)


LONGEST_DATAGRAM = 65507
"""Octets that a UDP datagram over IPv4 can carry: 65,535 less 20 of IP and 8 of UDP (RFC 768, RFC 791)."""

_LENGTH_FIELD = 65535
"""Octets that the length field of UDP can say (RFC 768); also the most that is read at once from a UNIX socket."""


def parse_datagram_size(value: object) -> int:
    """Octets of a datagram, from 1 to 65,535, written as for `parse_size`.

    Raises:
        ValueError: No size, or one that no datagram has.
    """
    octets = parse_size(value)
    if not 0 < octets <= _LENGTH_FIELD:
        raise ValueError(f"{_shown(value)} is not a datagram's size (1 to {_LENGTH_FIELD} octets)")
    return octets


def parse_rate(value: object) -> float:
    """Events a second, more than none.

    Raises:
        ValueError: Not a positive number.
    """
    rate = _scaled(
        value, {"": 1}, "a number a second (more than 0, at most 1,000,000,000,000, in digits)", 1e12
    )
    if not rate:
        raise ValueError(f"{_shown(value)} is not more than 0 a second")
    return float(rate)


def parse_whole(value: object, lowest: int = 0, highest: int = 2**62) -> int:
    """A whole number from `lowest` to `highest`.

    Raises:
        ValueError: Not a whole number, or one outside.
    """
    number = value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value.strip(), re.ASCII):
        number = int(value)
    if not isinstance(number, int) or isinstance(number, bool) or not lowest <= number <= highest:
        raise ValueError(f"{_shown(value)} is not a whole number from {lowest} to {highest}")
    return number


def parse_flag(value: object) -> bool:
    """A boolean, or one of the words on, off, yes, no, true, false, 1 and 0.

    Raises:
        ValueError: Anything else.
    """
    flag = value if isinstance(value, bool) else _FLAGS.get(str(value).strip().lower())
    if flag is None:
        raise ValueError(f"{_shown(value)} is neither on nor off")
    return flag


def _shown(value: object) -> str:
    """`repr` of a value, cut where it would fill a screen."""
    try:
        text = repr(value)
    except ValueError:  # an integer of thousands of digits
        text = f"a number of {type(value).__name__} too long to show"
    return text if len(text) <= 80 else f"{text[:77]}..."


def one_line(text: str) -> str:
    """A text without what would break a line, or drive a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A clause for an error message: the nearest of the known names, or all of a few where none is near."""
    names = sorted(known)
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f"did you mean {near[0]}?"
    return f"known: {', '.join(names)}" if len(names) <= 12 else f"nothing like it among {len(names)} known"
