"""What is written to a terminal, read by a small one."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from twistnet.terminal.screen import Screen, width_of


class Glass:
    """A terminal without an end, of so many columns: what xterm does with what a `Screen` writes."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows = [""]
        self.row = self.column = 0

    def write(self, text: str) -> None:
        for part in re.findall(r"\x1b\[[0-9]*[A-Z]|[\r\n]|.", text):
            if part[0] == "\x1b":
                self._sequence(part[-1], int(part[2:-1] or 1))
            elif part == "\r":
                self.column = 0
            elif part == "\n":
                self._down()
            else:
                self._put(part)

    def _sequence(self, letter: str, number: int) -> None:
        if letter == "A":
            self.row -= number
            assert self.row >= 0
        elif letter == "D":
            self.column -= number
            assert self.column >= 0
        else:
            assert letter == "J"
            self.rows[self.row :] = [self.rows[self.row][: self.column]]

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.rows):
            self.rows.append("")

    def _put(self, character: str) -> None:
        if self.column == self.columns:
            self._down()
            self.column = 0
        row = self.rows[self.row].ljust(self.column)
        self.rows[self.row] = row[: self.column] + character + row[self.column + 1 :]
        self.column += 1

    @property
    def shown(self) -> str:
        """Everything above the last row; rows that are full go on in the next."""
        return "".join(row if len(row) == self.columns else f"{row}\n" for row in self.rows[:-1])


def broken(text: str, columns: int) -> str:
    """A text as it stands on rows, where what is full cannot be told from what goes on."""
    if not text:
        return ""
    return "".join(
        line if line and len(line) % columns == 0 else f"{line}\n" for line in text.split("\n")
    ).removesuffix("\n" if text.endswith("\n") else "")


@given(
    columns=st.integers(8, 30),
    steps=st.lists(
        st.one_of(
            st.text("ab \n", max_size=40).map(lambda text: ("show", text)),
            st.tuples(st.just("type"), st.text("xyz", max_size=50), st.integers(0, 50)),
            st.just(("enter",)),
        )
    ),
)
def test_the_line_stays_beneath_all_that_is_shown(columns: int, steps: list[tuple[object, ...]]) -> None:
    glass, screen, everything = Glass(columns), Screen(columns), ""
    screen.prompt = "1> "
    typed = ("", 0)
    glass.write(screen.line(*typed))
    for step in steps:
        match step:
            case ("show", str(text)):
                everything += text
                glass.write(screen.show(text))
            case ("type", str(line), int(cursor)):
                typed = (line, min(cursor, len(line)))
                glass.write(screen.line(*typed))
            case _:
                everything += (
                    "" if everything.endswith("\n") or not everything else "\n"
                ) + f"1> {typed[0]}\n"
                glass.write(screen.enter())
                typed = ("", 0)
        assert glass.row == len(glass.rows) - 1
        ended = everything if everything.endswith("\n") or not everything else f"{everything}\n"
        assert glass.shown == broken(ended, columns)
        last = glass.rows[-1]
        prompt = "1> " if columns > 6 else ""
        assert last.startswith(prompt)
        assert last[len(prompt) :].rstrip() in typed[0]
        assert len(last) < columns
        line, cursor = typed
        before = last[len(prompt) : glass.column]
        assert line[:cursor].endswith(before)
        assert bool(before) == bool(line[:cursor])


def test_a_part_of_a_line_that_is_shown_goes_on_where_it_was() -> None:
    glass, screen = Glass(10), Screen(10)
    for piece in ("Hello, wor", "ld! How ", "are you?\nFi", "ne"):
        glass.write(screen.line("typing", 6) + screen.show(piece))
    assert glass.rows == ["Hello, wor", "ld! How ar", "e you?", "Fine", "typing"]
    glass.write(screen.leave() + "$ ")
    assert glass.rows == ["Hello, wor", "ld! How ar", "e you?", "Fine", "$ "]


def test_narrower_and_wider() -> None:
    """As terminals that break their rows anew show it."""
    screen = Screen(40)
    written = screen.line("x" * 25, 25)
    narrow = Glass(10)
    narrow.write("shown\r\n" + written)
    narrow.write(screen.resize(10))
    assert narrow.rows == ["shown", "x" * 9]


def test_wide_characters_and_marks_take_the_columns_that_they_take() -> None:
    assert (width_of("日本"), width_of("e\u0301"), width_of("ab")) == (4, 1, 2)
    screen = Screen(8)
    assert screen.line("日本語日本語", 6).endswith("語日本語"[1:])
    assert screen.line("a\x1b\tb", 4) == "\r\x1b[J\\x1b\\tb"
