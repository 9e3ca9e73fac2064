"""The clock of one connection: it looks when the next deadline may have passed.

The rule of this module: one timer at a time, and none once the connection is lost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from ..errors import HandshakeTimeout
from .deadlines import Deadlines
from .decisions import Decision
from .stages import Stage
from .unsent import unacknowledged_of

if TYPE_CHECKING:
    from .guarded_connection import GuardedConnection
    from .guarded_factory import GuardedFactory

__all__ = ["Watch"]

LOOKS = 4
"""How often in an `idle_timeout` it is looked whether a peer has taken something: nobody says when it does."""


class Watch:
    """Keeps the deadlines of one connection.

    Args:
        connection: Which one.
        factory: Knows what is allowed, and the time.
    """

    def __init__(self, connection: GuardedConnection, factory: GuardedFactory) -> None:
        self._connection = connection
        self._clock = factory.clock
        config = factory.config
        self._deadlines = Deadlines(
            connection.opened_at, config.idle_timeout, config.lifetime, config.handshake_timeout
        )
        self._timer: IDelayedCall | None = None
        self._taken = 0
        self._taken_at = connection.opened_at

    def begin_anew(self, now: float) -> None:
        """The time that it has waited for a slot does not count."""
        self._deadlines.opened = self._taken_at = now

    def handshake_begins(self, otherwise: float | None = None) -> None:
        """Something has to be done first; `otherwise` is how long it may take if nothing is configured."""
        self._deadlines.begin_handshake(self._clock.seconds(), otherwise)
        self.look_later()

    def handshake_ended(self) -> None:
        """It was done."""
        self._deadlines.end_handshake()

    def look_later(self) -> None:
        """Look again when the next of the deadlines may have passed, unless it is being ended."""
        if self._connection.violation is not None or self._connection.is_lost:
            return
        due = self._deadlines.next(self._active_at())
        if due is None:
            self.stop()
            return
        wait = max(0.0, due - self._clock.seconds())
        if self._deadlines.idle is not None:
            wait = min(wait, self._deadlines.idle / LOOKS)
        self.call_after(wait, self._look)

    def call_after(self, seconds: float, what: Callable[[], None]) -> None:
        """Do this instead of looking."""
        self.stop()
        self._timer = self._clock.callLater(seconds, self._awake, what)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _awake(self, what: Callable[[], None]) -> None:
        self._timer = None
        what()

    def _active_at(self) -> float:
        """When something last went either way; what the peer has not taken has not gone."""
        connection = self._connection
        unsent = connection.unsent
        if not unsent:
            return max(connection.heard_at, connection.wrote_at)
        in_kernel = unacknowledged_of(connection.transport)
        taken, self._taken = self._taken, connection.octets_out - unsent - in_kernel
        if self._taken > taken:  # less may be: TLS adds to what it has not sent
            self._taken_at = self._clock.seconds()
        return max(connection.heard_at, self._taken_at)

    def _look(self) -> None:
        connection = self._connection
        violation = self._deadlines.violation(self._clock.seconds(), self._active_at())
        if violation is None:
            self.look_later()
        elif connection.stage is Stage.HEADER and isinstance(violation, HandshakeTimeout):
            self.handshake_ended()
            connection.in_context(lambda: connection.arrival.end_header(violation))
        elif connection.excused(violation, Decision.CLOSE):
            self._deadlines.excuse(violation)
            self.look_later()
        else:
            connection.end(violation, Decision.CLOSE)
