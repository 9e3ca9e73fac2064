"""Where connections arrive: they are let in, turned away, or wait until one that is open ends.

The rule of this module: while no slot is free, nothing more is accepted, so that the kernel's backlog holds what comes. Of
what it had handed over already, in one batch, nothing is read before its turn.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .decisions import Decision
from .gate import Gate
from .unsent import accepting_port

if TYPE_CHECKING:
    from .guarded_connection import GuardedConnection

__all__ = ["Reception"]


class Reception:
    """Lets the connections of one gate in.

    Args:
        gate: Decides.
    """

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self._waiting: OrderedDict[GuardedConnection, None] = OrderedDict()
        self._ports: dict[Any, None] = {}
        self._attended: WeakSet[Any] = WeakSet()

    @property
    def waiting(self) -> int:
        """Connections that were accepted and have no slot yet."""
        return len(self._waiting)

    def arrived(self, connection: GuardedConnection) -> None:
        """A connection was made: it is admitted, refused, or waits."""
        slots = self.gate.slots
        if slots.limit is not None:
            self.attend(accepting_port(connection.transport))
        decision = slots.decide()
        if decision is not Decision.ADMIT and self.gate.config.dry_run:
            connection.tell(slots.violation(), decision)
            if decision is Decision.REFUSE:
                connection.arrival.admit()  # it takes nobody's place
                return
            decision = Decision.ADMIT
        if decision is Decision.REFUSE:
            connection.arrival.refuse(slots.violation())
        elif decision is Decision.DELAY:
            self._wait(connection)
        else:
            self.gate.enter_slot(connection.place)
            if slots.full and slots.overflow == "wait" and not self.gate.config.dry_run:
                connection.note("max_connections", "accepting paused", slots.violation().detail)
                self._pause(connection)
            connection.arrival.admit()

    def left(self, connection: GuardedConnection) -> None:
        """A connection is gone: what it held is free, and somebody who waits has it."""
        self._waiting.pop(connection, None)
        self.gate.leave(connection.place)
        slots = self.gate.slots
        while self._waiting and not slots.full:
            following, _ = self._waiting.popitem(last=False)
            self.gate.enter_slot(following.place)
            following.arrival.admit_soon()
        if not slots.full:
            self._accept()

    def attend(self, port: Any) -> None:
        """Have a listening port accept no more at once than there are slots, if it is one of Twisted's."""
        slots = self.gate.slots
        if slots.limit is None or slots.overflow != "wait" or self.gate.config.dry_run:
            return
        if not hasattr(port, "numberAccepts") or port in self._attended:
            return
        self._attended.add(port)
        accept = port.doRead

        def accept_what_fits() -> Any:
            free = max(0, slots.limit - slots.open) if slots.limit is not None else 0
            port.numberAccepts = min(port.numberAccepts, max(1, free))
            if free:
                return accept()
            self._ports[port] = None
            return port.pauseProducing()

        port.doRead = accept_what_fits

    def _wait(self, connection: GuardedConnection) -> None:
        connection.tell(self.gate.slots.violation(), Decision.DELAY)
        self._waiting[connection] = None
        self._pause(connection)
        connection.arrival.wait()

    def _pause(self, connection: GuardedConnection) -> None:
        """Accept no more where this one came from, though it was paused before: another guard may have resumed it."""
        port = accepting_port(connection.transport)
        if port is not None:
            self._ports[port] = None
            port.pauseProducing()

    def _accept(self) -> None:
        ports, self._ports = self._ports, {}
        for port in ports:
            if getattr(port, "connected", True):
                port.resumeProducing()
