"""Threads, for a program that must do the same thing every time.

The rule of this module: what is sent to a thread runs in the next turn of the host, to its end or until it waits for the
reactor; nothing ever runs beside anything else.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from queue import Queue
from types import FrameType
from typing import TYPE_CHECKING, Any

from twisted.internet.threads import blockingCallFromThread
from twisted.logger import Logger
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from .reactor import Host

__all__ = ["InlineThreadPool", "awaited"]

log = Logger()


def awaited(caller: FrameType) -> Queue[object] | None:
    """Where `blockingCallFromThread` is about to wait for its answer, if it is the caller."""
    waits = caller.f_code is blockingCallFromThread.__code__
    queue: Queue[object] | None = caller.f_locals["queue"] if waits else None
    return queue


class InlineThreadPool:
    """A `twisted.python.threadpool.ThreadPool` without threads.

    The one function that would ask the world outside, `socket.getaddrinfo`, asks the network's names instead. While a
    function waits in `blockingCallFromThread`, the network goes on. One that waits for another thread in any
    other way waits for ever: there is none.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def start(self) -> None:
        """See `ThreadPool.start`."""

    def stop(self) -> None:
        """See `ThreadPool.stop`."""

    def adjustPoolsize(self, minthreads: int | None = None, maxthreads: int | None = None) -> None:
        """See `ThreadPool.adjustPoolsize`."""

    def callInThread(self, func: Callable[..., object], *args: Any, **kw: Any) -> None:
        """See `ThreadPool.callInThread`."""
        self.callInThreadWithCallback(None, func, *args, **kw)

    def callInThreadWithCallback(
        self,
        onResult: Callable[[bool, Any], object] | None,
        func: Callable[..., object],
        *args: Any,
        **kw: Any,
    ) -> None:
        """See `ThreadPool.callInThreadWithCallback`."""
        self._host.callFromThread(self._run, onResult, func, args, kw)

    def _run(self, onResult: Any, func: Any, args: Any, kw: Any) -> None:
        if func is socket.getaddrinfo:
            func = self._host.network.names.getaddrinfo
        try:
            succeeded, result = True, func(*args, **kw)
        except Exception:
            succeeded, result = False, Failure()
        if onResult is not None:
            onResult(succeeded, result)
        elif not succeeded:
            log.failure("Unhandled error in a simulated thread", failure=result)
