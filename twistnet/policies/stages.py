"""How far a connection has come.

The rule of this module: words only.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["Stage"]


class Stage(Enum):
    """How far a connection has come."""

    ARRIVING = "arriving"
    WAITING = "waiting for a slot"
    HEADER = "sending its PROXY header"
    OPEN = "open"
    REFUSED = "refused"
    LOST = "lost"
