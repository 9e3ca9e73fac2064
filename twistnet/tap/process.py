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
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.logger import Logger

from ..errors import TwistnetError
from ..services.node import NodeService
from ..units import one_line

__all__ = ["Command", "Exit", "raise_descriptor_limit", "refuse_second_twistd", "speak_utf8"]

_log = Logger("twistnet")


class Exit(SystemExit, Exception):
    """Ends the program with a line on standard error.

    It is an `Exception` as well, so that twistd tidies up behind it: the pid file, and the waiting parent of a
    daemon.

    Args:
        status: The exit status: 1 if the network would not have it, 2 for wrong usage.
        line: What to say.
    """

    # twistd cuts what a daemon says short: let it not begin with the name of our module.
    __module__ = "builtins"

    def __init__(self, status: int, line: str) -> None:
        super().__init__(status)
        self.line = one_line(line)
        print(self.line, file=sys.__stderr__, flush=True)  # sys.stderr may be the log by now

    def __str__(self) -> str:
        return self.line


class Command(MultiService):
    """The outermost service of a command.

    A SIGINT or SIGTERM that comes while a stop waits for connections to finish, whoever asked for it, aborts them.

    Args:
        name: What its error messages begin with.
        node: What it runs.
        reactor: The reactor that runs it.
        unseen: Whether nobody sees standard error, so that the log has to say why it would not start.
    """

    def __init__(self, name: str, node: NodeService, reactor: Any, *, unseen: bool = False) -> None:
        super().__init__()
        self._unseen = unseen
        self._stopping = False
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
        self._reactor.callWhenRunning(self._watch_signals)

    def _watch_signals(self) -> None:
        """Stand before the reactor's own handlers: to the reactor a signal is an error once it is stopping."""
        self._reactor.addSystemEventTrigger("before", "shutdown", self._stops)
        with suppress(ValueError):  # not the main thread: then no signal comes here either
            for number in (signal.SIGINT, signal.SIGTERM):
                reactors_own = signal.getsignal(number)
                if callable(reactors_own):
                    signal.signal(number, partial(self._signalled, reactors_own))

    def _stops(self) -> None:
        """The reactor was stopped, by a signal or by a service."""
        self._stopping = True

    def _signalled(self, reactors_own: Callable[[int, Any], Any], number: int, frame: Any) -> None:
        if self._stopping:
            self._reactor.callFromThread(self._abort, signal.Signals(number).name)
        else:
            self._stopping = True
            reactors_own(number, frame)

    def _abort(self, signal_name: str) -> None:
        _log.info("another signal ({signal}): aborting open connections", signal=signal_name)
        self._node.abort()

    @contextmanager
    def _exiting(self) -> Iterator[None]:
        try:
            yield
        except TwistnetError as error:
            if self._unseen:
                _log.critical("{error}", error=error)
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
        if pid < 1:
            raise ProcessLookupError(pid)
        os.kill(pid, 0)
    except (OSError, ValueError, OverflowError):
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
