"""Names of files, as two machines speak of them.

The rule of this module: a name that passes names something below a folder whatever system the folder is on, and is a text
that can be shown. What is a link there, only who opens it can know.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["LONGEST_NAME", "PARTIALS", "split_name"]

PARTIALS = ".twistnet-partial"
"""The folder of what has not come whole yet; nothing in it has a name."""

LONGEST_NAME = 4096
"""Octets of a name in UTF-8."""

_LONGEST_PART = 255
_MOST_PARTS = 100

_DEVICES = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])\s*(?:[.:].*)?", re.IGNORECASE | re.DOTALL
)
"""What a part may not be, with or without an extension: these are devices in any folder of Windows."""

_UNFIT = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of characters that break a line, drive a terminal, or cannot be written in UTF-8."""


def split_name(name: str) -> tuple[str, ...]:
    """The parts of a name, which a `/` stands between; none of the empty name, which is the folder itself.

    Raises:
        ValueError: It is absolute, leads elsewhere, or is no name on some system; the message says which.
    """
    if not name:
        return ()
    if any(unicodedata.category(character) in _UNFIT for character in name):
        raise ValueError("has a control character in it")
    if len(name.encode()) > LONGEST_NAME:
        raise ValueError(f"is longer than {LONGEST_NAME} octets")
    parts = tuple(name.split("/"))
    if len(parts) > _MOST_PARTS:
        raise ValueError(f"has more than {_MOST_PARTS} parts")
    for part in parts:
        if problem := _problem_of(part):
            raise ValueError(problem)
    if parts[0].casefold() == PARTIALS:
        raise ValueError(f"{PARTIALS} holds what has not come whole yet")
    return parts


def _problem_of(part: str) -> str:
    """What is wrong with one part; nothing, if nothing is."""
    if not part:
        return "begins or ends with a slash, or has two of them together"
    if part in {".", ".."}:
        return "leads elsewhere"
    if "\\" in part:
        return "has a backslash in it"
    if len(part.encode()) > _LONGEST_PART:
        return f"has a part of more than {_LONGEST_PART} octets"
    if part[1:2] == ":":
        return "has the name of a drive in it"
    return "is the name of a device" if _DEVICES.fullmatch(part) else ""
