"""A person: at a terminal, or a script at the other end of a pipe.

The rule of this module: a terminal is left as it was found, however the process ends that can still do anything; and whatever
is shown has been made harmless before, because it is written as it is.
"""

from __future__ import annotations

import atexit
import codecs
import os
import signal
import termios
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from ..units import one_line
from .captured import Captured
from .editor import LineEditor
from .keys import Key, KeyReader
from .output import TerminalOutput
from .screen import Screen

__all__ = ["Listener", "Person", "Script", "TerminalPerson", "at_terminal"]

LONGEST = 65536
"""Octets of the longest line of a script."""

BATCH = 65536
"""Characters that are shown together at most."""


class Listener(Protocol):
    """Who hears what a person says."""

    def typed(self, line: str) -> None:
        """A line was typed; octets of a script that are not UTF-8 are in it as surrogates (PEP 383)."""

    def typing(self, begun: bool) -> None:
        """Whether something stands in the line that is being typed; a script never says so."""

    def input_ended(self) -> None:
        """Nothing more will be typed."""

    def caught_up(self) -> None:
        """All that was shown has been taken, after the person was full."""


class Person(Protocol):
    """Whoever types lines and reads what is shown."""

    @property
    def is_interactive(self) -> bool:
        """Whether it is one, and not a script."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be shown, until `Listener.caught_up`."""

    def start(self, listener: Listener) -> None:
        """Begin to listen."""

    def stop(self) -> None:
        """Hear nothing more. What is shown after that is still written."""

    def show(self, text: str) -> None:
        """Show a text, which ends with the end of a line unless more of it is to come."""

    def prompt(self, text: str) -> None:
        """What stands before the line that is being typed."""

    def pause(self) -> None:
        """Hear no line until `resume`; from within `typed`, too. A person at a terminal is not kept waiting."""

    def resume(self) -> None:
        """Hear lines again."""


def at_terminal() -> bool:
    """Whether somebody can edit lines: standard input and output are terminals that can do so, and ours at the moment."""
    return os.isatty(0) and _may_read() and os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"


def _may_read() -> bool:
    """Whether standard input is open, and no terminal that would stop the process because that is in the background."""
    try:
        os.fstat(0)
        return not os.isatty(0) or os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return False


@implementer(IReadDescriptor)
class _StandardInput:
    """Standard input, read when it is ready: blocking, as it was found, because others share it."""

    def __init__(self, reactor: Any, received: Callable[[bytes], None], ended: Callable[[], None]) -> None:
        self._reactor = reactor
        self._received = received
        self._ended = ended

    def start(self) -> None:
        """Begin, or go on, to read."""
        self._reactor.addReader(self)

    def stop(self) -> None:
        """Read no more."""
        self._reactor.removeReader(self)

    def fileno(self) -> int:
        """See `IFileDescriptor`."""
        return 0

    def logPrefix(self) -> str:
        """See `ILoggingContext`."""
        return "standard input"

    def doRead(self) -> None:
        """See `IReadDescriptor`."""
        try:
            data = os.read(0, 4096)
        except BlockingIOError:
            return
        except OSError:  # a terminal that is gone
            data = b""
        if data:
            self._received(data)
        else:
            self.connectionLost(Failure(ConnectionDone()))

    def connectionLost(self, reason: Failure) -> None:
        """See `IFileDescriptor`; the reactor calls it for a terminal that hung up."""
        self.stop()
        self._ended()


def _write(descriptor: int, text: str) -> None:
    """Write to whoever looks on, who may be gone."""
    data = text.encode("utf-8", "backslashreplace")
    with suppress(OSError):
        while data:
            data = data[os.write(descriptor, data) :]


class Script:
    """Lines out of a pipe or a file, or of a terminal that can do no more, and what is shown as lines on standard output.

    Args:
        reactor: Reads standard input.
    """

    is_full = False

    def __init__(self, reactor: Any) -> None:
        self.is_interactive = os.isatty(0)
        self._listener: Listener | None = None
        self._input = _StandardInput(reactor, self._received, self._ended)
        self._buffer = b""
        self._paused = self._over = self._delivering = False

    def start(self, listener: Listener) -> None:
        """See `Person`."""
        self._listener = listener
        if _may_read():
            self._input.start()

    def stop(self) -> None:
        """See `Person`."""
        self._listener = None
        self._input.stop()

    def show(self, text: str) -> None:
        """See `Person`."""
        _write(1, text)

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
        self._input = _StandardInput(reactor, self._received, self._hung_up)
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
            _write(1, text)
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
