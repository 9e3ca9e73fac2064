"""How a connection is let in: the gate, a slot, the PROXY header, and the policies that ask for the client's address.

The rule of this module: it is asked once what is known once: the peer at the beginning, the client after the header. Until
all of it is done the protocol inside hears nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall
from twisted.python.log import callWithContext

from ..errors import HandshakeTimeout, PolicyViolation
from .deadlines import HEADER_TIMEOUT
from .decisions import Decision
from .preamble import Preamble
from .sources import address_of
from .stages import Stage

if TYPE_CHECKING:
    from .guarded_connection import GuardedConnection
    from .guarded_factory import GuardedFactory

__all__ = ["Arrival"]


class Arrival:
    """The beginning of one connection.

    Args:
        connection: Which one.
        factory: Knows what is allowed.
    """

    def __init__(self, connection: GuardedConnection, factory: GuardedFactory) -> None:
        self._connection = connection
        self._factory = factory
        self._proxied = factory.config.proxy_protocol != "off"
        self._preamble: Preamble | None = None
        self._turn: IDelayedCall | None = None

    def begin(self) -> None:
        """The connection was made."""
        connection, gate = self._connection, self._factory.gate
        address, now = address_of(connection.peer), connection.opened_at
        violation = gate.check_proxy(address) if self._proxied else gate.check(now, address)
        if violation is not None:
            if connection.excused(violation, Decision.REFUSE):
                self.admit()  # a dry run: it takes nobody's place
            else:
                self.refuse(violation)
            return
        if not self._proxied:
            gate.enter(now, address, connection.place)
        self._factory.reception.arrived(connection)

    def refuse(self, violation: PolicyViolation, outcome: Decision = Decision.REFUSE) -> None:
        """Turn it away."""
        connection = self._connection
        connection.stage = Stage.REFUSED
        connection.violation = violation
        connection.watch.stop()
        connection.tell(violation, outcome)
        connection.abort()

    def wait(self) -> None:
        """There is no slot: read nothing until there is one."""
        self._connection.stage = Stage.WAITING
        self._connection.transport.pauseProducing()

    def admit_soon(self) -> None:
        """There is a slot at last."""
        self._turn = self._factory.clock.callLater(0, self._have_turn)

    def admit(self) -> None:
        """It has a slot. A PROXY header is awaited first."""
        if not self._proxied:
            self._connection.open()
            return
        self._connection.stage = Stage.HEADER
        self._preamble = Preamble(self._factory.config.proxy_protocol)
        self._connection.watch.handshake_begins(HEADER_TIMEOUT)

    def received(self, data: bytes) -> None:
        """Some of the PROXY header."""
        assert self._preamble is not None
        outcome = self._preamble.feed(data)
        if isinstance(outcome, PolicyViolation):
            self.end_header(outcome)
        elif outcome is not None:
            self._connection.proxy_header, rest = outcome
            self._meet(self._preamble)
            self._go_on(rest)

    def end_header(self, violation: PolicyViolation) -> None:
        """There is no header; in a dry run what came in its place is the client's own."""
        how = Decision.ABORT if isinstance(violation, HandshakeTimeout) else Decision.REFUSE
        if self._connection.excused(violation, how):
            assert self._preamble is not None
            self._open()
            self._go_on(self._preamble.seen)
        else:
            self.refuse(violation, how)

    def lost(self) -> None:
        """The connection was lost."""
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def _have_turn(self) -> None:
        self._turn = None
        connection = self._connection
        connection.begin_anew()
        connection.transport.resumeProducing()  # before the protocol inside can ask for the opposite
        connection.in_context(self.admit, fatal=False)

    def _meet(self, preamble: Preamble) -> None:
        """Now that the client is known, the policies that ask for its address are asked."""
        connection, gate = self._connection, self._factory.gate
        if preamble.client is not None:
            connection.peer, connection.host = preamble.client, preamble.server
            address, now = address_of(preamble.client), self._factory.clock.seconds()
            violation = gate.check(now, address)
            if violation is None:
                gate.enter(now, address, connection.place)
            elif connection.excused(violation, Decision.REFUSE):
                self._factory.reception.left(connection)  # a dry run: it takes nobody's place
            else:
                self.refuse(violation)
                return
        self._open()

    def _open(self) -> None:
        """What fails in `connectionMade` ends no connection, whatever the transport has called."""
        self._connection.in_context(self._connection.open, fatal=False)

    def _go_on(self, rest: bytes) -> None:
        """What followed the header is the client's; the header itself is not counted."""
        self._connection.octets_in = 0
        if rest and self._connection.stage is Stage.OPEN:
            prefix = getattr(self._connection.transport, "logPrefix", lambda: "-")()
            callWithContext({"system": prefix}, self._connection.dataReceived, rest)
