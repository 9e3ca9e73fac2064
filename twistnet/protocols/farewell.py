"""How a side that has said its last word closes, so that nothing of it is lost.

The rule of this module: a connection that is closed with unread input is reset, which destroys what is still under way. So
this side stops sending, goes on reading, and closes when the peer has; or a while after the peer has received everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime, ISSLTransport

__all__ = ["LINGER", "PATIENCE", "Farewell"]

LINGER = 2.0
"""Seconds that a peer has to close, once it has received everything."""

PATIENCE = 60.0
"""Seconds that a peer has to receive everything, once the kernel has it."""


class Farewell:
    """The end of one connection. Its protocol reads and forgets from then on, and closes when the peer has finished.

    Args:
        transport: The connection's.
        clock: Measures how long the peer takes; without one, a peer that does not close stays.
    """

    def __init__(self, transport: Any, clock: IReactorTime | None) -> None:
        self._transport = transport
        self._clock = clock
        self._timer: IDelayedCall | None = None
        self._begun = False

    def begin(self) -> None:
        """Say that nothing more will come. TLS says farewell itself, and neither it nor a pipe has a half-close."""
        self._begun = True
        if ISSLTransport.providedBy(self._transport):
            self._transport.loseConnection()
            self._wait(self._transport.abortConnection)
        elif hasattr(self._transport, "loseWriteConnection"):
            self._transport.loseWriteConnection()
        else:
            self._transport.loseConnection()

    def sent(self) -> None:
        """The kernel has everything (`writeConnectionLost`). The peer may take its time over closing, but not for ever."""
        if self._begun:
            self._linger(PATIENCE)

    def lost(self) -> None:
        """The connection is lost."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None

    def _linger(self, patience: float) -> None:
        """Close in a while, or look again then if the peer has not received everything."""
        if patience > 0 and _unacknowledged(self._transport):
            self._wait(lambda: self._linger(patience - LINGER))
        else:
            self._wait(self._transport.loseConnection)

    def _wait(self, then: Callable[[], object]) -> None:
        self.lost()
        if self._clock is not None:
            self._timer = self._clock.callLater(LINGER, then)


def _unacknowledged(transport: Any) -> int:
    """Octets that the peer's machine has not acknowledged (tcp(7), SIOCOUTQ); 0 where that cannot be known."""
    try:
        import fcntl
        import termios

        answer = fcntl.ioctl(transport.getHandle(), termios.TIOCOUTQ, b"\0" * 4)
    except (ImportError, AttributeError, OSError):
        return 0
    return int.from_bytes(answer, "little")
