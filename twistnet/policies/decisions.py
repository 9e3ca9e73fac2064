"""What a policy can decide.

The rule of this module: words only. Whoever asked does it, or in a dry run does not.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Decision"]


class Decision(Enum):
    """What a policy wants done with a connection."""

    ADMIT = "admitted"
    DELAY = "delayed"
    REFUSE = "refused"
    CLOSE = "closed"
    ABORT = "aborted"
