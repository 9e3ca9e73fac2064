"""The interest list of the hub: who is to be read, who wants to write, and what epoll is told of it.

The rule of this module: epoll is told as little as possible. Who asks to write is noted, and watched only once the kernel had no
room; who neither is read nor writes is not watched at all, because epoll would tell of errors nevertheless.
"""

from __future__ import annotations

import os
import select
import weakref
from contextlib import suppress
from typing import Any

__all__ = ["EPOLLIN", "EPOLLOUT", "Interest"]

EPOLLIN, EPOLLOUT = select.EPOLLIN, select.EPOLLOUT
READS_AND_WRITES = EPOLLIN | EPOLLOUT


class Interest:
    """Descriptors, and what they wait for (`IReactorFDSet`).

    Args:
        reactor: Has it among its readers for as long as there is a descriptor.
    """

    reactor_waits = True
    """Whether it is one of a reactor's readers, and not at the root of one."""

    def __init__(self, reactor: Any) -> None:
        self.reactor = reactor
        self._epoll = self._open_epoll()
        self._selectables: dict[int, Any] = {}
        self._reads: set[int] = set()
        self._writes: set[int] = set()
        self._armed: set[int] = set()  # of those that write, the ones that wait for the kernel
        self._due: dict[int, Any] = {}  # and the ones that are asked in the next turn
        self._woken = False
        self._fresh: set[int] | None = None  # descriptors that came in while a batch is served
        self._contexts: dict[int, Any] = {}
        self._open_waker()

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
