"""What is said in a conversation about files, and how it is written: one JSON object a message, with `say` for its kind.

The rule of this module: a message is checked once, when it is made, wherever it came from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from attrs import asdict, field, fields_dict, frozen
from attrs.validators import instance_of

from .file_names import LONGEST_NAME

__all__ = [
    "EMPTY",
    "LONGEST_FILE",
    "Content",
    "Digest",
    "Entries",
    "Entry",
    "Event",
    "Get",
    "List",
    "Offer",
    "Problem",
    "Put",
    "Remove",
    "Removed",
    "Send",
    "Sending",
    "Stat",
    "Stated",
    "Stored",
    "Working",
    "decode_message",
    "encode_message",
]

T = TypeVar("T")

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The SHA-256 of nothing."""

LONGEST_FILE = 2**62
_DIGEST = re.compile("[0-9a-f]{64}")
_CODE = re.compile("[a-z][a-z-]{0,31}")


def _checked(fits: Callable[[Any], bool], what: str, **keywords: Any) -> Any:
    """A field whose value must fit."""

    def check(_: object, attribute: Any, value: Any) -> None:
        if not fits(value):
            raise ValueError(f"{attribute.name} is not {what}")

    return field(validator=check, **keywords)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_NAME


def _is_octets(value: Any) -> bool:
    return type(value) is int and 0 <= value <= LONGEST_FILE


def _text() -> Any:
    return _checked(_is_text, f"a text of at most {LONGEST_NAME} characters")


def _octets() -> Any:
    return _checked(_is_octets, "a number of octets")


def _digest() -> Any:
    return _checked(
        lambda value: isinstance(value, str) and _DIGEST.fullmatch(value) is not None,
        "a SHA-256 in hexadecimal",
    )


def _flag() -> Any:
    return _checked(lambda value: isinstance(value, bool), "a boolean")


@frozen(kw_only=True)
class Put:
    """The client would send a file of so many octets."""

    name: str = _text()
    size: int = _octets()


@frozen(kw_only=True)
class Offer:
    """The server has the first octets of such a file, with this digest."""

    offset: int = _octets()
    digest: str = _digest()


@frozen(kw_only=True)
class Send:
    """The client sends what comes after so many octets: those that were offered, or none."""

    offset: int = _octets()


@frozen(kw_only=True)
class Get:
    """The client wants a file, of which it has the first octets, with this digest."""

    name: str = _text()
    offset: int = _octets()
    digest: str = _digest()


@frozen(kw_only=True)
class Sending:
    """The server sends what comes after so many octets: those that the client has, or none."""

    size: int = _octets()
    offset: int = _octets()


@frozen
class Content:
    """Some of the octets of a file."""

    data: bytes


@frozen(kw_only=True)
class Digest:
    """The SHA-256 of the whole file, after its octets."""

    digest: str = _digest()


@frozen(kw_only=True)
class Stored:
    """The file is on disk, under its name."""

    size: int = _octets()
    digest: str = _digest()


@frozen(kw_only=True)
class List:
    """The client asks what is in a folder; the empty name is that of the outermost one."""

    folder: str = _text()


@frozen(kw_only=True)
class Entry:
    """A file or a folder; `modified` is in seconds since 1970, UTC."""

    name: str = _text()
    size: int = _octets()
    modified: float = _checked(lambda value: type(value) in {int, float} and abs(value) < 1e12, "a time")
    folder: bool = _flag()


@frozen(kw_only=True)
class Entries:
    """Some of what is in a folder."""

    entries: tuple[Entry, ...] = _checked(
        lambda value: all(isinstance(one, Entry) for one in value), "a list of entries"
    )
    more: bool = _flag()


@frozen(kw_only=True)
class Stat:
    """The client asks about a file or a folder."""

    name: str = _text()


@frozen(kw_only=True)
class Stated:
    """What the client asked about."""

    entry: Entry = field(validator=instance_of(Entry))


@frozen(kw_only=True)
class Remove:
    """The client would have a file removed, or an empty folder."""

    name: str = _text()


@frozen(kw_only=True)
class Removed:
    """It is removed."""


@frozen(kw_only=True)
class Working:
    """It takes its time."""


@frozen(kw_only=True)
class Problem:
    """It cannot be done: a word that programs compare, a sentence, and whether the conversation is over."""

    code: str = _checked(
        lambda value: isinstance(value, str) and _CODE.fullmatch(value) is not None, "a word"
    )
    text: str = _text()
    over: bool = _flag()


Event: TypeAlias = (
    Put | Offer | Send | Get | Sending | Content | Digest | Stored | List | Entries | Stat | Stated | Remove | Removed
    | Working | Problem
)  # fmt: skip
_MESSAGES: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (Put, Offer, Send, Get, Sending, Digest, Stored, List, Entries, Stat, Stated, Remove, Removed, Working, Problem)
}  # fmt: skip


def encode_message(event: Event) -> bytes:
    message = {"say": type(event).__name__.lower(), **asdict(event)}
    return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()


def decode_message(frame: bytes) -> Event:
    """The event of a message; raises `ValueError` or `TypeError` if it is none, `RecursionError` if it is too deep."""
    message = json.loads(frame.decode())
    kind = _MESSAGES.get(str(message.pop("say", None))) if isinstance(message, dict) else None
    if kind is None:
        raise ValueError("nothing that is known is said")
    if "entries" in message:
        message["entries"] = tuple(_built(Entry, one) for one in _a_list(message["entries"]))
    if "entry" in message:
        message["entry"] = _built(Entry, message["entry"])
    event: Event = _built(kind, message)
    return event


def _a_list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("entries is not a list")
    return value


def _built(kind: type[T], values: Any) -> T:
    """An instance of a class; a key that is not known is passed over, for the sake of what comes after us."""
    if not isinstance(values, dict):
        raise ValueError(f"{kind.__name__.lower()} is not an object")
    names = fields_dict(kind)  # type: ignore[arg-type]
    if missing := names.keys() - values.keys():
        raise ValueError(f"{min(missing)} is missing")
    return kind(**{name: values[name] for name in names})
