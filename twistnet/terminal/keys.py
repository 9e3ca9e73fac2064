"""Keys from what a terminal sends.

The rule of this module: what the keys are does not depend on where the octets were cut, and a sequence that is not known
is no key: none of it is ever taken for text.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from enum import Enum, auto

__all__ = ["Key", "KeyReader"]

LONGEST = 32
"""Characters of an escape sequence; a longer one is over then."""


class Key(Enum):
    """A key that is no character."""

    ENTER = auto()
    END_OF_INPUT = auto()
    LEFT = auto()
    RIGHT = auto()
    WORD_LEFT = auto()
    WORD_RIGHT = auto()
    HOME = auto()
    END = auto()
    UP = auto()
    DOWN = auto()
    BACKSPACE = auto()
    DELETE = auto()
    CUT_TO_START = auto()
    CUT_TO_END = auto()
    CUT_WORD = auto()
    PASTE = auto()
    CLEAR = auto()


_CONTROLS = {
    "\r": Key.ENTER,
    "\n": Key.ENTER,
    "\x01": Key.HOME,
    "\x02": Key.LEFT,
    "\x04": Key.END_OF_INPUT,
    "\x05": Key.END,
    "\x06": Key.RIGHT,
    "\x08": Key.BACKSPACE,
    "\x0b": Key.CUT_TO_END,
    "\x0c": Key.CLEAR,
    "\x0e": Key.DOWN,
    "\x10": Key.UP,
    "\x15": Key.CUT_TO_START,
    "\x17": Key.CUT_WORD,
    "\x19": Key.PASTE,
    "\x7f": Key.BACKSPACE,
}
_SEQUENCES = {  # after ESC; xterm's, and those that others send for the same keys
    **dict.fromkeys(("[A", "OA"), Key.UP),
    **dict.fromkeys(("[B", "OB"), Key.DOWN),
    **dict.fromkeys(("[C", "OC"), Key.RIGHT),
    **dict.fromkeys(("[D", "OD"), Key.LEFT),
    **dict.fromkeys(("[H", "OH", "[1~", "[7~"), Key.HOME),
    **dict.fromkeys(("[F", "OF", "[4~", "[8~"), Key.END),
    **dict.fromkeys(("[1;5C", "[1;3C", "f"), Key.WORD_RIGHT),
    **dict.fromkeys(("[1;5D", "[1;3D", "b"), Key.WORD_LEFT),
    **dict.fromkeys(("\x7f", "\x08"), Key.CUT_WORD),
    "[3~": Key.DELETE,
}


class KeyReader:
    """Reads keys from the octets of a terminal, which are UTF-8."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._sequence: str | None = None

    def feed(self, data: bytes) -> Iterator[Key | str]:
        """The keys in the next octets: a character is a `str`, any other key a `Key`."""
        for character in self._decoder.decode(data):
            key = self._next(character)
            if key is not None:
                yield key

    def _next(self, character: str) -> Key | str | None:
        if character == "\x1b":
            self._sequence = ""
            return None
        if self._sequence is None:
            return character if character.isprintable() or character == "\t" else _CONTROLS.get(character)
        self._sequence += character
        if not self._is_over(self._sequence):
            return None
        sequence, self._sequence = self._sequence, None
        return _SEQUENCES.get(sequence)

    @staticmethod
    def _is_over(sequence: str) -> bool:
        """Whether an escape sequence (ECMA-48, 5.4) has its last character."""
        if sequence[0] == "[":
            return len(sequence) > 1 and ("@" <= sequence[-1] <= "~" or len(sequence) > LONGEST)
        return sequence != "O"
