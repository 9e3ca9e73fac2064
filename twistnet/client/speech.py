"""What lines are in octets, and octets in text that a terminal can be shown.

The rule of this module: nothing of a peer's drives a terminal, and nothing of it is left out.
"""

from __future__ import annotations

import codecs

from ..units import one_line

__all__ = ["HexSpeech", "Speech", "TextSpeech"]

_ROW = 16
_UNFINISHED = 1024
"""Octets that one character may take; UTF-7 and escapes can go on without end."""


class TextSpeech:
    """Lines of text.

    Args:
        encoding: Theirs and the peer's.
        end: What ends a line that is sent: `"\\n"`, `"\\r\\n"`, or nothing in a datagram.
        whole: Whether each piece that comes is a message of its own, a datagram, and each line is one too.
    """

    def __init__(self, encoding: str, end: str, *, whole: bool = False) -> None:
        self._encoding = encoding
        self._end = end
        self._whole = whole
        self._begin()
        self._return = False  # one has come, and may be the first half of the end of a line

    def _begin(self) -> None:
        self._decoder = codecs.getincrementaldecoder(self._encoding)("backslashreplace")
        self._encoder = codecs.getincrementalencoder(self._encoding)()

    def octets(self, line: str) -> bytes:
        """A line that is to be sent.

        Raises:
            ValueError: It cannot be said in the encoding.
        """
        if self._whole:
            return line.encode(self._encoding)
        state = self._encoder.getstate()
        try:
            return self._encoder.encode(line + self._end)
        except ValueError:
            self._encoder.setstate(state)
            raise

    def text(self, octets: bytes) -> str:
        """What the peer says with the next octets, as far as it can be told yet."""
        if self._whole:
            text = octets.decode(self._encoding, "backslashreplace")
            return self._shown(text).removesuffix("\n") + "\n" if octets else "* an empty datagram\n"
        text = self._decoder.decode(octets)
        if len(self._decoder.getstate()[0]) > _UNFINISHED:
            text += self.rest()
        return self._shown(text)

    def rest(self) -> str:
        """What the peer has said half, and will not say to its end."""
        text = self._decoder.decode(b"", True)
        self._decoder.reset()
        returned, self._return = self._return, False
        return self._shown(text) + ("\\r" if returned else "")

    def _shown(self, text: str) -> str:
        if self._return and text:
            text, self._return = "\r" + text, False
        if text.endswith("\r") and not self._whole:
            text, self._return = text[:-1], True
        text = text.replace("\r\n", "\n").replace("\t", "    ")
        return "\n".join(map(one_line, text.split("\n")))


class HexSpeech:
    """Octets in hexadecimal, as they are typed and as they are shown."""

    def octets(self, line: str) -> bytes:
        """The octets of a line, which may have blanks between them.

        Raises:
            ValueError: It is no hexadecimal.
        """
        return bytes.fromhex(line)

    def text(self, octets: bytes) -> str:
        """Rows of sixteen octets, with their ASCII."""
        rows = (octets[start : start + _ROW] for start in range(0, len(octets) or 1, _ROW))
        return "".join(f"{row.hex(' '):<47}  |{_ascii(row)}|\n" for row in rows)

    def rest(self) -> str:
        """Nothing is said half."""
        return ""


Speech = TextSpeech | HexSpeech


def _ascii(octets: bytes) -> str:
    return "".join(chr(octet) if 32 <= octet < 127 else "." for octet in octets)
