"""The console: what lines mean, and what is shown of peers."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.wire.console import Action, Close, Console, Quit, Send, Show, shown


def console(*names: str) -> Console:
    """One with peers of those names."""
    made = Console()
    for name in names:
        made.came(name)
    return made


def text_of(actions: list[Action]) -> str:
    """What is shown, by actions that do nothing else."""
    assert all(isinstance(action, Show) for action in actions)
    return "".join(action.text for action in actions if isinstance(action, Show))


def test_peers_are_numbered_and_each_line_says_who_said_it() -> None:
    made = Console()
    assert made.came("192.0.2.1:5") == (1, [Show("* 1 192.0.2.1:5 has come\n")])
    assert made.came("-") == (2, [Show("* 2 has come\n")])
    assert made.said(1, b"hello") == [Show("[1 192.0.2.1:5] hello\n")]
    assert made.said(2, b"") == [Show("[2] \n")]
    assert made.left(1) == [Show("* 1 192.0.2.1:5 has left\n")]
    assert made.left(2, "reset\n") == [Show("* 2 has left: reset\\n\n")]
    assert made.came("x")[0] == 3


def test_what_is_not_addressed_goes_to_the_last_speaker() -> None:
    made = console("a", "b")
    assert "to whom?" in text_of(made.typed("nobody has spoken"))
    made.said(2, b"x")
    assert made.typed("hello") == [Send(2, "hello")]
    made.said(1, b"x")
    assert (made.prompt, made.typed("hello")) == ("1> ", [Send(1, "hello")])
    made.left(1)
    assert made.prompt == "> "
    assert "to whom?" in text_of(made.typed("not to another"))


def test_a_line_goes_to_whom_it_was_begun_for() -> None:
    made = console("a", "b", "c")
    made.said(1, b"x")
    made.typing(True)
    made.said(2, b"y")
    made.typing(True)
    assert (made.prompt, made.typed("hello")) == ("1> ", [Send(1, "hello")])
    assert made.prompt == "2> "
    made.typing(True)
    made.said(3, b"z")
    made.typing(False)
    assert made.prompt == "3> "
    made.typing(True)
    made.left(3)
    made.said(2, b"y")
    assert "to whom?" in text_of(made.typed("who was that for?"))
    assert made.typed("again") == [Send(2, "again")]


def test_to_addresses_one_line_or_all_that_follow() -> None:
    made = console("a", "b")
    made.said(1, b"x")
    assert made.typed("/to 2  two blanks") == [Send(2, " two blanks")]
    assert made.typed("hello") == [Send(1, "hello")]
    assert made.typed("/to 2") == []
    made.said(1, b"x")
    assert (made.prompt, made.typed("hello")) == ("2> ", [Send(2, "hello")])
    assert made.typed("/to") == []
    assert made.typed("hello") == [Send(1, "hello")]
    made.typed("/to 2")
    made.left(2)
    assert made.typed("hello") == [Send(1, "hello")]


@pytest.mark.parametrize(
    "line",
    ["/to 3", "/to 3 x", "/to x", "/to \u0661", "/close 3", "/close", "/close 1 2", "/to " + "1" * 5000],
)
def test_a_number_that_nobody_has(line: str) -> None:
    made = console("a", "b")
    made.said(1, b"x")
    assert "nobody's number" in text_of(made.typed(line))


def test_the_other_commands() -> None:
    made = console("a", "b")
    made.said(2, b"x")
    assert made.typed("/all hi there") == [Send(1, "hi there"), Send(2, "hi there")]
    assert made.typed("/list") == [Show("* 1 a\n* 2 b\n")]
    assert made.typed("/close 1") == [Close(1)]
    assert made.typed("/quit") == [Close(1), Close(2), Quit()]
    assert made.typed("//quit") == [Send(2, "/quit")]
    assert "there is no /q\\x1b;" in text_of(made.typed("/q\x1b"))
    offered = set(re.findall(r"^\* (/[a-z]+)", text_of(made.typed("/help")), re.MULTILINE))
    assert offered == {"/to", "/all", "/list", "/close", "/quit"}
    assert text_of(Console().typed("/list")) == text_of(Console().typed("/all x")) == "* nobody is there\n"


def test_a_line_waits_for_somebody_who_can_take_it() -> None:
    made = console("a", "b")
    assert made.waits("hello", set())
    assert made.waits("//hello", set())
    assert not any(
        made.waits(line, {1, 2}) for line in ("/all x", "/list", "/quit", "/to 1", "/to 3 x", "/toast")
    )
    made.said(1, b"x")
    assert not made.waits("hello", {2})
    assert made.waits("hello", {1})
    assert made.waits("/to 2 hello", {2})


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"plain", "plain"),
        ("Grüße 日本 😀".encode(), "Grüße 日本 😀"),
        (b"\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("\x9b31m".encode(), "\\x9b31m"),
        ("a\u202eb\u2066c\u200bd\ufeff".encode(), "a\\u202eb\\u2066c\\u200bd\\ufeff"),
        (b"\xff\xfe\xc3", "\\xff\\xfe\\xc3"),
        (b"over\rwritten\tx\n\x0b\x0c\x7f\x00", "over\\rwritten\\tx\\n\\x0b\\x0c\\x7f\\x00"),
        ("\u2028\u2029\x85\xa0".encode(), "\\u2028\\u2029\\x85\\xa0"),
        (b"\xed\xa0\x80", "\\xed\\xa0\\x80"),
        (b"x" * 3000, "x" * 2000 + "... (3000 octets)"),
    ],
)
def test_what_a_peer_says_is_shown_harmless(octets: bytes, text: str) -> None:
    assert shown(octets) == text


@given(st.binary(max_size=3000), st.text())
def test_nothing_that_a_peer_says_drives_a_terminal_or_breaks_a_line(octets: bytes, name: str) -> None:
    made = console(name)
    for text in (text_of(made.said(1, octets)), text_of(made.noted(1, name)), text_of(made.typed("/list"))):
        assert text[:-1].isprintable()
        assert text[-1] == "\n"


@given(st.lists(st.one_of(st.tuples(st.sampled_from(["came", "said", "left"]), st.integers(0, 3)), st.text(), st.booleans(),
                          st.sampled_from(["/to", "/to 1", "/to 2 x", "/all x", "/list", "/close 1", "/quit", "hello"]))))  # fmt: skip
def test_whatever_happens_only_who_is_there_is_sent_to_or_closed(events: list[object]) -> None:
    made = Console()
    for event in events:
        actions: list[Action] = []
        match event:
            case str(line):
                actions = made.typed(line)
            case bool(begun):
                made.typing(begun)
            case ("came", _):
                actions = made.came("x")[1]
            case ("said", number) if number in made.peers:
                actions = made.said(number, b"x")
            case ("left", number) if number in made.peers:
                actions = made.left(number)
        for action in actions:
            assert not isinstance(action, (Send, Close)) or action.peer in made.peers
        assert made.addressee is None or made.addressee in made.peers
