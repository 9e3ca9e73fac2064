"""Requests and replies, each one JSON text (RFC 8259) in UTF-8.

The rule of this module: whatever the octets are, what comes of them is a message or `BadMessage`, in time and memory
proportional to their number. A text is decoded only once it is known how deep it is nested.

A request is `{"id": 1, "value": ...}`; its reply is `{"id": 1, "value": ...}` or
`{"id": 1, "error": {"code": "...", "message": "..."}}`. An id is a whole number or a short text, and the asking side's own
affair: it comes back as it was, and nobody minds if two requests have the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any, NamedTuple, TypeAlias

import msgspec

from ..errors import BadMessage, LocalProtocolError, RemoteError
from .framing import Framer, LengthFramer, LineFramer, NetstringFramer

__all__ = [
    "CODES",
    "DEEPEST",
    "FRAMINGS",
    "LONGEST_ID",
    "MAX_DEPTH",
    "MAX_MESSAGE",
    "SHORTEST",
    "MessageId",
    "Reply",
    "decode_message",
    "decode_reply",
    "decode_request",
    "encode_error",
    "encode_message",
    "encode_reply",
    "make_framer",
]

MessageId: TypeAlias = int | str

MAX_MESSAGE = 1 << 20
"""Octets of the longest message, unless something else is said."""

SHORTEST = 4096
"""The least that may be said: any error fits into it, unless a handler says more than that."""

LONGEST_ID = 256
"""Characters of the longest id that is a text; one that is a number is below 2**64, and above -2**64."""

MAX_DEPTH = 64
"""How many lists and objects may stand within one another, the message itself included, unless something else is said."""

DEEPEST = 250
"""The most that may be said: a function of Python's that follows a value all the way down has room for it."""

CODES: Mapping[str, str] = {
    "bad-frame": "the framing is broken, or a frame is too long; the connection is closed",
    "bad-json": "a message is no JSON text in UTF-8",
    "bad-request": 'a message is not {"id": a whole number or a short text, "value": anything}',
    "too-deep": "a message is nested too deep",
    "too-large": "the reply would be too long",
    "bad-value": "the handler cannot do anything with the value",
    "timeout": "the handler took too long",
    "failed": "the handler failed",
    "busy": "too many requests are under way (datagrams only; a stream is not read from meanwhile)",
}
"""The codes of errors that a service answers with by itself, and when; a handler may have others."""

FRAMINGS: Mapping[str, Callable[[int], Framer]] = {
    "lines": lambda max_length: LineFramer(max_length=max_length, unterminated=True),
    "length": lambda max_length: LengthFramer(4, max_length),
    "netstring": NetstringFramer,
}
"""How messages may be framed: a line each, after a length of four octets, or as netstrings."""


def make_framer(framing: str, max_message: int = MAX_MESSAGE) -> Framer:
    """A framer of messages.

    Raises:
        ValueError: There is no such framing.
    """
    if framing not in FRAMINGS:
        raise ValueError(f"{framing!r} is none of {', '.join(FRAMINGS)}")
    return FRAMINGS[framing](max_message)


class Reply(NamedTuple):
    """What a request was answered with.

    Attributes:
        id: The request's; `None` if the peer could not tell which it was, which only an error can say.
        value: The value, if there is no error.
        error: The error, or `None`.
    """

    id: MessageId | None
    value: Any
    error: RemoteError | None


_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def decode_message(text: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The value of a JSON text.

    Of two members of an object with the same name, the last one counts. Numbers that are no number (`NaN`, `Infinity`), or
    that no float or integer of a few hundred digits can hold, are refused; so are halves of surrogate pairs.

    Raises:
        BadMessage: It is none (`bad-json`), or is nested deeper than that (`too-deep`).
    """
    if text.count(b"[") + text.count(b"{") > max_depth and _depth(text) > max_depth:
        raise BadMessage(
            "too-deep", f"more than {max_depth} lists and objects within one another", _id_of(text)
        )
    try:
        return _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _bad_json(error) from None


_POSITION = re.compile(r"(?:JSON is malformed: )?(.*?)(?: \(byte ([0-9]+)\)| - at `.*`)?", re.DOTALL)


def _bad_json(error: Exception) -> BadMessage:
    if isinstance(error, UnicodeDecodeError):
        return BadMessage("bad-json", "no UTF-8")
    match = _POSITION.fullmatch(str(error))
    assert match is not None  # it matches any text
    return BadMessage("bad-json", f"no JSON: {match[1]}", offset=int(match[2] or 0))


_SHALLOW = 8
_BETWEEN = ord("\\")  # one above "[", one below "]"
_SHAPE = bytes.maketrans(b"{}", b"[]")
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))


def _depth(text: bytes) -> int:
    """How deep a JSON text is nested; of what is none, no less than the part before the fault.

    Innermost pairs of brackets are taken away, all of them at once: that is fast, and leaves nothing of most messages. Only
    what is left is walked through.
    """
    brackets = _brackets(text)
    for taken in range(_SHALLOW):
        fewer = brackets.replace(b"[]", b"")
        if len(fewer) == len(brackets):
            return taken + brackets.count(b"[")  # which are never closed
        brackets = fewer
    return _SHALLOW + max(accumulate(map(_BETWEEN.__sub__, brackets)), default=0)


def _brackets(text: bytes) -> bytes:
    """The brackets of a JSON text that are not in strings."""
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    shape = text.translate(_SHAPE, _OTHERS)
    brackets = shape.replace(b'""', b"")
    if b'"' not in brackets:
        return brackets  # no string has any
    return b"".join(shape.split(b'"')[::2])


class _Identified(msgspec.Struct):
    """The id of a message, whatever else is in it."""

    id: int | str


_decode_id = msgspec.json.Decoder(_Identified).decode


def _id_of(text: bytes) -> MessageId | None:
    """The id of a text that is not to be decoded, if it can be read without."""
    try:
        found = _decode_id(text).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return found if _is_id(found) else None


def decode_request(text: bytes, max_depth: int = MAX_DEPTH) -> tuple[MessageId, Any]:
    """The id and the value of a request.

    Raises:
        BadMessage: It is none; with its id, if that could be read.
    """
    message = decode_message(text, max_depth)
    if type(message) is dict and len(message) == 2 and "value" in message and _is_id(message.get("id")):
        return message["id"], message["value"]
    raise _no_request(message)


def _is_id(value: Any) -> bool:
    if type(value) is int:
        return -_BEYOND < value < _BEYOND
    return type(value) is str and len(value) <= LONGEST_ID


_BEYOND = 1 << 64


def _no_request(message: Any) -> BadMessage:
    """What is wrong with a message that is no request."""
    if type(message) is not dict:
        return BadMessage("bad-request", "no object")
    if not _is_id(message.get("id")):
        return BadMessage("bad-request", "no id that is a whole number or a short text")
    if "value" not in message:
        return BadMessage("bad-request", "no value", message["id"])
    return BadMessage("bad-request", "more than an id and a value", message["id"])


def decode_reply(text: bytes, max_depth: int = MAX_DEPTH) -> Reply:
    """What a reply says.

    Raises:
        BadMessage: It is none.
    """
    message = decode_message(text, max_depth)
    if type(message) is dict and len(message) == 2:
        request = message.get("id")
        if "value" in message and _is_id(request):
            return Reply(request, message["value"], None)
        if "error" in message and "id" in message and (request is None or _is_id(request)):
            return Reply(request, None, _error(message["error"]))
    raise BadMessage("bad-reply", "no reply")


def _error(error: Any) -> RemoteError:
    if type(error) is dict:
        code, message = error.get("code"), error.get("message", "")
        if type(code) is str and type(message) is str:
            return RemoteError(code, message)
    raise BadMessage("bad-reply", "no error with a code and a message")


def encode_message(value: Any) -> bytes:
    """A value as a JSON text, on one line.

    Besides what JSON has, dates and times, UUIDs, decimals and bytes (base64) are written as texts, tuples and sets as
    lists, attrs and dataclass instances as objects, and floats that JSON has no word for as `null`.

    Raises:
        LocalProtocolError: It cannot be written.
    """
    try:
        return _encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise LocalProtocolError(f"a value that JSON cannot say: {error}") from error


def encode_reply(request: MessageId, value: Any) -> bytes:
    """A reply with a value, or a request with it: they look alike. Raises as `encode_message`."""
    return encode_message({"id": request, "value": value})


def encode_error(request: MessageId | None, code: str, message: str) -> bytes:
    """A reply with an error.

    Args:
        request: The id of the request; `None` if it could not be read.
        code: For programs.
        message: For people; one line.
    """
    return encode_message({"id": request, "error": {"code": code, "message": message}})
