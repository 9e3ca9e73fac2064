"""The global reactor, which stands for a simulated host while a simulation runs.

The rule of this module: `twisted.internet.reactor` stays the same object, and is given the state and the class of a host,
as Twisted's own ReactorBuilder does it; whatever it was before is put back. The global cooperator goes with it.
"""

from __future__ import annotations

from typing import Any

from attrs import define, field
from twisted.internet import task

__all__ = ["GlobalReactor"]


@define(eq=False)
class GlobalReactor:
    """A loan of the global reactor.

    Attributes:
        is_lent: Whether it stands for a host now.
    """

    is_lent: bool = False
    _reactor: Any = None
    _kind: Any = None
    _cooperator: Any = None
    _state: dict[str, Any] = field(factory=dict)

    def lend(self, host: Any) -> None:
        """Let it stand for a host, from now on."""
        from twisted.internet import reactor

        self._reactor, self._kind, self._state = reactor, reactor.__class__, reactor.__dict__
        self.is_lent = True
        self._cooperator = task._theCooperator
        self.stand_for(host)

    def stand_for(self, host: Any) -> None:
        """Let it stand for another host."""
        if self.is_lent:
            reactor = self._reactor
            if type(reactor) is not type(host):  # the assignment is slow, and hosts take turns often
                reactor.__class__ = host.__class__
            reactor.__dict__ = host.__dict__
            task._theCooperator = host.cooperator

    def give_back(self) -> None:
        """Let it be what it was."""
        if self.is_lent:
            self._reactor.__class__ = self._kind
            self._reactor.__dict__ = self._state
            task._theCooperator = self._cooperator
            self.is_lent = False

    def pending(self) -> list[str]:
        """What waits on the real reactor meanwhile: the names of functions that were scheduled there."""
        from .timers import name_of

        calls = [*self._state.get("_pendingTimedCalls", ()), *self._state.get("_newTimedCalls", ())]
        return [name_of(call.func) for call in calls if hasattr(call, "func") and not call.cancelled]
