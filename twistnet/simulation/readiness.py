"""What a simulated host watches, and how it lets transports read and write: its IReactorFDSet.

The rule of this module: whoever wants to be told is told in the order in which the kernel found sockets ready; only sockets
of the host itself can be watched.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.posixbase import PosixReactorBase, _PollLikeMixin
from twisted.python.log import callWithLogger

from ..errors import WrongReactor
from .kernel import Kernel
from .kernel.files import ERR, HUP, IN, OUT, Watch

if TYPE_CHECKING:
    from .reactor import Host

__all__ = ["Readiness"]


class Readiness(_PollLikeMixin, PosixReactorBase):
    """The part of a host that knows who wants to read and to write."""

    name: str
    kernel: Kernel
    _itself: Host
    _watches: dict[Any, Watch]
    _reads: dict[Any, None]

    _POLL_DISCONNECTED = HUP | ERR
    _POLL_IN = IN
    _POLL_OUT = OUT

    def _watch(self, selectable: Any) -> Watch:
        watch = self._watches.get(selectable)
        if watch is None:
            opened = self.kernel.find(selectable.fileno())
            if opened is None and selectable.fileno() < 0:
                raise ValueError(f"{type(selectable).__name__} has no descriptor any more")
            if opened is None:
                self._itself._usable()
                raise WrongReactor(
                    f"{self.name} cannot watch {type(selectable).__name__}: its descriptor {selectable.fileno()} "
                    "is not a socket of this simulated host"
                )
            watch = Watch(opened.file, self._itself)
            watch.file.watches.append(watch)
            self._watches[selectable] = watch
        return watch

    def addReader(self, reader: Any) -> None:
        """See `IReactorFDSet.addReader`."""
        watch = self._watch(reader)
        if watch.reader is None:
            watch.reader = reader
            self._reads[reader] = None
            if watch.events():
                self.kernel.ready[watch] = None

    def addWriter(self, writer: Any) -> None:
        """See `IReactorFDSet.addWriter`."""
        watch = self._watches.get(writer) or self._watch(writer)
        if watch.writer is None:
            watch.writer = writer
            self.kernel.ready[watch] = None

    def removeReader(self, reader: Any) -> None:
        """See `IReactorFDSet.removeReader`."""
        watch = self._watches.get(reader)
        if watch is not None and watch.reader is not None:
            watch.reader = None
            self._reads.pop(reader, None)
            self._unwatch(reader, watch)

    def removeWriter(self, writer: Any) -> None:
        """See `IReactorFDSet.removeWriter`."""
        watch = self._watches.get(writer)
        if watch is not None and watch.writer is not None:
            watch.writer = None
            if watch.reader is None:
                self._unwatch(writer, watch)

    def _unwatch(self, selectable: Any, watch: Watch) -> None:
        if watch.reader is None and watch.writer is None:
            del self._watches[selectable]
            if watch in watch.file.watches:
                watch.file.watches.remove(watch)

    def removeAll(self) -> list[Any]:
        """See `IReactorFDSet.removeAll`."""
        return self._removeAll(self.getReaders(), self.getWriters())  # type: ignore[no-any-return]

    def _removeAll(self, readers: Any, writers: Any) -> Any:
        """In the order in which they were added, which a set would not keep."""
        both = dict.fromkeys([*readers, *writers])
        for selectable in both:
            self.removeReader(selectable)
            self.removeWriter(selectable)
        return list(both)

    def getReaders(self) -> list[Any]:
        """See `IReactorFDSet.getReaders`."""
        return list(self._reads)

    def getWriters(self) -> list[Any]:
        """See `IReactorFDSet.getWriters`."""
        return [watch.writer for watch in self._watches.values() if watch.writer is not None]

    def serve(self, watch: Watch, events: int) -> None:
        """Let a transport read or write, as its socket was ready for it, if it still wants to."""
        wants = watch.wants
        events &= wants | ERR | HUP
        if not (wants and events):
            return
        selectable = watch.reader if watch.reader is not None else watch.writer
        callWithLogger(selectable, self._doReadOrWrite, selectable, selectable, events)
