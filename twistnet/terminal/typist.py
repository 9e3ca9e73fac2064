"""Somebody at a terminal.

The rule of this module: a terminal is left as it was found, however the process ends that can still do anything.
"""

from __future__ import annotations

import atexit
import codecs
import os
import signal
import termios
from collections import deque
from contextlib import suppress
from functools import partial
from typing import Any

from ..units import one_line
from .captured import Captured
from .editor import LineEditor
from .keys import Key, KeyReader
from .output import TerminalOutput
from .person import Listener
from .screen import Screen
from .standard_input import StandardInput, write_output

__all__ = ["TerminalPerson"]

BATCH = 65536
"""Characters that are shown together at most."""


class TerminalPerson:
    """Somebody at a terminal, with line editing and history.

    Whatever the process prints meanwhile, its log for one, stands above the line that is being typed. Ctrl-C, Ctrl-Z and
    Ctrl-\\ are signals, as ever.

    Args:
        reactor: Reads the terminal.
    """

    is_interactive = True

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._listener: Listener | None = None
        self._input = StandardInput(reactor, self._received, self._hung_up)
        self._keys = KeyReader()
        self._editor = LineEditor()
        self._screen = Screen(80)
        self._output: TerminalOutput | None = None
        self._captured: Captured | None = None
        self._prints: deque[bytes] = deque()
        self._decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        self._modes: list[Any] | None = None
        self._signals: dict[int, Any] = {}
        self._waiting: list[str] = []
        self._waits = 0

    @property
    def is_full(self) -> bool:
        """See `Person`."""
        return self._output is not None and self._output.is_full

    def start(self, listener: Listener) -> None:
        """See `Person`."""
        self._listener = listener
        self._output = TerminalOutput(self._reactor, 1, self._drained)
        self._screen.resize(self._columns())
        self._captured = Captured([fd for fd in (1, 2) if os.isatty(fd)], self._print)
        atexit.register(self.stop)
        self._enter()
        self._watch_signals()
        self._write(self._screen.line("", 0))
        self._input.start()

    def stop(self) -> None:
        """See `Person`."""
        if self._listener is None:
            return
        atexit.unregister(self.stop)
        self._input.stop()
        for number, action in self._signals.items():
            signal.signal(number, action)
        if self._captured is not None:
            self._captured.stop()
        self._show_printed()
        self._flush()
        self._listener = None
        self._write(self._screen.leave())
        if self._output is not None:
            self._output.close()
        self._output = None
        self._leave()

    def show(self, text: str) -> None:
        """See `Person`."""
        if self._listener is None:
            write_output(text)
            return
        if not self._waiting:
            self._reactor.callLater(0, self._flush)
        self._waiting.append(text)
        self._waits += len(text)
        if self._waits > BATCH:
            self._flush()

    def prompt(self, text: str) -> None:
        """See `Person`."""
        if text != self._screen.prompt:
            self._screen.prompt = text
            self._draw_line()

    def pause(self) -> None:
        """See `Person`; the terminal itself holds what is typed."""

    def resume(self) -> None:
        """See `Person`."""

    # What is typed

    def _received(self, data: bytes) -> None:
        self._flush()
        changed = False
        for key in self._keys.feed(data):
            if self._listener is None:
                return
            changed = self._press(key) or changed
        if changed:
            self._draw_line()

    def _press(self, key: Key | str) -> bool:
        """Whether the line has to be drawn anew."""
        assert self._listener is not None
        if key is Key.CLEAR:
            self._write(self._screen.clear())
            return False
        if key is Key.END_OF_INPUT and not self._editor.text:
            self._listener.input_ended()
            return False
        if key is Key.ENTER:
            self._draw_line()
            self._write(self._screen.enter())
        line = self._editor.press(key)
        if line is not None:
            self._listener.typed(line)
            self._flush()
        if self._listener is not None:
            self._listener.typing(bool(self._editor.text))
        return True

    def _hung_up(self) -> None:
        if self._listener is not None:
            self._listener.input_ended()

    # What is shown

    def _write(self, text: str) -> None:
        if self._output is not None:
            self._output.write(text)

    def _drained(self) -> None:
        if self._listener is not None:
            self._listener.caught_up()

    def _draw_line(self) -> None:
        if self._listener is not None:
            self._write(self._screen.line(self._editor.text, self._editor.cursor))

    def _flush(self) -> None:
        waiting, self._waiting, self._waits = self._waiting, [], 0
        if waiting:
            self._write(self._screen.show("".join(waiting)))

    def _print(self, data: bytes) -> None:
        """Something in the process has printed; this is called in a thread."""
        self._prints.append(data)
        self._reactor.callFromThread(self._show_printed)

    def _show_printed(self) -> None:
        while self._prints:
            text = self._decoder.decode(self._prints.popleft()).replace("\r\n", "\n").replace("\t", "    ")
            self.show("\n".join(map(one_line, text.split("\n"))))

    # The terminal itself

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(0).columns or 80
        except OSError:
            return 80

    def _enter(self) -> None:
        """Have each key at once and no echo; Ctrl-S and Ctrl-V are of no use here, and the first could stop the service."""
        with suppress(termios.error):
            self._modes = termios.tcgetattr(0)
            modes = termios.tcgetattr(0)
            modes[0] &= ~(termios.IXON | termios.ICRNL | termios.INLCR | termios.IGNCR)
            modes[1] |= termios.OPOST | termios.ONLCR
            modes[3] &= ~(termios.ICANON | termios.ECHO | termios.IEXTEN)
            modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
            termios.tcsetattr(0, termios.TCSANOW, modes)

    def _leave(self) -> None:
        if self._modes is not None:
            with suppress(termios.error):
                termios.tcsetattr(0, termios.TCSANOW, self._modes)
            self._modes = None

    def _watch_signals(self) -> None:
        with suppress(ValueError):  # not the main thread
            for number, what in ((signal.SIGWINCH, self._resized), (signal.SIGTSTP, self._suspend)):
                self._signals[number] = signal.signal(
                    number, partial(lambda what, *_: self._reactor.callFromThread(what), what)
                )

    def _resized(self) -> None:
        if self._listener is not None:
            self._write(self._screen.resize(self._columns()))

    def _suspend(self) -> None:
        """Ctrl-Z: what comes after the signal that stops the process is what happens when it goes on."""
        if self._listener is None:
            return
        self._write(self._screen.leave())
        self._leave()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._enter()
        self._write(self._screen.resize(self._columns()))
