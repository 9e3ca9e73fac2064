"""A script at the other end of a pipe, in the place of a person.

The rule of this module: none of its lines is lost, and what waits of them is no more than was read at once.
"""

from __future__ import annotations

import os
from typing import Any

from .person import Listener
from .standard_input import StandardInput, may_read, write_output

__all__ = ["Script"]

LONGEST = 65536
"""Octets of the longest line of a script."""


class Script:
    """Lines out of a pipe or a file, or of a terminal that can do no more, and what is shown as lines on standard output.

    Args:
        reactor: Reads standard input.
    """

    is_full = False

    def __init__(self, reactor: Any) -> None:
        self.is_interactive = os.isatty(0)
        self._listener: Listener | None = None
        self._input = StandardInput(reactor, self._received, self._ended)
        self._buffer = b""
        self._paused = self._over = self._delivering = False

    def start(self, listener: Listener) -> None:
        """See `Person`."""
        self._listener = listener
        if may_read():
            self._input.start()

    def stop(self) -> None:
        """See `Person`."""
        self._listener = None
        self._input.stop()

    def show(self, text: str) -> None:
        """See `Person`."""
        write_output(text)

    def prompt(self, text: str) -> None:
        """See `Person`; a script needs none."""

    def pause(self) -> None:
        """See `Person`."""
        self._paused = True
        self._input.stop()

    def resume(self) -> None:
        """See `Person`."""
        self._paused = False
        self._deliver()
        if not self._paused and not self._over and self._listener is not None:
            self._input.start()

    def _received(self, data: bytes) -> None:
        self._buffer += data
        self._deliver()
        if len(self._buffer) > LONGEST and b"\n" not in self._buffer:
            self.show(f"* a line of more than {LONGEST} octets; nothing more is read\n")
            self._buffer = b""
            self._ended()

    def _ended(self) -> None:
        self._over = True
        self._input.stop()
        if self._buffer and not self._buffer.endswith(b"\n"):
            self._buffer += b"\n"
        self._deliver()

    def _deliver(self) -> None:
        """Have the lines heard that have come, one by one, unless this is called from within one."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._listener is not None and not self._paused and b"\n" in self._buffer:
                line, _, self._buffer = self._buffer.partition(b"\n")
                self._listener.typed(line.removesuffix(b"\r").decode("utf-8", "surrogateescape"))
            if self._listener is not None and self._over and not self._paused:
                self._listener.input_ended()
        finally:
            self._delivering = False
