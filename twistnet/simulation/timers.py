"""Delayed calls of a simulated host.

The rule of this module: a delayed call behaves as Twisted's own does, costs little to set, and is found in the heap
again only when its time has come.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

if TYPE_CHECKING:
    from .reactor import Host

__all__ = ["Timer", "name_of"]

NO_KEYWORDS: dict[str, Any] = {}
"""One for all timers that are called with none, which is most."""


def name_of(call: Callable[..., object]) -> str:
    """What a function is called, the same in every process."""
    inner = getattr(call, "func", call)
    name = getattr(inner, "__qualname__", None) or type(inner).__qualname__
    return str(name)


@implementer(IDelayedCall)
class Timer:
    """What `callLater` returns.

    Attributes:
        due: When it is to be called, in virtual seconds of the network.
        entry: When the heap will look at it next; never after `due`.
        order: Its place among those of the same instant.
        func: What is to be called, with `args` and `kw`.
        called: Whether it has been.
        cancelled: Whether it will not be.
    """

    __slots__ = ("args", "called", "cancelled", "due", "entry", "func", "host", "kw", "order")

    def __init__(
        self,
        host: Host,
        due: float,
        order: int,
        func: Callable[..., object],
        args: tuple[Any, ...],
        kw: dict[str, Any],
    ) -> None:
        self.host = host
        self.due = self.entry = due
        self.order = order
        self.func = func
        self.args = args
        self.kw = kw or NO_KEYWORDS
        self.called = self.cancelled = False

    @property
    def time(self) -> float:
        """When it is to be called, by the host's own clock."""
        return self.host.seconds_at(self.due)

    def getTime(self) -> float:
        """See `IDelayedCall.getTime`."""
        return self.time

    def active(self) -> bool:
        """See `IDelayedCall.active`."""
        return not (self.called or self.cancelled)

    def _must_be_active(self) -> None:
        if self.cancelled:
            raise AlreadyCancelled
        if self.called:
            raise AlreadyCalled

    def cancel(self) -> None:
        """See `IDelayedCall.cancel`."""
        self._must_be_active()
        self.cancelled = True
        self.args, self.kw = (), NO_KEYWORDS
        self.host.timer_cancelled()

    def reset(self, secondsFromNow: float) -> None:
        """See `IDelayedCall.reset`."""
        self._must_be_active()
        self.host.move_timer(self, self.host.network.clock.now + secondsFromNow / self.host.rate)

    def delay(self, secondsLater: float) -> None:
        """See `IDelayedCall.delay`; a negative number brings it forward."""
        self._must_be_active()
        self.host.move_timer(self, self.due + secondsLater / self.host.rate)

    def __repr__(self) -> str:
        state = "cancelled" if self.cancelled else "called" if self.called else "active"
        left = self.due - self.host.network.clock.now
        return f"<Timer of {self.host.name}: {name_of(self.func)} in {left:g} s, {state}>"
