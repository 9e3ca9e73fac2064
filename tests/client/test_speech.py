"""What lines are in octets, and octets in text: harmless, whole, wherever they were cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.client.speech import HexSpeech, TextSpeech

OCTETS = st.binary(max_size=40) | st.lists(
    st.sampled_from([b"\r", b"\n", b"\xc3", b"\xa9", b"\x1b[2J", b"\t", b"x", "\u202e".encode()])
).map(b"".join)


@given(OCTETS, st.data())
def test_what_is_shown_is_harmless_and_does_not_depend_on_where_it_was_cut(
    octets: bytes, data: st.DataObject
) -> None:
    whole, cut = TextSpeech("utf-8", "\n"), TextSpeech("utf-8", "\n")
    expected = whole.text(octets) + whole.rest()
    place = data.draw(st.integers(0, len(octets)))
    assert cut.text(octets[:place]) + cut.text(octets[place:]) + cut.rest() == expected
    assert expected.replace("\n", "").isprintable()


@given(st.text())
def test_printable_text_comes_as_it_is(text: str) -> None:
    printable = "".join(character for character in text if character.isprintable())
    speech = TextSpeech("utf-8", "\n")
    shown = "".join(speech.text(bytes([octet])) for octet in printable.encode())
    assert shown + speech.rest() == printable


@pytest.mark.parametrize(
    ("encoding", "octets", "text"),
    [
        ("utf-8", b"a\r\nb\nc\rd\r", "a\nb\nc\\rd\\r"),
        ("utf-8", b"half \xe6\x97", "half \\xe6\\x97"),
        ("utf-8", b"a\tb", "a    b"),
        ("latin-1", b"\xe9\x9b1m", "é\\x9b1m"),
        ("utf-16", "é日".encode("utf-16"), "é日"),
    ],
)
def test_what_a_stream_says(encoding: str, octets: bytes, text: str) -> None:
    speech = TextSpeech(encoding, "\n")
    assert speech.text(octets) + speech.rest() == text


def test_lines_of_a_stream_are_one_text_and_datagrams_each_their_own() -> None:
    stream, datagrams = TextSpeech("utf-16", "\r\n"), TextSpeech("utf-16", "", whole=True)
    assert (stream.octets("a") + stream.octets("b")).decode("utf-16") == "a\r\nb\r\n"
    assert [datagrams.octets(line).decode("utf-16") for line in ("a", "b")] == ["a", "b"]
    latin = TextSpeech("latin-1", "\n")
    with pytest.raises(ValueError, match="can't encode"):
        latin.octets("日")
    assert latin.octets("é") == b"\xe9\n"


def test_what_a_datagram_says_is_lines_of_its_own() -> None:
    datagrams = TextSpeech("utf-8", "", whole=True)
    assert datagrams.text(b"a\r\nb\r") == "a\nb\\r\n"
    assert datagrams.text(b"a\n") == "a\n"
    assert datagrams.text(b"") == "* an empty datagram\n"
    assert datagrams.text(b"\xc3") == "\\xc3\n"
    assert datagrams.rest() == ""


def test_a_character_without_an_end_is_not_waited_for() -> None:
    speech = TextSpeech("utf-7", "\n")
    shown = "".join(speech.text(b"+" + b"A" * 2000) for _ in range(50)) + speech.rest()
    assert len(shown) > 10_000


@given(st.binary())
def test_hexadecimal_says_all(octets: bytes) -> None:
    speech = HexSpeech()
    rows = speech.text(octets).splitlines()
    assert b"".join(speech.octets(row[:47]) for row in rows) == octets
    assert all(row.isprintable() and row.isascii() for row in rows)
    assert speech.rest() == ""
