"""Keys and the line that they make: of any octets, cut anywhere."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.terminal.editor import HISTORY, LONGEST_LINE, LineEditor
from twistnet.terminal.keys import Key, KeyReader

UP, DOWN, RIGHT, LEFT = (f"\x1b[{letter}" for letter in "ABCD")


def edited(typed: str, editor: LineEditor | None = None) -> tuple[str, int]:
    """What stands there once it is typed, and where the cursor is."""
    editor = editor or LineEditor()
    for key in KeyReader().feed(typed.encode()):
        editor.press(key)
    return editor.text, editor.cursor


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("héllo", "héllo|"),
        ("ac" + LEFT + "b", "ab|c"),
        ("ab" + LEFT * 9 + "x" + RIGHT * 9 + "y", "xaby|"),
        ("ab\x01x\x05y", "xaby|"),
        ("ab\x1b[Hx\x1b[Fy\x1bOHz", "z|xaby"),
        ("abc\x7f", "ab|"),
        ("abc" + LEFT + "\x08", "a|c"),
        ("\x7f\x1b[3~", "|"),
        ("abc\x01\x1b[3~\x04", "|c"),
        ("one two" + LEFT * 3 + "\x0b", "one |"),
        ("one two" + LEFT * 3 + "\x15", "|two"),
        ("one two  \x17", "one |"),
        ("one two" + LEFT + "\x17", "one |o"),
        ("one two\x17\x17\x17\x19", "one |"),
        ("one two\x0b\x19", "one two|"),
        ("one, two\x1bb\x1bbx", "x|one, two"),
        ("one, two\x01\x1b[1;5Cx\x1bfy", "onex, twoy|"),
        ("\x1bf\x1bb", "|"),
        ("a\x1b[200;300qb\x1bOQc\x1b\x1b[Dd", "abdc".replace("d", "d|")),
        ("a\x00\x1c\x1eb", "ab|"),
        ("a\tb", "a\tb|"),
    ],
)
def test_editing(typed: str, text: str) -> None:
    before, after = text.split("|")
    assert edited(typed) == (before + after, len(before))


def test_enter_gives_the_line_and_history_brings_it_back() -> None:
    editor = LineEditor()
    lines = [
        line for key in KeyReader().feed(b"one\rtwo\rtwo\n\r") if (line := editor.press(key)) is not None
    ]
    assert lines == ["one", "two", "two", ""]
    assert edited("thr" + UP, editor) == ("two", 3)
    assert edited(UP, editor) == edited(UP, editor) == ("one", 3)
    assert edited("!", editor) == ("one!", 4)
    assert edited(DOWN + DOWN + DOWN, editor) == ("thr", 3)
    assert editor.press(Key.ENTER) == "thr"
    assert edited(UP + UP, editor) == ("two", 3)


def test_what_is_remembered_and_how_long_a_line_gets_is_bounded() -> None:
    editor = LineEditor()
    for number in range(HISTORY + 10):
        edited(f"{number}\r", editor)
    assert edited(UP * (HISTORY + 10), editor) == ("10", 2)
    editor.clear()
    edited("x" * (LONGEST_LINE + 5), editor)
    assert len(editor.text) == LONGEST_LINE


@given(st.binary(max_size=60) | st.lists(st.sampled_from([b"\x1b", b"[", b"O", b"1", b";", b"A", b"~", b"\xc3", b"\xa9", b"x"])).map(b"".join), st.data())  # fmt: skip
def test_keys_do_not_depend_on_where_the_octets_were_cut(octets: bytes, data: st.DataObject) -> None:
    whole = list(KeyReader().feed(octets))
    cut = data.draw(st.integers(0, len(octets)))
    reader = KeyReader()
    assert [*reader.feed(octets[:cut]), *reader.feed(octets[cut:])] == whole
    assert all(isinstance(key, Key) or key == "\t" or key.isprintable() for key in whole)


@given(st.lists(st.sampled_from(list(Key)) | st.text(min_size=1, max_size=3), max_size=40))
def test_the_cursor_is_always_within_the_line(keys: list[Key | str]) -> None:
    editor = LineEditor()
    for key in keys:
        editor.press(key)
        assert 0 <= editor.cursor <= len(editor.text)


def test_an_endless_sequence_ends() -> None:
    assert list(KeyReader().feed(b"\x1b[" + b"1" * 100 + b"x"))[-1] == "x"
