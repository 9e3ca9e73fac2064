"""A real terminal: tmux runs a program in a pane, types, and reads the screen.

The rule of this module: nothing sleeps. What is waited for is looked for again whenever the pane has been written to.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.running import BIN, PATIENCE

__all__ = ["Pane", "pane"]


class Pane:
    """One terminal, with a shell in it.

    Args:
        folder: Where the shell runs; its short prompt is `$ `.
    """

    def __init__(self, folder: Path) -> None:
        self._own = tempfile.mkdtemp(prefix="pane")  # tmux's socket needs a short path
        fifo = f"{self._own}/written"
        os.mkfifo(fifo)
        self._written = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        self._tmux(
            "new-session",
            "-d",
            "-x",
            "132",
            "-y",
            "24",
            "-c",
            str(folder),
            "env",
            "PS1=$ ",
            f"PATH={BIN}:{os.environ['PATH']}",
            "sh",
        )
        self._tmux("pipe-pane", f"exec cat > {fifo}")
        self.wait_for(r"^\$ *$")

    def run(self, command: str) -> None:
        """Have the shell run a command, a program of this environment first of all."""
        self.type(f"{command}\r")

    def type(self, text: str) -> None:
        """Type a text."""
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys, by the names that tmux has for them: `Enter`, `Up`, `C-a`."""
        self._tmux("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        """Make it larger or smaller."""
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    @property
    def screen(self) -> str:
        """What is seen, without blanks at the ends of rows and empty rows at the end."""
        rows = self._tmux("capture-pane", "-p").split("\n")
        return "\n".join(row.rstrip() for row in rows).rstrip()

    def wait_for(self, pattern: str, *, within: float = PATIENCE) -> str:
        """What is seen once a pattern occurs in it."""
        until = time.monotonic() + within
        while not re.search(pattern, screen := self.screen, re.MULTILINE):
            left = until - time.monotonic()
            assert left > 0, f"no {pattern!r} in:\n{screen}"
            if select.select([self._written], [], [], left)[0]:
                assert os.read(self._written, 65536), f"ended without {pattern!r} in:\n{screen}"
        return screen

    def close(self) -> None:
        """End it, and what runs in it."""
        self._tmux("kill-server")
        os.close(self._written)
        shutil.rmtree(self._own)

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-u", "-S", f"{self._own}/socket", "-f", os.devnull, *words]
        environment = {name: value for name, value in os.environ.items() if name not in {"TMUX", "TMUX_PANE"}}
        environment |= {"LC_ALL": "C.UTF-8", "TERM": "xterm"}
        ran = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=PATIENCE, env=environment
        )
        return ran.stdout


@contextmanager
def pane(folder: Path) -> Iterator[Pane]:
    """A terminal for a while."""
    opened = Pane(folder)
    try:
        yield opened
    finally:
        opened.close()
