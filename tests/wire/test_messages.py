"""Messages: what is one, what is none and why, and that no octets whatever do more than that."""

from __future__ import annotations

import json
import math
import time
import tracemalloc
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.errors import BadMessage, LocalProtocolError, RemoteError
from twistnet.wire.framing import LineFramer
from twistnet.wire.messages import (
    CODES,
    DEEPEST,
    FRAMINGS,
    MAX_DEPTH,
    Reply,
    decode_message,
    decode_reply,
    decode_request,
    encode_error,
    encode_message,
    encode_reply,
    make_framer,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
IDS = st.integers(1 - 2**64, 2**64 - 1) | st.text(max_size=256)


def refused(text: bytes, **limits: int) -> BadMessage:
    """What is said of a request that is none."""
    with pytest.raises(BadMessage) as caught:
        decode_request(text, **limits)
    return caught.value


@given(IDS, VALUES)
def test_what_is_asked_and_answered_comes_back(request: Any, value: Any) -> None:
    text = encode_reply(request, value)
    assert decode_request(text) == (request, value)
    assert decode_reply(text) == Reply(request, value, None)
    assert json.loads(text) == {"id": request, "value": value}
    assert b"\n" not in text


@given(st.none() | IDS, st.text(), st.text())
def test_errors_come_back(request: Any, code: str, message: str) -> None:
    reply = decode_reply(encode_error(request, code, message))
    assert reply.error is not None
    assert (reply.id, reply.error.code, reply.error.message) == (request, code, message)
    assert isinstance(reply.error, RemoteError)


@given(VALUES)
def test_the_standard_library_says_the_same(value: Any) -> None:
    assert decode_message(json.dumps(value).encode(), DEEPEST) == value
    assert decode_message(json.dumps(value, ensure_ascii=False).encode(), DEEPEST) == value


@pytest.mark.parametrize(
    ("text", "code", "request_id", "reason"),
    [
        (b"", "bad-json", None, "no JSON: Input data was truncated"),
        (b'{"id": 1, "value": }', "bad-json", None, "no JSON: invalid character at octet 19"),
        (
            b'{"id":1,"value":1}{"id":2,"value":2}',
            "bad-json",
            None,
            "no JSON: trailing characters",
        ),
        (b"\xef\xbb\xbf{}", "bad-json", None, "no JSON: invalid character"),
        (b'{"id":1,"value":"\xff"}', "bad-json", None, "no UTF-8"),
        (b'{"id":1,"value":"\xed\xa0\x80"}', "bad-json", None, "no UTF-8"),
        (b'{"id":1,"value":"\\ud800"}', "bad-json", None, "no JSON: "),
        (b'{"id":1,"value":NaN}', "bad-json", None, "no JSON: invalid character"),
        (b'{"id":1,"value":-Infinity}', "bad-json", None, "no JSON: invalid character"),
        (b'{"id":1,"value":1e400}', "bad-json", None, "no JSON: Number out of range"),
        (b'{"id":1,"value":' + b"9" * 5000 + b"}", "bad-json", None, "no JSON: Integer value out of range"),
        (b'{"id":1,"value":[1,]}', "bad-json", None, "no JSON: trailing comma in array"),
        (b"[1, 2]", "bad-request", None, "no object"),
        (b'"hello"', "bad-request", None, "no object"),
        (b'{"value": 1}', "bad-request", None, "no id that is a whole number or a short text"),
        (b'{"id": null, "value": 1}', "bad-request", None, "no id that is a whole number or a short text"),
        (b'{"id": true, "value": 1}', "bad-request", None, "no id that is a whole number or a short text"),
        (b'{"id": 1.0, "value": 1}', "bad-request", None, "no id that is a whole number or a short text"),
        (b'{"id": [1], "value": 1}', "bad-request", None, "no id that is a whole number or a short text"),
        (b'{"id": 18446744073709551616, "value": 1}', "bad-request", None, "no id"),
        (b'{"id": "' + b"x" * 257 + b'", "value": 1}', "bad-request", None, "no id"),
        (b'{"id": 7}', "bad-request", 7, "no value"),
        (b'{"id": "a", "error": 1}', "bad-request", "a", "no value"),
        (b'{"id": 7, "value": 1, "more": 2}', "bad-request", 7, "more than an id and a value"),
    ],
)
def test_what_is_no_request(text: bytes, code: str, request_id: Any, reason: str) -> None:
    error = refused(text)
    assert (error.code, error.request) == (code, request_id)
    assert str(error).startswith(reason)
    assert code in CODES


def test_what_json_leaves_open() -> None:
    """The last of two members with one name counts; integers are exact."""
    assert decode_request(b'{"id":1,"value":1,"id":2,"value":3}') == (2, 3)
    assert decode_message(b"123456789012345678901234567890") == 123456789012345678901234567890
    assert math.copysign(1, decode_message(b"-0.0")) == -1
    assert decode_message(b' "\\ud83d\\ude00" ') == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    "text",
    [
        b"1",
        b"{}",
        b'{"id":null,"value":1}',
        b'{"id":1,"value":1,"error":{"code":"x"}}',
        b'{"id":1,"error":"failed"}',
        b'{"id":1,"error":{"message":"x"}}',
        b'{"id":1,"error":{"code":1}}',
        b'{"id":1.5,"error":{"code":"x"}}',
    ],
)
def test_what_is_no_reply(text: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        decode_reply(text)
    assert caught.value.code == "bad-reply"


def test_what_can_be_said_besides() -> None:
    assert encode_message({"at": datetime(2026, 1, 2, tzinfo=UTC), "pair": (1, 2), "octets": b"x"}) == (
        b'{"at":"2026-01-02T00:00:00Z","pair":[1,2],"octets":"eA=="}'
    )
    assert encode_message([math.nan, math.inf]) == b"[null,null]"


def test_what_cannot_be_said() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (object(), endless, "\ud800", {(1, 2): 3}, 10**5000):
        with pytest.raises(LocalProtocolError):
            encode_message(value)


# Depth


def nested(depth: int, opening: str = "[") -> bytes:
    """Lists or objects within one another."""
    opened, closed = (b"[", b"]") if opening == "[" else (b'{"a":', b"}")
    return opened * depth + b"1" + closed * depth


@pytest.mark.parametrize("opening", "[{")
@pytest.mark.parametrize("deep", [1, 2, MAX_DEPTH, DEEPEST])
def test_the_depth_is_exact(opening: str, deep: int) -> None:
    assert decode_message(nested(deep, opening), max_depth=deep) is not None
    with pytest.raises(BadMessage) as caught:
        decode_message(nested(deep + 1, opening), max_depth=deep)
    assert caught.value.code == "too-deep"


def test_brackets_in_texts_and_beside_one_another_are_not_deep() -> None:
    value = ["[" * 1000, '"' * 999 + "{" * 1000, "\\" * 999 + '"[[', [[], {}] * 1000, {"[{": "\\"}]
    assert decode_message(json.dumps(value).encode(), max_depth=3) == value
    assert decode_message(encode_message(value), max_depth=3) == value


def depth_of(value: Any) -> int:
    """How deep a value is nested, counted on the value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


@given(
    st.recursive(
        st.text('"\\[]{}\n', max_size=5),
        lambda inner: (
            st.lists(inner, max_size=4) | st.dictionaries(st.text('"\\[', max_size=3), inner, max_size=4)
        ),
        max_leaves=30,
    ),
    st.integers(0, 6),
)
def test_the_depth_of_a_text_is_that_of_its_value(value: Any, limit: int) -> None:
    text = encode_message(value)
    if depth_of(value) <= limit:
        assert decode_message(text, limit) == value
    else:
        with pytest.raises(BadMessage) as caught:
            decode_message(text, limit)
        assert caught.value.code == "too-deep"


@pytest.mark.parametrize("opening", "[{")
def test_the_id_of_what_is_too_deep_is_told_where_it_can_be_read(opening: str) -> None:
    assert refused(b'{"id": 5, "value": ' + nested(100, opening) + b"}").request == 5
    assert refused(b'{"value": ' + nested(100, opening) + b', "id": "a"}').request == "a"
    assert refused(b'{"id": 5, "value": ' + nested(100_000, opening) + b"}").request is None
    assert refused(nested(100, opening)).request is None
    assert refused(b'{"id": 5, "value": ' + b"[" * 100).request is None


@pytest.mark.parametrize(
    "bomb",
    [
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b"]" * 500_000 + b"[" * 500_000,
        b"[" * 500_000 + b"]" * 500_000,
        b'"' * 1_000_001,
        b'["' + b"\\" * 1_000_000,
        b"[{" * 500_000,
        b"1" * 1_000_000,
        b"1e" + b"9" * 1_000_000,
        b'{"id":1,"value":' + b'[{"":[' * 160_000,
        b"[" * 65 + b'"a",' * 250_000,
        b"[" + b"[]," * 333_000 + b"[]]",
        b"[" + b'{"a":1,"b":2},' * 70_000 + b"{}]",
    ],
    ids=lambda bomb: bomb[:8].decode(),
)
def test_a_bomb_takes_neither_long_nor_much(bomb: bytes) -> None:
    """A million octets are refused within a fraction of a second, in a bounded number of octets for each of them."""
    tracemalloc.start()
    begun = time.process_time()
    try:
        with pytest.raises(BadMessage):
            decode_request(bomb)
        assert time.process_time() - begun < 2
        assert tracemalloc.get_traced_memory()[1] < 100 * len(bomb)
    finally:
        tracemalloc.stop()


PIECES = st.sampled_from(
    [b"[", b"]", b"{", b"}", b'"', b"\\", b",", b":", b"1", b"-", b"e9", b"null", b'"id"', b" "]
)


@given(st.binary() | st.lists(PIECES, max_size=200).map(b"".join), st.integers(1, 5))
def test_whatever_the_octets_it_is_a_message_or_none(text: bytes, limit: int) -> None:
    for decode in (decode_message, decode_request, decode_reply):
        try:
            decode(text, limit)
        except BadMessage as error:
            assert error.code in {*CODES, "bad-reply"}
            assert 0 <= error.offset <= len(text)


# Framed


@pytest.mark.parametrize("framing", FRAMINGS)
def test_every_split(framing: str) -> None:
    values = [None, "a\nb", {"nested": [1, [2, {"x": []}]]}, "\N{GRINNING FACE}", [1.5, -3]]
    texts = [encode_reply(number, value) for number, value in enumerate(values)]
    data = b"".join(map(make_framer(framing).encode, texts))
    for cut in range(len(data) + 1):
        framer = make_framer(framing)
        frames = [*framer.feed(data[:cut]), *framer.feed(data[cut:])]
        assert [decode_request(frame) for frame in frames] == list(enumerate(values))
    framer = make_framer(framing)
    assert [frame for octet in data for frame in framer.feed(bytes([octet]))] == texts


def test_a_last_line_needs_no_end() -> None:
    framer = make_framer("lines")
    assert list(framer.feed(b'{"id":1,"value":2}')) == []
    assert framer.finish() == b'{"id":1,"value":2}'


def test_there_is_no_other_framing() -> None:
    with pytest.raises(ValueError, match="'xml' is none of lines, length, netstring"):
        make_framer("xml")


@given(st.lists(VALUES, min_size=2, max_size=5))
def test_the_failure_of_the_tutorial(values: list[Any]) -> None:
    """What several messages look like to `json.loads`, however many `recv` has put together; and to us."""
    objects = [{"value": value} for value in values]
    received = b"".join(json.dumps(one).encode() for one in objects)
    with pytest.raises(json.JSONDecodeError, match="Extra data"):
        json.loads(received)
    lines = b"".join(LineFramer().encode(json.dumps(one).encode()) for one in objects)
    assert [decode_message(line) for line in LineFramer().feed(lines)] == objects
    ends = list(accumulate(len(json.dumps(one)) + 1 for one in objects))
    assert ends[-1] == len(lines)
