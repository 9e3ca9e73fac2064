"""The hub: one epoll descriptor in which the fast transports live, itself one reader in whatever reactor runs.

The rule of this module: it does for its descriptors what the reactor would do, in the reactor's words (`IReactorFDSet`,
log context, the reasons of a loss), and pays once a batch for what the reactor pays once an event. A writer is armed only
when it could not write: whoever asks to write is asked to in the next turn, without a system call.
"""

from __future__ import annotations

import select
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from twisted.internet.interfaces import ILoggingContext, IReadDescriptor
from twisted.internet.posixbase import _DisconnectSelectableMixin, _PollLikeMixin
from twisted.python import context, log
from twisted.python.context import theContextTracker
from twisted.python.failure import Failure
from twisted.python.log import ILogContext
from zope.interface import implementer

from .interest import EPOLLIN, EPOLLOUT, Interest

__all__ = ["Hub", "hub_of"]

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
class Hub(Interest, _PollLikeMixin, _DisconnectSelectableMixin):
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

    _POLL_DISCONNECTED = select.EPOLLHUP | select.EPOLLERR
    _POLL_IN = EPOLLIN
    _POLL_OUT = EPOLLOUT

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self._poll = self._epoll.poll
        self.fileno = self._epoll.fileno
        self.large = self.small = 0
        self._emptied: set[int] | None = None  # `_fresh` of the batch in which nothing is held back any more

    def __repr__(self) -> str:
        return f"<twistnet hub of {', '.join(map(repr, self._selectables.values())) or 'nothing'}>"

    def logPrefix(self) -> str:
        """See `ILoggingContext`."""
        return "twistnet hub"

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
