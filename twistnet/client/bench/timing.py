"""Time, as exact as it can be had where a reactor runs.

The rule of this module: on a simulated host there is its time alone, and nothing takes any.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import IDelayedCall

__all__ = ["Alarm", "Timing", "timing_of"]

_SCHEDULED = Path("/proc/self/schedstat")
"""Nanoseconds on a processor, and in the queue for one."""


class Alarm(Protocol):
    """Rings once for each time that it is set."""

    def set(self, seconds: float) -> None:
        """Ring in so many seconds, and not when it was to ring before."""

    def close(self) -> None:
        """Ring no more."""


class Timing:
    """The time of a simulated host, or of any reactor.

    Args:
        reactor: Has timers (`IReactorTime`).
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def seconds(self) -> float:
        """The time."""
        seconds: float = self._reactor.seconds()
        return seconds

    def busy(self) -> float:
        """Seconds for which this process has used a processor, or has waited for one that others used."""
        return 0.0

    def alarm(self, ring: Callable[[], None]) -> Alarm:
        """An alarm."""
        return _ReactorAlarm(self._reactor, ring)


class RealTiming(Timing):
    """The time of a process. A reactor's own is that of a clock on the wall, which is set now and then."""

    def seconds(self) -> float:
        """See `Timing.seconds`."""
        return time.perf_counter()

    def busy(self) -> float:
        """See `Timing.busy`; elsewhere than on Linux, what it has used."""
        scheduled = 0
        with suppress(OSError, ValueError):
            scheduled = sum(int(word) for word in _SCHEDULED.read_text().split()[:2])
        return max(scheduled / 1e9, time.process_time())

    def alarm(self, ring: Callable[[], None]) -> Alarm:
        """See `Timing.alarm`; the reactor's own timers may ring a millisecond late."""
        with suppress(OSError, AttributeError):
            return _KernelAlarm(self._reactor, ring)
        return super().alarm(ring)


def timing_of(reactor: Any) -> Timing:
    """What there is of it where a reactor runs."""
    return RealTiming(reactor) if getattr(reactor, "has_real_sockets", True) else Timing(reactor)


class _ReactorAlarm:
    """One of the reactor's timers."""

    def __init__(self, reactor: Any, ring: Callable[[], None]) -> None:
        self._reactor = reactor
        self._ring = ring
        self._call: IDelayedCall | None = None

    def set(self, seconds: float) -> None:
        """See `Alarm.set`."""
        self.close()
        self._call = self._reactor.callLater(seconds, self._ring)

    def close(self) -> None:
        """See `Alarm.close`."""
        if self._call is not None and self._call.active():
            self._call.cancel()


class _TimeSpec(ctypes.Structure):
    """See timerfd_settime(2): `struct itimerspec`, an interval and a value."""

    _fields_ = (
        ("again_seconds", ctypes.c_long),
        ("again_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    )


class _KernelAlarm(FileDescriptor):
    """A timerfd(2), which rings within some tens of microseconds; Python's own come with 3.13.

    Raises:
        AttributeError: The C library has none.
        OSError: The kernel has none.
    """

    def __init__(self, reactor: Any, ring: Callable[[], None]) -> None:
        if not sys.platform.startswith("linux"):
            raise AttributeError("timerfd_create")
        super().__init__(reactor)
        self._library: Any = ctypes.CDLL(None, use_errno=True)
        self._ring = ring
        self._descriptor = self._checked(
            self._library.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        )
        self.connected = 1
        self.startReading()

    def _checked(self, result: int) -> int:
        if result < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return result

    def fileno(self) -> int:
        """See `IFileDescriptor.fileno`."""
        return self._descriptor

    def doRead(self) -> None:
        """See `IReadDescriptor.doRead`."""
        with suppress(BlockingIOError):
            os.read(self._descriptor, 8)
            self._ring()

    def set(self, seconds: float) -> None:
        """See `Alarm.set`."""
        nanoseconds = max(1, int(seconds * 1e9))  # 0 would be never
        value = _TimeSpec(0, 0, *divmod(nanoseconds, 10**9))
        self._checked(self._library.timerfd_settime(self._descriptor, 0, ctypes.byref(value), None))

    def close(self) -> None:
        """See `Alarm.close`."""
        if self._descriptor >= 0:
            self.stopReading()
            os.close(self._descriptor)
            self._descriptor = -1
