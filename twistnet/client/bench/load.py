"""What the connections of a load share.

The rule of this module: the first problem ends it for all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.python.failure import Failure

from .measurement import Measurement
from .payloads import Pattern
from .plan import Plan

__all__ = ["Load"]


@define(eq=False, kw_only=True)
class Load:
    """What is sent, and who is told what comes of it.

    Attributes:
        plan: What to do.
        measurement: Is told of replies.
        clock: The time, in seconds.
        pattern: What is sent.
        tell: Is told of the first problem.
    """

    plan: Plan
    measurement: Measurement
    clock: Callable[[], float]
    tell: Callable[[Failure], None]
    pattern: Pattern = field(init=False)
    _ended: bool = False

    def __attrs_post_init__(self) -> None:
        self.pattern = Pattern(self.plan.expect)

    def end(self, reason: Failure) -> None:
        """There is a problem."""
        if not self._ended:
            self._ended = True
            self.tell(reason)
