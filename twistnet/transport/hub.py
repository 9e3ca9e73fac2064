"""The hub: one epoll descriptor in which the fast transports live, itself one reader in whatever reactor runs.

The rule of this module: it does for its descriptors what the reactor would do, in the reactor's words (`IReactorFDSet`,
log context, the reasons of a loss), and pays once a batch for what the reactor pays once an event. A writer is armed only
when it could not write: whoever asks to write is asked to in the next turn, without a system call.
"""

from __future__ import annotations

import os
import select
import weakref
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from twisted.internet.interfaces import ILoggingContext, IReadDescriptor
from twisted.internet.posixbase import _DisconnectSelectableMixin, _PollLikeMixin
from twisted.python import context, log
from twisted.python.context import theContextTracker
from twisted.python.failure import Failure
from twisted.python.log import ILogContext
from zope.interface import implementer

__all__ = ["Hub", "hub_of"]

EPOLLIN, EPOLLOUT = select.EPOLLIN, select.EPOLLOUT
READS_AND_WRITES = EPOLLIN | EPOLLOUT

BATCH = 256
"""Events a turn: what more there is waits for the next one, after the reactor's timers and its other readers."""

CONTEXTS = 1024
"""Log contexts kept at once; they are made anew when they are wanted again."""

_ATTRIBUTE = "_twistnet_hub"


def hub_of(reactor: Any) -> Hub:
    """The hub of a reactor, made when it is first asked for."""
    hub: Hub | None = getattr(reactor, _ATTRIBUTE, None)
    if hub is None:
        hub = Hub(reactor)
        setattr(reactor, _ATTRIBUTE, hub)
    return hub


@implementer(IReadDescriptor, ILoggingContext)
class Hub(_PollLikeMixin, _DisconnectSelectableMixin):
    """Descriptors that are polled together.

    It is among the reactor's readers for as long as it has a descriptor. A descriptor with a true attribute `reads_errors`
    is read when its socket has an error, which ends any other. One that writes has `send_held` and `send_all_there_is` too, as
    `FastStream` has.

    Args:
        reactor: Has the hub as a reader (`IReactorFDSet`).

    Attributes:
        large: Events so far that moved much data at once, as the streams tell.
        small: All others.
    """

    reactor_waits = True
    """Whether it is one of a reactor's readers, and not at the root of one."""

    _POLL_DISCONNECTED = select.EPOLLHUP | select.EPOLLERR
    _POLL_IN = EPOLLIN
    _POLL_OUT = EPOLLOUT

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self._epoll = self._open_epoll()
        self._poll = self._epoll.poll
        self.fileno = self._epoll.fileno
        self._selectables: dict[int, Any] = {}
        self._reads: set[int] = set()
        self._writes: set[int] = set()
        self._armed: set[int] = set()  # of those that write, the ones that wait for the kernel
        self._due: dict[int, Any] = {}  # and the ones that are asked in the next turn
        self.large = self.small = 0
        self._woken = False
        self._fresh: set[int] | None = None  # descriptors that came in while a batch is served
        self._emptied: set[int] | None = None  # the same, of the batch in which nothing is held back any more
        self._contexts: dict[int, Any] = {}
        self._open_waker()

    def __repr__(self) -> str:
        return f"<twistnet hub of {', '.join(map(repr, self._selectables.values())) or 'nothing'}>"

    def logPrefix(self) -> str:
        """See `ILoggingContext`."""
        return "twistnet hub"

    # What the reactor does for its descriptors (IReactorFDSet)

    def addReader(self, reader: Any) -> None:
        """Read it whenever there is something to read."""
        fd = reader.fileno()
        if fd in self._reads:
            return
        if fd in self._armed:
            self._epoll.modify(fd, READS_AND_WRITES)
        else:
            self._register(fd, EPOLLIN)
        self._reads.add(fd)
        self._admit(fd, reader)

    def addWriter(self, writer: Any) -> None:
        """Ask it to write in the next turn, and from then on whenever the kernel has room, until it is removed."""
        fd = writer.fileno()
        if fd in self._writes:
            return
        if fd < 0:
            raise ValueError("it has no file descriptor")
        self._writes.add(fd)
        self._due[fd] = writer
        self._admit(fd, writer)
        if not self._woken:
            self._woken = True  # within a batch too: whoever is served may run the reactor
            self._wake()

    def arm(self, writer: Any) -> None:
        """Ask it to write as soon as the kernel has room."""
        fd = writer.fileno()
        self._writes.add(fd)
        self._due.pop(fd, None)
        if fd not in self._armed:
            self._admit(fd, writer)
            try:
                self._arm(fd)
            except OSError:
                self._due[fd] = writer  # it is disconnected in the next turn; now somebody else may be served

    def removeReader(self, reader: Any) -> None:
        """Read it no more. Nobody is told of an error while it neither reads nor writes."""
        fd = self._number_of(reader)
        if fd in self._reads:
            self._reads.remove(fd)
            self._disarm(fd, EPOLLOUT if fd in self._armed else 0)

    def removeWriter(self, writer: Any) -> None:
        """Ask it to write no more."""
        fd = self._number_of(writer)
        if fd in self._writes:
            self._writes.remove(fd)
            self._due.pop(fd, None)
            if fd in self._armed:
                self._armed.remove(fd)
                self._disarm(fd, EPOLLIN if fd in self._reads else 0)
            elif fd not in self._reads:
                self._forget(fd)

    def getReaders(self) -> list[Any]:
        """All that are read."""
        return [self._selectables[fd] for fd in self._reads]

    def getWriters(self) -> list[Any]:
        """All that want to write."""
        return [self._selectables[fd] for fd in self._writes]

    def removeAll(self) -> list[Any]:
        """Remove every descriptor.

        Returns:
            What was removed.
        """
        removed = list(self._selectables.values())
        for selectable in removed:
            self.removeReader(selectable)
            self.removeWriter(selectable)
        return removed

    def forget_context(self, selectable: Any) -> None:
        """The prefix under which it logs has changed."""
        self._contexts.pop(selectable.fileno(), None)

    def connectionLost(self, reason: Failure) -> None:
        """The reactor disconnects everything: it has stopped."""
        for selectable in self.removeAll():
            log.callWithLogger(selectable, selectable.connectionLost, reason)

    # What it does as a reader

    def doRead(self) -> None:
        """Serve one batch; see `IReadDescriptor`."""
        try:
            if self._fresh is not self._emptied:
                self._empty_deliveries()
            self.serve(self._poll(0, BATCH))
        except BaseException:
            log.err()  # the reactor would take it for the end of the hub, and of all that is on it

    def wait_for(self, poller: Any) -> None:
        """Have the events of another epoll end the wait too: its number is a stranger's to `serve`."""
        self._epoll.register(poller.fileno(), EPOLLIN)

    def wait(self, timeout: float) -> list[tuple[int, int]]:
        """The events of a batch, as soon as there are any; for a reactor whose hub has no reactor above it.

        Args:
            timeout: Seconds; -1 for ever.
        """
        if self._fresh is not self._emptied:
            self._empty_deliveries()
        for selectable in list(self._due.values()):
            selectable.send_all_there_is()
        return self._poll(0 if self._due else timeout, BATCH)  # type: ignore[no-any-return]

    def serve(self, events: Sequence[tuple[int, int]]) -> list[int]:
        """Have descriptors read and write.

        Args:
            events: Descriptor numbers and what epoll says of each.

        Returns:
            The numbers that are none of the hub's.
        """
        self._woken = False
        due, self._due = self._due, {}
        outer, fresh = self._fresh, set[int]()
        self._fresh = fresh
        frames = theContextTracker.currentContext().contexts
        depth = len(frames)
        frames.append(frames[-1])
        try:
            large = self.large
            strangers = self._serve_events(events, frames)
            self.small += len(events) - len(strangers) - (self.large - large)
            if due:
                self._serve_due(due, frames)
        except BaseException:
            self._ask_again(due)
            raise
        finally:
            del frames[depth:]
            if outer is not None:
                outer |= fresh
            self._fresh = outer
        for selectable in list(self._due.values()):
            selectable.send_held()
        if self._woken != bool(self._due):
            self._woken = not self._woken
            (self._wake if self._woken else self._let_sleep)()
        return strangers

    def _serve_events(self, events: Iterable[tuple[int, int]], frames: list[Any]) -> list[int]:
        """Serve what epoll has found; see `serve`. The uppermost frame is the log context of whoever is served."""
        strangers: list[int] = []
        find, context_of, top = self._selectables.get, self._contexts.get, len(frames) - 1
        fresh = self._fresh
        for fd, event in events:
            selectable = find(fd)
            if selectable is None:
                strangers.append(fd)
                continue
            if fresh and fd in fresh:
                continue  # the event was of another, which had this number before
            frames[top] = context_of(fd) or self._make_context(fd, selectable)
            if event != EPOLLIN:
                self._serve_rare(selectable, fd, event)
                continue
            try:
                why = selectable.doRead()
            except BaseException as error:
                log.err()
                self._lose(selectable, error, False)
                continue
            if why:
                self._lose(selectable, why, True)
        return strangers

    def _serve_due(self, due: Mapping[int, Any], frames: list[Any]) -> None:
        """Ask to write those who have asked for it since the last batch, unless they were removed or have asked anew."""
        top = len(frames) - 1
        for fd, selectable in due.items():
            is_there = self._selectables.get(fd) is selectable
            if not is_there or fd not in self._writes or fd in self._due:
                continue
            selectable.send_all_there_is()
            if fd in self._writes:
                frames[top] = self._contexts.get(fd) or self._make_context(fd, selectable)
                self._let_write(selectable, fd)

    def _serve_rare(self, selectable: Any, fd: int, event: int) -> None:
        """All that is not just something to read."""
        if event & self._POLL_DISCONNECTED and getattr(selectable, "reads_errors", False):
            event = EPOLLIN
        try:
            self._doReadOrWrite(selectable, fd, event)
        except KeyboardInterrupt:
            raise
        except BaseException:
            log.err()  # while it was disconnected; the others go on

    def _empty_deliveries(self) -> None:
        """If somebody runs the reactor from within a delivery, what was written in it so far leaves now; once a batch."""
        self._emptied = self._fresh
        if self._fresh is not None:
            for selectable in list(self._selectables.values()):
                getattr(selectable, "hold_no_more", bool)()

    def _ask_again(self, due: Mapping[int, Any]) -> None:
        """A batch was broken off: whoever still wants to write is asked to in the next one."""
        for fd, selectable in due.items():
            is_there = self._selectables.get(fd) is selectable
            if is_there and fd in self._writes and fd not in self._armed:
                self._due.setdefault(fd, selectable)
        if self._due:
            self._woken = True
            self._wake()

    def _lose(self, selectable: Any, why: BaseException, is_end: bool) -> None:
        """Disconnect it, or half of it if there is nothing more to read and it can do with the other half."""
        try:
            self._disconnectSelectable(selectable, why, is_end)
        except KeyboardInterrupt:
            raise
        except BaseException:
            log.err()

    def _let_write(self, selectable: Any, fd: int) -> None:
        """Ask to write; who could not, or not all, waits for the kernel from now on."""
        self._serve_rare(selectable, fd, EPOLLOUT)
        waits = fd in self._writes and fd not in self._due and fd not in self._armed
        if waits and self._selectables.get(fd) is selectable:
            try:
                self._arm(fd)
            except OSError as error:  # the user may watch no more descriptors (epoll(7), max_user_watches)
                log.err()
                self._lose(selectable, error, False)

    def _make_context(self, fd: int, selectable: Any) -> dict[Any, Any]:
        """What `log.callWithLogger` would put on top of the contexts, kept for the next time."""
        try:
            system = selectable.logPrefix()
        except Exception:
            system = "(buggy logPrefix method)"
            log.err(system=system)
        frame = {ILogContext: {**context.get(ILogContext), "system": system}}
        if len(self._contexts) >= CONTEXTS:
            self._contexts.clear()
        self._contexts[fd] = frame
        return frame

    # epoll

    def _open_epoll(self) -> Any:
        return select.epoll()

    def _open_waker(self) -> None:
        self._waker = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        weakref.finalize(self, os.close, self._waker).atexit = False
        self._epoll.register(self._waker, EPOLLIN | select.EPOLLET)

    def _wake(self) -> None:
        """Have the reactor give the hub a turn; edge-triggered, so that nobody has to read it."""
        os.eventfd_write(self._waker, 1)

    def _let_sleep(self) -> None:
        """It need not, after all."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._waker)

    def _admit(self, fd: int, selectable: Any) -> None:
        if fd not in self._selectables:
            self._attach()
            self._selectables[fd] = selectable

    def _attach(self) -> None:
        """Be among the reactor's readers. If it has dropped all it had (`removeAll`), that was all that is here too."""
        is_served = self._fresh is not None
        if self._selectables and not is_served and self not in self.reactor.getReaders():
            self.removeAll()
        self.reactor.addReader(self)

    def _detach(self) -> None:
        self.reactor.removeReader(self)

    def _register(self, fd: int, mask: int) -> None:
        self._epoll.register(fd, mask)
        if self._fresh is not None:
            self._fresh.add(fd)

    def _arm(self, fd: int) -> None:
        if fd in self._reads:
            self._epoll.modify(fd, READS_AND_WRITES)
        else:
            self._register(fd, EPOLLOUT)
        self._armed.add(fd)

    def _disarm(self, fd: int, mask: int) -> None:
        """Watch for less, or for nothing; the number may have been closed behind our back."""
        try:
            if mask:
                self._epoll.modify(fd, mask)
            else:
                self._epoll.unregister(fd)
        except OSError:
            pass
        if fd not in self._reads and fd not in self._writes:
            self._forget(fd)

    def _forget(self, fd: int) -> None:
        self._contexts.pop(fd, None)
        del self._selectables[fd]
        if not self._selectables:
            self._detach()

    def _number_of(self, selectable: Any) -> int:
        fd: int = selectable.fileno()
        if fd != -1:
            return fd
        return next((number for number, other in self._selectables.items() if other is selectable), -1)
