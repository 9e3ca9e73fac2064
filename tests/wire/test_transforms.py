"""Transforms: the same answer however the input is cut."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet import Identity, RemoteProtocolError, Transform, UpperBytes, UpperText
from twistnet.wire.transforms import ERRORS, Undecodable, text_encoding

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "shift_jis", "gb18030", "big5",
             "euc_jp", "iso2022_jp", "ascii", "cp437", "koi8-r", "hz"]  # fmt: skip


def answer(transform: Transform, data: bytes, cuts: list[int]) -> bytes | tuple[bytes, int]:
    """What comes back for data cut at some places; with the offset of the fault, if there is one."""
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = b""
    try:
        for start, end in itertools.pairwise(edges):
            out += transform.feed(data[start:end])
        return out + transform.finish()
    except Undecodable as error:
        return out + error.answer, error.offset


CUTS = st.lists(st.integers(0, 200), max_size=8)


@given(st.binary(), CUTS)
def test_echo_and_bytes(data: bytes, cuts: list[int]) -> None:
    assert answer(Identity(), data, cuts) == data
    assert answer(UpperBytes(), data, cuts) == data.upper()


@given(st.text(), CUTS, st.sampled_from(ENCODINGS))
def test_text_is_upper_cased_wherever_it_is_cut(text: str, cuts: list[int], encoding: str) -> None:
    data = text.encode(encoding, "ignore")
    readable = data.decode(encoding)
    whole = answer(UpperText(encoding), data, [])
    assert whole == answer(UpperText(encoding), data, cuts)
    assert isinstance(whole, bytes)
    kept = "".join(c.upper() if can_be_written(c.upper(), encoding) else c for c in readable)
    assert whole.decode(encoding) == kept


def can_be_written(text: str, encoding: str) -> bool:
    return text.encode(encoding, "ignore").decode(encoding) == text


def test_a_character_split_in_two_is_whole_in_the_answer() -> None:
    upper = UpperText("utf-8")
    assert upper.feed("stra\u00df".encode()[:-1]) == b"STRA"
    assert upper.feed("\u00df".encode()[1:]) == b"SS"


def test_a_character_whose_upper_case_cannot_be_written_stays() -> None:
    assert UpperText("latin-1").feed("aÿµé".encode("latin-1")) == "AÿµÉ".encode("latin-1")


@given(st.binary(max_size=60), CUTS, st.sampled_from(ENCODINGS), st.sampled_from(ERRORS))
def test_any_bytes_give_the_same_answer_or_the_same_fault(
    data: bytes, cuts: list[int], encoding: str, errors: str
) -> None:
    try:
        transforms = [UpperText(encoding, errors), UpperText(encoding, errors)]
    except ValueError:
        assert errors == "surrogateescape"
        return
    assert answer(transforms[0], data, []) == answer(transforms[1], data, cuts)


def test_the_fault_is_placed_and_what_came_before_is_answered() -> None:
    upper = UpperText()
    assert upper.feed(b"ab") == b"AB"
    with pytest.raises(Undecodable, match="invalid start byte at octet 4") as caught:
        upper.feed(b"cd\xffef")
    assert caught.value.answer == b"CD"
    assert isinstance(caught.value, RemoteProtocolError)


def test_an_incomplete_character_at_the_end_is_a_fault() -> None:
    upper = UpperText()
    assert upper.feed(b"a\xc3") == b"A"
    with pytest.raises(Undecodable, match="unexpected end of data at octet 1"):
        upper.finish()
    replacing = UpperText("utf-8", "replace")
    assert replacing.feed(b"a\xc3") + replacing.finish() == "A\ufffd".encode()


def test_a_character_that_never_ends_is_a_fault() -> None:
    """UTF-7 and escapes would be kept, and read again from the start, without end."""
    for encoding, start, more in (("utf-7", b"+", b"AAAA"), ("unicode_escape", b"\\N{", b"LATIN ")):
        upper = UpperText(encoding)
        upper.feed(start)
        with pytest.raises(Undecodable, match="a character of more than 1024 octets"):
            for _ in range(10_000):
                upper.feed(more)


def test_characters_without_a_capital_in_the_encoding_are_looked_up_once() -> None:
    upper = UpperText("latin-1")
    assert upper.feed(b"\xff\xe9" * 1000) == b"\xff\xc9" * 1000
    assert len(upper._capitals) == 2


def test_stray_octets_survive_surrogateescape() -> None:
    assert answer(UpperText("utf-8", "surrogateescape"), b"a\xff\xfeb", [1, 2]) == b"A\xff\xfeB"


@pytest.mark.parametrize(
    "name", ["", "nope", "base64", "rot13", "hex", "idna", "punycode", "undefined", "a\0b", "zlib"]
)
def test_what_is_no_text_encoding_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a text encoding"):
        text_encoding(name)


def test_an_error_handler_that_cannot_decode_is_refused() -> None:
    with pytest.raises(ValueError, match="is none of"):
        UpperText("utf-8", "xmlcharrefreplace")
    with pytest.raises(ValueError, match="does not work with utf-16"):
        UpperText("utf-16", "surrogateescape")
