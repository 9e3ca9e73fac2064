"""Policies `idle_timeout`, `lifetime` and `handshake_timeout`: how long a connection may take.

The rule of this module: it is told when something happened, and says when to look again and what has run out.
"""

from __future__ import annotations

from attrs import define, field

from ..errors import HandshakeTimeout, IdleTimeout, LifetimeExceeded, PolicyViolation

__all__ = ["HEADER_TIMEOUT", "Deadlines"]

HEADER_TIMEOUT = 10.0
"""Seconds that a PROXY header may take, if `handshake_timeout` does not say."""


@define(eq=False)
class Deadlines:
    """What is awaited of one connection; all times in seconds of one clock.

    Attributes:
        opened: When it was made.
        idle: How long it may be silent.
        lifetime: How long it may last.
        handshake: How long what comes before the first octet of the protocol may take.
    """

    opened: float
    idle: float | None = None
    lifetime: float | None = None
    handshake: float | None = None
    _handshake_by: float | None = field(default=None, init=False)
    _excused: set[type] = field(factory=set, init=False)

    def begin_handshake(self, now: float, otherwise: float | None = None) -> None:
        """Something has to be done first; `otherwise` is how long it may take if nothing is configured."""
        allowed = otherwise if self.handshake is None else self.handshake
        self._handshake_by = None if allowed is None else now + allowed

    def end_handshake(self) -> None:
        """It was done."""
        self._handshake_by = None

    def excuse(self, violation: PolicyViolation) -> None:
        """Say no more of this: it was told in a dry run."""
        self._excused.add(type(violation))

    def next(self, active: float) -> float | None:
        """When to look again, if nothing happens; `active` is when something last did."""
        return min((due for due, _ in self._pending(active)), default=None)

    def violation(self, now: float, active: float) -> PolicyViolation | None:
        """What has run out."""
        return next((violation for due, violation in self._pending(active) if due <= now), None)

    def _pending(self, active: float) -> list[tuple[float, PolicyViolation]]:
        pending: list[tuple[float, PolicyViolation]] = []
        if self._handshake_by is not None:
            pending.append((self._handshake_by, HandshakeTimeout("the handshake is not done")))
        if self.lifetime is not None:
            pending.append((self.opened + self.lifetime, LifetimeExceeded(f"open for {self.lifetime:g} s")))
        if self.idle is not None:
            pending.append((active + self.idle, IdleTimeout(f"silent for {self.idle:g} s")))
        return [one for one in pending if type(one[1]) not in self._excused]
