"""Texts that a service says, from files.

The rule of this module: a file is read once, when the service is made; whatever is wrong with it is one line then.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...config import TEXT, setting
from ...errors import ConfigurationError

__all__ = ["LONGEST_TEXT", "file_setting", "read_text"]

LONGEST_TEXT = 1 << 20
"""Octets of the longest file that is read."""


def file_setting() -> Any:
    """The field that names such a file: one option of all services that have it."""
    return setting(
        None, TEXT, "say what is in this file, in UTF-8; for qotd, quotes with lines of % between them"
    )


def read_text(path: str) -> str:
    """The text of a file in UTF-8, with the ends of its lines as they are.

    Raises:
        ConfigurationError: It cannot be read, is empty, too long, or not UTF-8.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(LONGEST_TEXT + 1)
        text = data.decode()
    except OSError as error:
        raise ConfigurationError(f"{path!r} cannot be read: {error.strerror or error}", ("file",)) from error
    except UnicodeDecodeError as error:
        problem = f"{path!r} is not UTF-8: {error.reason} at octet {error.start}"
        raise ConfigurationError(problem, ("file",)) from None
    if not data or len(data) > LONGEST_TEXT:
        problem = f"has more than {LONGEST_TEXT} octets" if data else "is empty"
        raise ConfigurationError(f"{path!r} {problem}", ("file",))
    return text
