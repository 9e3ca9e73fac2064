"""What is told, on standard error, of octets as they pass: their hexadecimal, or how many there were.

The rule of this module: it looks on. What cannot be told any more is not told, and stops nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import click
from attrs import define

from .progress import Bars

__all__ = ["HexDump", "Progress", "Traffic", "shown_traffic"]

_ROW = 16
_LONG = 1 << 20
"""Octets from which on it is worth saying how far they are."""


class Traffic(Protocol):
    """Is told of what passes."""

    def sent(self, data: bytes) -> None:
        """These octets were sent."""

    def received(self, data: bytes) -> None:
        """These octets came."""


class Unseen:
    """Says nothing."""

    def sent(self, data: bytes) -> None:
        """Nothing."""

    def received(self, data: bytes) -> None:
        """Nothing."""


@define(eq=False)
class HexDump:
    """Writes rows of hexadecimal: which way, the offset in that direction, 16 octets, and their ASCII."""

    _sent: int = 0
    _received: int = 0

    def sent(self, data: bytes) -> None:
        """See `Traffic`."""
        self._show(">", self._sent, data)
        self._sent += len(data)

    def received(self, data: bytes) -> None:
        """See `Traffic`."""
        self._show("<", self._received, data)
        self._received += len(data)

    def _show(self, way: str, offset: int, data: bytes) -> None:
        """Write the rows; an empty datagram is a row too."""
        rows = (
            _row(way, offset + start, data[start : start + _ROW]) for start in range(0, len(data) or 1, _ROW)
        )
        with suppress(OSError):
            click.echo("\n".join(rows), err=True)


def _row(way: str, offset: int, octets: bytes) -> str:
    text = "".join(chr(octet) if 32 <= octet < 127 else "." for octet in octets)
    return f"{way} {offset:08x}  {octets[:8].hex(' '):<24} {octets[8:].hex(' '):<23}  |{text}|"


@define(eq=False)
class Progress:
    """Shows how much of the input was sent, once that is much.

    Attributes:
        begin: Makes the bar.
        size: Octets of the input, if that is known.
    """

    begin: Callable[[], Callable[[int, int | None], None]]
    size: int | None
    _sent: int = 0
    _report: Callable[[int, int | None], None] | None = None

    def sent(self, data: bytes) -> None:
        """See `Traffic`."""
        self._sent += len(data)
        if self._sent >= _LONG:
            self._report = self._report or self.begin()
            self._report(self._sent, self.size)

    def received(self, data: bytes) -> None:
        """Nothing."""


@contextmanager
def shown_traffic(reactor: Any, *, dump: bool) -> Iterator[Traffic]:
    """What is to be told of standard input's way to a peer, and of the answer.

    Progress is shown on a terminal, unless the answer goes to one.
    """
    if dump:
        yield HexDump()
    elif os.isatty(2) and not os.isatty(1):
        bars = Bars(reactor)
        try:
            yield Progress(lambda: bars.of("sent"), _size_of_input())
        finally:
            bars.stop()
    else:
        yield Unseen()


def _size_of_input() -> int | None:
    """What is left of standard input, if it is a file."""
    with suppress(OSError):
        status = os.fstat(0)
        if stat.S_ISREG(status.st_mode):
            return status.st_size - os.lseek(0, 0, os.SEEK_CUR)
    return None
