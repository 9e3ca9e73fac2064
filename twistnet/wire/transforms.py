"""What the services do to a stream of bytes: nothing, or upper case.

The rule of this module: a transform sees one direction of one conversation, cut anywhere, and its output depends on
the bytes alone and never on where they were cut. (Encodings that escape, such as UTF-7 and ISO 2022, can write one
text in several ways, and Python's decoders find some of their errors earlier or later.)
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Protocol

from ..errors import RemoteProtocolError

__all__ = ["ERRORS", "Identity", "Transform", "Undecodable", "UpperBytes", "UpperText", "text_encoding"]

ERRORS = ("strict", "replace", "ignore", "backslashreplace", "surrogateescape")
"""What may happen to input that does not decode: the error handlers that can decode (PEP 293)."""


UNFINISHED = 1024
"""Octets that one character may take; UTF-7 and escapes can go on without end."""


class Transform(Protocol):
    """One direction of a conversation, as it is answered."""

    def feed(self, data: bytes) -> bytes:
        """The answer to the next bytes; may be empty while a character is incomplete.

        Raises:
            RemoteProtocolError: The bytes are not what they should be; the transform is of no more use.
        """

    def finish(self) -> bytes:
        """What is still owed when no more bytes will come; raises as `feed` does."""


class Identity:
    """The bytes as they came."""

    def feed(self, data: bytes) -> bytes:
        """See `Transform.feed`; never raises."""
        return data

    def finish(self) -> bytes:
        """See `Transform.finish`; always empty."""
        return b""


class UpperBytes(Identity):
    """The bytes upper-cased as `bytes.upper` does it: the 26 letters of ASCII, and nothing else."""

    def feed(self, data: bytes) -> bytes:
        """See `Transform.feed`; never raises."""
        return data.upper()


class Undecodable(RemoteProtocolError):
    """Input that is not text in the encoding agreed on.

    Attributes:
        answer: The answer to what came before the fault, which is still owed.
    """

    def __init__(self, reason: str, offset: int, answer: bytes = b"") -> None:
        super().__init__(reason, offset)
        self.answer = answer


class UpperText:
    """Text upper-cased by Unicode's full mapping, a character split across two calls included.

    A character whose upper case the encoding cannot write stays as it is: `ÿ` in Latin-1.

    Args:
        encoding: Any text encoding of Python's that can be decoded piece by piece, such as `"utf-8"`.
        errors: One of `ERRORS`, for input that does not decode.

    Raises:
        ValueError: No such encoding or error handler, or an encoding that has no use for that handler.
    """

    def __init__(self, encoding: str = "utf-8", errors: str = "strict") -> None:
        encoding = text_encoding(encoding)
        if errors not in ERRORS:
            raise ValueError(f"{errors!r} is none of {', '.join(ERRORS)}")
        if errors == "surrogateescape" and not _carries_any_octet(encoding):
            raise ValueError(f"surrogateescape does not work with {encoding}")
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._encoder = codecs.getincrementalencoder(encoding)(errors)
        self._consumed = 0
        self._answered = False
        self._capitals = _Capitals(encoding)

    def feed(self, data: bytes) -> bytes:
        """See `Transform.feed`; what it raises is `Undecodable`."""
        upper = self._upper(data)
        self._consumed += len(data)
        return upper

    def finish(self) -> bytes:
        """See `Transform.finish`; an incomplete character at the end is input that does not decode."""
        return self._upper(b"", final=True)

    def _upper(self, data: bytes, *, final: bool = False) -> bytes:
        before = self._decoder.getstate()
        if len(before[0]) > UNFINISHED:
            raise Undecodable(
                f"not {self._encoding}: a character of more than {UNFINISHED} octets", self._consumed
            )
        try:
            return self._encode(self._decoder.decode(data, final), final=final)
        except UnicodeDecodeError as error:
            bad = len(error.object) - error.start  # octets from the fault to the end of data
            self._decoder.setstate(before)
            answer = self._upper(data[: len(data) - bad]) if len(data) > bad else b""
            offset = self._consumed + len(data) - bad
            raise Undecodable(f"not {self._encoding}: {error.reason}", max(0, offset), answer) from None
        except UnicodeError as error:
            raise Undecodable(f"not {self._encoding}: {error}", 0) from None

    def _encode(self, text: str, *, final: bool) -> bytes:
        if not text and not (final and self._answered):
            return b""  # an encoder with a byte order mark would write it for nothing
        self._answered = True
        upper = text.upper()
        if not upper.isascii() and not _encodes(upper, self._encoding):
            upper = text.translate(self._capitals)
        return self._encoder.encode(upper, final)


class _Capitals(dict[int, str]):
    """The upper case of each character, or the character where the encoding cannot write that; made on first use."""

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self._encoding = encoding

    def __missing__(self, code_point: int) -> str:
        character = chr(code_point)
        upper = character.upper()
        self[code_point] = upper if _encodes(upper, self._encoding) else character
        return self[code_point]


def text_encoding(name: str) -> str:
    """The canonical name of a text encoding that works piece by piece.

    Raises:
        ValueError: There is none of that name, or it is one from bytes to bytes, or only for whole texts.
    """
    try:
        if codecs.lookup(name).name in {"idna", "punycode"}:
            raise LookupError(name)
        "".encode(name)
        decoder: Callable[[], codecs.IncrementalDecoder] = codecs.getincrementaldecoder(name)
        codecs.getincrementalencoder(name)
        decoder().decode(b"", True)
        return codecs.lookup(name).name
    except (LookupError, ValueError, TypeError, AttributeError):
        raise ValueError(
            f"{name!r} is not a text encoding (utf-8, latin-1, utf-16, shift_jis, ...)"
        ) from None


def _encodes(text: str, encoding: str, errors: str = "strict") -> bool:
    try:
        text.encode(encoding, errors)
    except UnicodeError:
        return False
    return True


def _carries_any_octet(encoding: str) -> bool:
    """Whether a stray octet can stand between two characters: not in UTF-16, nor where escapes switch sets."""
    return _encodes("\udcff", encoding, "surrogateescape") and not encoding.startswith("iso2022")
