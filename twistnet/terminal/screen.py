r"""What is written to a terminal, so that a line that is being typed stays beneath everything else.

The rule of this module: the line takes one row, the last one, whatever its length: of a longer one the part around the cursor
is seen. What is shown goes above it; if that does not end with `\n`, what is shown next goes on there. Texts that are shown
hold no control characters but `\n`; what is typed may.
"""

from __future__ import annotations

import unicodedata

from ..units import one_line

__all__ = ["Screen", "width_of"]

LONGEST_TAIL = 4096
"""Characters of a line that is not ended, which is broken then: all of it is written again for each that comes."""


def width_of(text: str) -> int:
    """Columns that a text without control characters takes (Unicode Standard Annex 11)."""
    return len(text) if text.isascii() else sum(map(_width, text))


def _width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _rows_of(text: str, columns: int) -> int:
    """Rows that a text takes; what has two columns is not broken."""
    rows, at = 1, 0
    for character in text:
        width = _width(character)
        if at + width > columns:
            rows, at = rows + 1, 0
        at += width
    return rows


class Screen:
    """A terminal of so many columns, of which only the last rows are known.

    Attributes:
        columns: How many it has. Change it with `resize`.
        prompt: What stands before the line.
    """

    def __init__(self, columns: int) -> None:
        self.columns = max(1, columns)
        self.prompt = ""
        self._text, self._cursor = "", 0
        self._at = 0  # the column of the cursor, in the row of the line
        self._tail = ""  # what was shown of a line that is not ended
        self._drawn = False

    def line(self, text: str, cursor: int) -> str:
        """The line is this now, and the cursor before that character of it."""
        self._text, self._cursor = text, cursor
        return "\r\x1b[J" + self._draw()

    def show(self, text: str) -> str:
        """Show a text above the line."""
        written = self._erase()
        *ended, self._tail = (self._tail + text).split("\n")
        if len(self._tail) > LONGEST_TAIL:
            ended, self._tail = [*ended, self._tail], ""
        written += "".join(f"{line}\r\n" for line in ended)
        return written + self._draw_tail() + self._draw()

    def enter(self) -> str:
        """The line is over: it stays where it is, all of it, and the next one begins beneath."""
        written = self._erase() + self._draw_tail() + self.prompt + _shown(self._text) + "\r\n"
        self._text, self._cursor, self._tail = "", 0, ""
        return written + self._draw()

    def resize(self, columns: int) -> str:
        """It has so many columns now; what was there is taken to be broken anew, as most terminals do."""
        self.columns = max(1, columns)
        return self._erase() + self._draw_tail() + self._draw()

    def clear(self) -> str:
        """Leave nothing but the line."""
        self._tail = ""
        return "\x1b[H\x1b[2J" + self._draw()

    def leave(self) -> str:
        """The line goes; what was shown stays, and the cursor is beneath it."""
        written = self._erase() + self._draw_tail()
        self._drawn, self._tail = False, ""
        return written

    def _erase(self) -> str:
        """Erase the line, and what it stands beneath if that goes on; from the first column on nothing is there then."""
        if not self._drawn:
            return ""
        rows = self._at // self.columns
        if self._tail:
            rows += _rows_of(self._tail, self.columns)
        return (f"\x1b[{rows}A" if rows else "") + "\r\x1b[J"

    def _draw_tail(self) -> str:
        return f"{self._tail}\r\n" if self._tail else ""

    def _draw(self) -> str:
        """The line, or the part of it that has room."""
        self._drawn = True
        prompt = self.prompt if width_of(self.prompt) < self.columns // 2 else ""
        room = max(1, self.columns - 1 - width_of(prompt))
        before = _fitting(self._text[: self._cursor], room, from_end=True)
        after = _fitting(self._text[self._cursor :], room - width_of(before), from_end=False)
        self._at = width_of(prompt + before)
        back = width_of(after)
        return prompt + before + after + (f"\x1b[{back}D" if back else "")


def _shown(text: str) -> str:
    return text if text.isprintable() else one_line(text)


def _fitting(text: str, room: int, *, from_end: bool) -> str:
    """As much of a text as has room, from its beginning or its end, as it is shown."""
    fitting: list[str] = []
    for character in reversed(text) if from_end else text:
        shown = _shown(character)
        room -= width_of(shown)
        if room < 0:
            break
        fitting.append(shown)
    return "".join(reversed(fitting) if from_end else fitting)
