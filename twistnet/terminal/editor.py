"""One line that is being typed, and those before it.

The rule of this module: keys in, a line out; it knows no terminal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .keys import Key

__all__ = ["LineEditor"]

HISTORY = 1000
"""Lines that are remembered."""

LONGEST_LINE = 65536
"""Characters that a line may have; what is typed beyond is not taken."""


class LineEditor:
    """Edits a line.

    Attributes:
        text: What stands there.
        cursor: Before which of its characters the next one goes.
    """

    def __init__(self) -> None:
        self.text = ""
        self.cursor = 0
        self._cut = ""
        self._history: deque[str] = deque(maxlen=HISTORY)
        self._back = 0  # how far back in the history; 0 for the line itself
        self._own = ""  # the line itself, while another is shown

    def press(self, key: Key | str) -> str | None:
        """Press a key; the line, if that has ended it."""
        if isinstance(key, str):
            self._insert(key)
        elif key is Key.ENTER:
            return self._enter()
        elif key in _MOVES:
            self.cursor = _MOVES[key](self.text, self.cursor)
        elif key in _CUTS:
            self._remove(*_CUTS[key](self.text, self.cursor), keep=True)
        elif key is Key.PASTE:
            self._insert(self._cut)
        elif key in _ERASES:
            self._remove(*_ERASES[key](self.cursor))
        elif key in _STEPS:
            self._go_back_to(self._back + _STEPS[key])
        return None

    def clear(self) -> None:
        """Begin anew."""
        self.text, self.cursor, self._back, self._own = "", 0, 0, ""

    def _enter(self) -> str:
        line = self.text
        if line and (not self._history or self._history[-1] != line):
            self._history.append(line)
        self.clear()
        return line

    def _insert(self, text: str) -> None:
        text = text[: LONGEST_LINE - len(self.text)]
        self.text = self.text[: self.cursor] + text + self.text[self.cursor :]
        self.cursor += len(text)

    def _remove(self, start: int, end: int, *, keep: bool = False) -> None:
        if keep and start < end:
            self._cut = self.text[start:end]
        self.text = self.text[:start] + self.text[end:]
        self.cursor = start

    def _go_back_to(self, back: int) -> None:
        if not 0 <= back <= len(self._history):
            return
        if self._back == 0:
            self._own = self.text
        self._back = back
        self.text = self._history[-back] if back else self._own
        self.cursor = len(self.text)


def _word_before(text: str, cursor: int) -> int:
    while cursor and not text[cursor - 1].isalnum():
        cursor -= 1
    while cursor and text[cursor - 1].isalnum():
        cursor -= 1
    return cursor


def _word_after(text: str, cursor: int) -> int:
    while cursor < len(text) and not text[cursor].isalnum():
        cursor += 1
    while cursor < len(text) and text[cursor].isalnum():
        cursor += 1
    return cursor


def _blank_before(text: str, cursor: int) -> int:
    """Where the word before the cursor begins, of those that blanks divide."""
    return text[:cursor].rstrip().rfind(" ") + 1


_MOVES: dict[Key, Callable[[str, int], int]] = {
    Key.LEFT: lambda text, cursor: max(0, cursor - 1),
    Key.RIGHT: lambda text, cursor: min(len(text), cursor + 1),
    Key.WORD_LEFT: _word_before,
    Key.WORD_RIGHT: _word_after,
    Key.HOME: lambda text, cursor: 0,
    Key.END: lambda text, cursor: len(text),
}
_CUTS: dict[Key, Callable[[str, int], tuple[int, int]]] = {
    Key.CUT_TO_START: lambda text, cursor: (0, cursor),
    Key.CUT_TO_END: lambda text, cursor: (cursor, len(text)),
    Key.CUT_WORD: lambda text, cursor: (_blank_before(text, cursor), cursor),
}
_ERASES: dict[Key, Callable[[int], tuple[int, int]]] = {
    Key.BACKSPACE: lambda cursor: (max(0, cursor - 1), cursor),
    Key.DELETE: lambda cursor: (cursor, cursor + 1),
    Key.END_OF_INPUT: lambda cursor: (cursor, cursor + 1),
}
_STEPS = {Key.UP: 1, Key.DOWN: -1}
