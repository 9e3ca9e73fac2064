"""The states of a TCP connection and how they follow each other (RFC 9293, section 3.3.2).

The rule of this module: a state is left only by the table.
"""

from __future__ import annotations

import enum

__all__ = ["AFTER_CLOSE", "AFTER_FIN", "AFTER_FIN_ACKED", "OPEN", "State"]


class State(enum.Enum):
    """A state of RFC 9293."""

    CLOSED = "closed"
    LISTEN = "listening"
    SYN_SENT = "connecting"
    SYN_RECEIVED = "being accepted"
    ESTABLISHED = "connected"
    FIN_WAIT_1 = "closing, FIN sent"
    FIN_WAIT_2 = "half closed by us"
    CLOSE_WAIT = "half closed by the peer"
    CLOSING = "closing, both at once"
    LAST_ACK = "closing after the peer"
    TIME_WAIT = "time wait"


AFTER_CLOSE = {
    State.SYN_RECEIVED: State.FIN_WAIT_1,
    State.ESTABLISHED: State.FIN_WAIT_1,
    State.CLOSE_WAIT: State.LAST_ACK,
}
"""Our output has ended and our FIN is sent."""

AFTER_FIN = {
    State.SYN_RECEIVED: State.CLOSE_WAIT,
    State.ESTABLISHED: State.CLOSE_WAIT,
    State.FIN_WAIT_1: State.CLOSING,
    State.FIN_WAIT_2: State.TIME_WAIT,
}
"""The peer's FIN has arrived."""

AFTER_FIN_ACKED = {
    State.FIN_WAIT_1: State.FIN_WAIT_2,
    State.CLOSING: State.TIME_WAIT,
    State.LAST_ACK: State.CLOSED,
}
"""The peer has acknowledged our FIN."""

OPEN = frozenset({State.ESTABLISHED, State.CLOSE_WAIT, State.FIN_WAIT_1, State.FIN_WAIT_2})
"""Where octets of one direction at least still matter to the program."""
