"""Messages in a stream of bytes: lines, messages that a length precedes, and netstrings.

The rule of this module: what a framer yields, and where and why it raises, depends on the octets alone and never on where
they were cut. Each octet is looked at a bounded number of times, and no more of them are kept than one frame may have and
what was fed last.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from struct import Struct
from typing import NoReturn, Protocol

from ..errors import LocalProtocolError, RemoteProtocolError

__all__ = ["MAX_LENGTH", "Framer", "LengthFramer", "LineFramer", "NetstringFramer"]

MAX_LENGTH = 65536
"""Octets of the longest frame, unless something else is said."""


class Framer(Protocol):
    """One direction of a conversation in frames, and how a frame of the other direction is written."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take the next octets, at once; the frames that are complete, each as soon as it is asked for.

        Who stops iterating gets no more frames, and nothing more is parsed; what is left comes from the next call's
        iterator, such as that of `feed(b"")`.

        Raises:
            RemoteProtocolError: From the iterator, after the frames before the fault. The framer is of no more use: it
                takes nothing more, and raises the same again.
        """

    def finish(self) -> bytes | None:
        """The frame that the end of the stream completes, if there is one; all others must have been iterated over.

        Raises:
            RemoteProtocolError: The end cuts a frame short.
        """

    def rest(self) -> bytes:
        """The octets that no frame was made of, which are given away: what follows the frames is something else."""

    def encode(self, frame: bytes) -> bytes:
        """The octets that carry a frame.

        Raises:
            LocalProtocolError: It cannot be framed.
        """


class _BufferedFramer(ABC):
    """Octets that came, of which the first are gone already; a subclass knows where the next frame ends."""

    def __init__(self, max_length: int) -> None:
        if max_length < 0:
            raise ValueError(f"max_length {max_length} is below 0")
        self.max_length = max_length
        self._buffer: bytes | bytearray = b""
        self._start = 0  # of the next frame, in the buffer
        self._wanted = 0  # octets that the buffer must have before it is worth looking
        self._searched = 0  # octets of the next frame that need no second look
        self._gone = 0  # octets before the buffer
        self._fault: tuple[str, int] | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See `Framer.feed`."""
        if self._fault is None:
            self._take(data)
        return self._frames()

    def finish(self) -> bytes | None:
        """See `Framer.finish`."""
        if next(self._frames(), None) is not None:
            raise LocalProtocolError("there are frames left, which come before the end")
        return self._last() if self._start < len(self._buffer) else None

    def rest(self) -> bytes:
        """See `Framer.rest`."""
        rest = bytes(self._buffer[self._start :])
        self._gone += len(self._buffer)
        self._buffer, self._start, self._wanted, self._searched = b"", 0, 0, 0
        return rest

    def _take(self, data: bytes) -> None:
        """Put octets behind those that are left: frames come out of bytes faster, but a bytearray grows in linear time."""
        self._forget()
        left = self._buffer
        if len(left) <= len(data):
            self._buffer = b"".join((left, data)) if left else bytes(data)
            return
        if isinstance(left, bytes):
            self._buffer = bytearray(left)
        self._buffer += data

    def _forget(self) -> None:
        """Drop the octets of frames that were taken: cheap at the front of a bytearray, which does not move the rest."""
        if not self._start:
            return
        if isinstance(self._buffer, bytes):
            self._buffer = self._buffer[self._start :]
        else:
            del self._buffer[: self._start]
        self._gone += self._start
        self._wanted -= self._start
        self._start = 0

    def _frames(self) -> Iterator[bytes]:
        if self._fault is not None:
            raise RemoteProtocolError(*self._fault)
        if len(self._buffer) >= self._wanted:
            yield from iter(self._next, None)
        self._forget()

    @abstractmethod
    def _next(self) -> bytes | None:
        """Take the next frame, or say with `_wanted` how many octets that needs."""

    def _last(self) -> bytes:
        """The frame that the end completes; or it cuts it short."""
        self._fail("the stream ends within a frame", len(self._buffer))

    def _cut(self, start: int, end: int, after: int) -> bytes:
        """The octets of a frame; the next one begins at `after`."""
        self._start = after
        buffer = self._buffer
        if type(buffer) is bytes:
            return buffer[start:end]
        with memoryview(buffer) as view, view[start:end] as frame:  # an open view would keep it from growing
            return bytes(frame)

    def _fail(self, reason: str, at: int) -> NoReturn:
        self._fault = reason, self._gone + at
        self._buffer, self._start = b"", 0
        raise RemoteProtocolError(*self._fault)

    def _too_long(self, at: int) -> NoReturn:
        self._fail(f"a frame of more than {self.max_length} octets", at)

    def _check(self, frame: bytes) -> None:
        if len(frame) > self.max_length:
            raise LocalProtocolError(f"a frame of {len(frame)} octets is above {self.max_length}")


class LineFramer(_BufferedFramer):
    r"""Lines, each ended by a delimiter, which is not part of it.

    Args:
        delimiter: What ends a line.
        max_length: Octets that a line may have, without its end.
        crlf: With the delimiter `b"\n"`: whether one `\r` before it belongs to the end of the line, so that lines of
            either kind are read. A frame that ends with `\r` cannot be sent then.
        unterminated: Whether what stands after the last delimiter counts as a line when the stream ends.

    Raises:
        ValueError: An empty delimiter, or a limit below 0.
    """

    def __init__(
        self,
        delimiter: bytes = b"\n",
        max_length: int = MAX_LENGTH,
        *,
        crlf: bool = True,
        unterminated: bool = False,
    ) -> None:
        super().__init__(max_length)
        if not delimiter:
            raise ValueError("an empty delimiter delimits nothing")
        self.delimiter = delimiter
        self._crlf = crlf and delimiter == b"\n"
        self._end_length = len(delimiter) + self._crlf
        self._unterminated = unterminated

    def _next(self) -> bytes | None:
        buffer, start = self._buffer, self._start
        limit = start + self.max_length + self._end_length
        found = buffer.find(self.delimiter, start + self._searched, limit)
        if found < 0:
            if len(buffer) >= limit:
                self._too_long(start + self.max_length)
            self._searched = max(0, len(buffer) - start - len(self.delimiter) + 1)
            self._wanted = len(buffer) + 1
            return None
        end = found - 1 if self._crlf and found > start and buffer[found - 1] == 13 else found
        if end - start > self.max_length:
            self._too_long(start + self.max_length)
        self._searched = 0
        return self._cut(start, end, found + len(self.delimiter))

    def _last(self) -> bytes:
        length = len(self._buffer) - self._start
        if not self._unterminated:
            self._fail("the stream ends within a line", len(self._buffer))
        if length > self.max_length:
            self._too_long(self._start + self.max_length)
        return self._cut(self._start, len(self._buffer), len(self._buffer))

    def encode(self, frame: bytes) -> bytes:
        """See `Framer.encode`; a line has no delimiter in it."""
        self._check(frame)
        line = frame + self.delimiter
        if line.find(self.delimiter) != len(frame):
            raise LocalProtocolError(f"a line has its end, {self.delimiter!r}, within it")
        if self._crlf and frame.endswith(b"\r"):
            raise LocalProtocolError("a line that ends with a carriage return would lose it")
        return line


_FORMATS = {1: ">B", 2: ">H", 4: ">I", 8: ">Q"}


class LengthFramer(_BufferedFramer):
    """Frames that their length precedes, as a big-endian number.

    Args:
        width: Octets of the number: 1, 2, 4 or 8.
        max_length: Octets that a frame may have, besides its length; no more than the number can say.

    Raises:
        ValueError: Another width, or a limit below 0.
    """

    def __init__(self, width: int = 4, max_length: int = MAX_LENGTH) -> None:
        if width not in _FORMATS:
            raise ValueError(f"a length of {width} octets is none of 1, 2, 4 and 8")
        super().__init__(min(max_length, 256**width - 1))
        self.width = width
        self._unpack = Struct(_FORMATS[width]).unpack_from

    def _next(self) -> bytes | None:
        buffer, start = self._buffer, self._start
        body = start + self.width
        if body > len(buffer):
            self._look_at(buffer[start:])
            return None
        length: int = self._unpack(buffer, start)[0]
        if length > self.max_length:
            self._too_long(start)
        end = body + length
        if end > len(buffer):
            self._wanted = end
            return None
        return self._cut(body, end, end)

    def _look_at(self, first: bytes | bytearray) -> None:
        """The first octets of a length may say already that it is too long."""
        if int.from_bytes(first, "big") << 8 * (self.width - len(first)) > self.max_length:
            self._too_long(self._start)
        self._wanted = len(self._buffer) + 1

    def encode(self, frame: bytes) -> bytes:
        """See `Framer.encode`."""
        self._check(frame)
        return len(frame).to_bytes(self.width, "big") + frame


_NUMBER = re.compile(rb"0|[1-9][0-9]*|")


class NetstringFramer(_BufferedFramer):
    """Netstrings (Bernstein, 1997): the length in decimal digits, a colon, the frame, a comma.

    Args:
        max_length: Octets that a frame may have, without what stands around it.

    Raises:
        ValueError: A limit below 0.
    """

    def __init__(self, max_length: int = MAX_LENGTH) -> None:
        super().__init__(max_length)
        self._head = len(str(max_length)) + 1  # octets up to the colon

    def _next(self) -> bytes | None:
        start = self._start
        head = self._buffer[start : start + self._head]
        number = _NUMBER.match(head)
        assert number is not None  # the empty one always matches
        digits = number.end()
        length = int(number[0] or b"0")
        if length > self.max_length:
            self._too_long(start)
        if digits == len(head) < self._head:
            self._wanted = len(self._buffer) + 1
            return None
        if not digits or head[digits : digits + 1] != b":":
            self._fail("no length and colon of a netstring", start + digits)
        return self._body(start + digits + 1, length)

    def _body(self, body: int, length: int) -> bytes | None:
        end = body + length
        if len(self._buffer) <= end:
            self._wanted = end + 1
            return None
        if self._buffer[end] != 0x2C:
            self._fail("no comma after a netstring", end)
        return self._cut(body, end, end + 1)

    def encode(self, frame: bytes) -> bytes:
        """See `Framer.encode`."""
        self._check(frame)
        return b"%d:%b," % (len(frame), frame)
