"""Policy `max_connections`: how many connections are open at once.

The rule of this module: what is entered is left exactly once, and the count says how many have not left.
"""

from __future__ import annotations

from attrs import define, field

from ..errors import PolicyViolation, TooManyConnections
from .decisions import Decision

__all__ = ["MaxConnections"]


@define(eq=False)
class MaxConnections:
    """Slots.

    Attributes:
        limit: How many there are; `None` for no end of them.
        overflow: What a connection too many meets: `"wait"` or `"refuse"`.
        open: How many are taken.
    """

    limit: int | None = None
    overflow: str = "wait"
    open: int = field(default=0, init=False)

    @property
    def full(self) -> bool:
        """Whether no slot is free."""
        return self.limit is not None and self.open >= self.limit

    def decide(self) -> Decision:
        """What becomes of one more connection: `ADMIT`, `DELAY` or `REFUSE`."""
        if not self.full:
            return Decision.ADMIT
        return Decision.DELAY if self.overflow == "wait" else Decision.REFUSE

    def violation(self) -> PolicyViolation:
        """What a connection too many is told of."""
        return TooManyConnections(f"{self.open} connections are open")

    def enter(self) -> None:
        """A connection takes a slot."""
        self.open += 1

    def leave(self) -> None:
        """It gives the slot back."""
        assert self.open > 0
        self.open -= 1
