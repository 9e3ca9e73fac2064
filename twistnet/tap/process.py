"""What a command does to its process: how it starts, how it is interrupted, and how it gives up.

The rule of this module: whatever keeps a command from running is one line on standard error and an exit status; a
person never meets a traceback for something that a person can mend.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..errors import TwistnetError
from ..services.node import NodeService

__all__ = ["Command", "Exit", "raise_descriptor_limit", "refuse_second_twistd", "speak_utf8"]


class Exit(SystemExit, Exception):
    """Ends the program with a line on standard error.

    It is an `Exception` as well, so that twistd tidies up behind it: the pid file, and the waiting parent of a
    daemon.

    Args:
        status: The exit status: 1 if the network would not have it, 2 for wrong usage.
        line: What to say.
    """

    def __init__(self, status: int, line: str) -> None:
        super().__init__(status)
        self.line = line
        print(line, file=sys.stderr, flush=True)

    def __str__(self) -> str:
        return self.line


class Command(MultiService):
    """The outermost service of a command.

    A second SIGINT or SIGTERM, while the first one waits for connections to finish, aborts them.

    Args:
        name: What its error messages begin with.
        node: What it runs.
        reactor: The reactor that runs it.
    """

    log = Logger()

    def __init__(self, name: str, node: NodeService, reactor: Any) -> None:
        super().__init__()
        self._command = name
        self._node = node
        self._reactor = reactor
        node.setServiceParent(self)

    def privilegedStartService(self) -> None:
        with self._exiting():
            super().privilegedStartService()

    def startService(self) -> None:
        with self._exiting():
            super().startService()

    def stopService(self) -> Deferred[Any]:
        with suppress(ValueError):  # not the main thread: then no signal comes here either
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._interrupted_again)
        return super().stopService()

    def _interrupted_again(self, number: int, frame: Any) -> None:
        self._reactor.callFromThread(self._abort, signal.Signals(number).name)

    def _abort(self, signal_name: str) -> None:
        self.log.info("second signal ({signal}): aborting open connections", signal=signal_name)
        self._node.abort()

    @contextmanager
    def _exiting(self) -> Iterator[None]:
        try:
            yield
        except TwistnetError as error:
            self.log.critical("{error}", error=error)
            raise Exit(1, f"{self._command}: {error}") from error


def speak_utf8(parent: Any) -> None:
    """Make the log UTF-8 wherever it goes, whatever the locale says."""
    for stream in (sys.stdout, sys.stderr, (parent or {}).get("logFile")):
        reconfigure: Callable[..., None] | None = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="backslashreplace")


def refuse_second_twistd(parent: Any, command: str) -> None:
    """Give up in one line where twistd would in five: another one has its pid file here."""
    pid_file = (parent or {}).get("pidfile")
    if not pid_file:
        return
    try:
        pid = int(Path((parent or {}).get("rundir") or ".", pid_file).read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return  # none, a stale one, or one that twistd has its own words for
    raise Exit(
        1,
        f"{command}: another twistd runs here as process {pid}, says {pid_file}: stop it, or run this one in "
        "another folder, or with twistd --pidfile=FILE",
    )


def raise_descriptor_limit() -> None:
    """Allow as many open files as the system's hard limit does: each connection is one."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
