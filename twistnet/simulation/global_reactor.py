"""The global reactor, which stands for a simulated host while a simulation runs.

The rule of this module: `twisted.internet.reactor` stays the same object, and is given the state and the class of a host,
as Twisted's own ReactorBuilder does it; whatever it was before is put back. The global cooperator goes with it.
"""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet import task

from .naming import name_of

__all__ = ["GlobalReactor"]

KEPT = "_pendingTimedCalls", "_newTimedCalls"
"""Where a reactor of Twisted's keeps its timers."""


@frozen(kw_only=True)
class _Real:
    """What it was before anybody had it."""

    reactor: Any
    kind: Any
    state: dict[str, Any]
    cooperator: Any

    @staticmethod
    def now() -> _Real:
        from twisted.internet import reactor

        kind, state = reactor.__class__, reactor.__dict__
        return _Real(reactor=reactor, kind=kind, state=state, cooperator=task._theCooperator)

    def become(self, kind: Any, state: dict[str, Any], cooperator: Any) -> None:
        if type(self.reactor) is not kind:  # the assignment is slow, and hosts take turns often
            self.reactor.__class__ = kind
        self.reactor.__dict__ = state
        task._theCooperator = cooperator


_real: list[_Real] = []
_loans: list[GlobalReactor] = []
"""Who has it, the latest last; the one before has it again afterwards."""


class GlobalReactor:
    """The global reactor as one network has it.

    Of several networks that have it at a time, the one counts that was last to ask for it.
    """

    def __init__(self) -> None:
        self._host: Any = None

    @property
    def is_foremost(self) -> bool:
        """Whether it stands for a host of this network now."""
        return bool(_loans) and _loans[-1] is self

    def lend(self, host: Any) -> None:
        """Let it stand for a host, from now on."""
        if not _loans:
            _real[:] = [_Real.now()]
        _loans.append(self)
        self.stand_for(host)

    def stand_for(self, host: Any) -> None:
        """Let it stand for another host, as long as it is this network's."""
        self._host = host
        if _loans and _loans[-1] is self:
            _real[0].become(host.__class__, host.__dict__, host.cooperator)

    def give_back(self) -> None:
        """Let it be what it was before the latest `lend`."""
        latest = max(index for index, loan in enumerate(_loans) if loan is self)
        del _loans[latest]
        if _loans:
            _loans[-1].stand_for(_loans[-1]._host)
        else:
            real = _real.pop()
            real.become(real.kind, real.state, real.cooperator)

    def pending(self) -> list[str]:
        """What waits on the real reactor meanwhile: the names of functions that were scheduled there."""
        real = _real[0] if _real else _Real.now()
        calls = [call for kept in KEPT for call in real.state.get(kept, ())]
        return [name_of(call.func) for call in calls if hasattr(call, "func") and not call.cancelled]
