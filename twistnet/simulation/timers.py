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

from .clock import Later
from .naming import name_of

if TYPE_CHECKING:
    from .reactor import Host

__all__ = ["Timer"]

ACTIVE, CALLED, CANCELLED, LOST = 0, 1, 2, 3
"""One is lost whose machine has crashed; whoever has it still may cancel it."""
STATES = "active", "called", "cancelled", "lost"
NO_KEYWORDS: dict[str, Any] = {}
"""One for all timers that are called with none, which is most."""


@implementer(IDelayedCall)
class Timer(Later):
    """What `callLater` returns.

    Attributes:
        call: The method of its host that fires it.
        func: What is to be called, with `args` and `kw`.
    """

    __slots__ = ("args", "func", "kw")

    def __init__(
        self,
        call: Callable[[Timer], object],
        due: float,
        order: int,
        func: Callable[..., object],
        args: tuple[Any, ...],
        kw: dict[str, Any],
    ) -> None:
        self.call = call
        self.due = due
        self.order = order
        self.func = func
        self.args = args
        self.kw = kw or NO_KEYWORDS
        self.state = ACTIVE

    @property
    def host(self) -> Host:
        """Whose timer it is."""
        host: Host = self.call.__self__  # type: ignore[attr-defined]
        return host

    @property
    def called(self) -> bool:
        """Whether it has been called."""
        return self.state == CALLED

    @property
    def cancelled(self) -> bool:
        """Whether it will not be called."""
        return self.state == CANCELLED

    @property
    def time(self) -> float:
        """When it is to be called, by the host's own clock."""
        return self.host.seconds_at(self.due)

    def getTime(self) -> float:
        """See `IDelayedCall.getTime`."""
        return self.time

    def active(self) -> bool:
        """See `IDelayedCall.active`."""
        return self.state == ACTIVE

    def _must_be_active(self) -> None:
        if self.cancelled:
            raise AlreadyCancelled
        if self.called:
            raise AlreadyCalled

    def cancel(self) -> None:
        """See `IDelayedCall.cancel`."""
        self._must_be_active()
        self.state = CANCELLED
        self.args, self.kw = (), NO_KEYWORDS
        self.host.network.clock.called_off()

    def reset(self, secondsFromNow: float) -> None:
        """See `IDelayedCall.reset`."""
        self._must_be_active()
        self.host.move_timer(self, self.host.network.clock.now + secondsFromNow / self.host.rate)

    def delay(self, secondsLater: float) -> None:
        """See `IDelayedCall.delay`; a negative number brings it forward."""
        self._must_be_active()
        self.host.move_timer(self, self.due + secondsLater / self.host.rate)

    def __repr__(self) -> str:
        left = self.due - self.host.network.clock.now
        return f"<Timer of {self.host.name}: {name_of(self.func)} in {left:g} s, {STATES[self.state]}>"
