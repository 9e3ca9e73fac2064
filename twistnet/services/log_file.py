"""A log file of a node's own, in UTF-8.

The rule of this module: one process writes each line to a file once, however many services name that file and
however often they are started again.
"""

from __future__ import annotations

import os
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path

from attrs import define, field
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
    textFileLogObserver,
)
from zope.interface import implementer

from ..errors import ConfigurationError

__all__ = ["LogFile"]

_log = Logger("twistnet")


@define(eq=False)
class _Writer:
    """A file that is being written to, and by how many."""

    file: TextIOWrapper
    observer: ILogObserver
    users: int = 0


@implementer(ILogObserver)
class _Careful:
    """Writes events to a file; if that fails, as on a full disk, it says so once, elsewhere, until it works again."""

    def __init__(self, path: str, file: TextIOWrapper) -> None:
        self._path = path
        self._write = textFileLogObserver(file)
        self._failing = False

    def __call__(self, event: LogEvent) -> None:
        if event.get("twistnet_log_file") == self._path:
            return
        try:
            self._write(event)
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._failing = True
                _log.error(
                    "log file {path}: {reason}",
                    path=self._path, reason=error.strerror, twistnet_log_file=self._path,
                )  # fmt: skip


_writers: dict[str, _Writer] = {}


@define(eq=False)
class LogFile:
    """Appends the process's log, from info upwards, to a file.

    Attributes:
        path: The file; it is made if need be.
    """

    path: str
    _key: str | None = field(default=None, init=False)

    def start(self) -> None:
        """Begin to write; a second call does nothing.

        Raises:
            ConfigurationError: The file cannot be opened.
        """
        if self._key is not None:
            return
        key = os.path.realpath(self.path.replace("\0", ""))
        if key not in _writers:
            _writers[key] = self._writer()
            globalLogPublisher.addObserver(_writers[key].observer)
        _writers[key].users += 1
        self._key = key

    def stop(self) -> None:
        """Write no more; a second call does nothing."""
        if self._key is None:
            return
        key, self._key = self._key, None
        writer = _writers[key]
        writer.users -= 1
        if not writer.users:
            globalLogPublisher.removeObserver(_writers.pop(key).observer)
            with suppress(OSError):  # what could not be written before cannot be now
                writer.file.close()

    def _writer(self) -> _Writer:
        try:
            file = Path(self.path).open("a", encoding="utf-8", errors="backslashreplace", buffering=1)  # noqa: SIM115 - stays open
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ConfigurationError(f"{self.path!r} cannot be written: {reason}", ("log_file",)) from error
        predicate = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
        return _Writer(file, FilteringLogObserver(_Careful(self.path, file), [predicate]))
