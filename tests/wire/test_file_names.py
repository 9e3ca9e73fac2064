"""Names of files: none that passes leads out of the folder, on any system."""

from __future__ import annotations

import ntpath
import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.wire.file_names import split_name

PIECES = [
    "..",
    ".",
    "/",
    "//",
    "\\",
    "a",
    "b.txt",
    "C:",
    "nul",
    "COM1",
    "\0",
    "\x1b",
    " ",
    "é",
    ".twistnet-partial",
    "~",
    "\ud800",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=8).map("".join))
def test_whatever_passes_is_below_the_folder_on_any_system(name: str) -> None:
    try:
        parts = split_name(name)
    except ValueError:
        return
    assert "/".join(parts) == name
    name.encode()
    assert (
        name == ""
        or name.isprintable()
        or all(ord(character) > 0x9F for character in name if not character.isprintable())
    )
    for paths in (posixpath, ntpath):
        folder = paths.join("x:\\" if paths is ntpath else "/", "folder")
        assert paths.normpath(paths.join(folder, name)).startswith(folder)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../secret", "elsewhere"),
        ("a/../../secret", "elsewhere"),
        ("./a", "elsewhere"),
        ("/etc/passwd", "slash"),
        ("a//b", "slash"),
        ("a/", "slash"),
        ("a\\b", "backslash"),
        ("a\0b", "control"),
        ("a\nb", "control"),
        ("\x1b[2J", "control"),
        ("\x9b2J", "control"),
        ("\udc80", "control"),
        ("a\N{LINE SEPARATOR}b", "control"),
        ("nul", "device"),
        ("folder/AUX.txt", "device"),
        ("Com1.tar.gz", "device"),
        ("con .x", "device"),
        ("lpt¹", "device"),
        (".twistnet-partial", "not come whole"),
        (".Twistnet-Partial/x", "not come whole"),
        ("x" * 256, "255 octets"),
        ("é" * 128, "255 octets"),
        ("a/" * 2500 + "a", "4096 octets"),
        ("a/" * 100 + "a", "100 parts"),
    ],
)
def test_what_is_no_name(name: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        split_name(name)


@pytest.mark.parametrize(
    "name", ["a", "a/b/c", "x" * 255, "console", "com10", "nullable.txt", "日本語/ß", "a b", "...", ".hidden"]
)
def test_what_is_one(name: str) -> None:
    assert split_name(name) == tuple(name.split("/"))


def test_the_empty_name_is_the_folder() -> None:
    assert split_name("") == ()
