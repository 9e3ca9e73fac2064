"""What a transport holds that its peer has not taken yet.

The rule of this module: the one place that reaches into Twisted's transports for it. Of a transport that it does not know
it says what it can: nothing.
"""

from __future__ import annotations

import fcntl
import socket
import sys
import termios
from typing import Any

from twisted.internet.interfaces import ILoggingContext

__all__ = [
    "accepting_port",
    "forget_unsent",
    "is_closing",
    "rename",
    "tell_when_empty",
    "unacknowledged_of",
    "unsent_of",
]


def unsent_of(transport: Any) -> int:
    """Octets that were written to a transport and are still in this process."""
    kind = type(transport)
    if hasattr(kind, "dataBuffer"):
        own: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
        own += getattr(transport, "held_back", 0)  # of a fast transport
        return own + _unsent_in_tls(transport.protocol) if getattr(transport, "TLS", False) else own
    if hasattr(kind, "unsent"):
        return int(transport.unsent)
    below = getattr(transport, "transport", None)
    return 0 if below is None else _unsent_in_tls(transport) + unsent_of(below)


def _unsent_in_tls(transport: Any) -> int:
    """What waits for the handshake, and small writes that wait for the end of the turn."""
    waiting = getattr(transport, "_appSendBuffer", None) or ()
    small = getattr(getattr(transport, "_aggregator", None), "_buffer", ())
    return sum(map(len, waiting)) + sum(map(len, small))


def unacknowledged_of(transport: Any) -> int:
    """Octets that the kernel has and the peer's has not acknowledged (SIOCOUTQ of tcp(7), unix(7)); 0 if it cannot be told."""
    below = getattr(_below_guards(transport), "socket", None)
    if not isinstance(below, socket.socket) or not sys.platform.startswith("linux"):
        return 0
    try:
        answer = fcntl.ioctl(below.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):  # ValueError: it is closed
        return 0
    return int.from_bytes(answer, sys.byteorder)


def tell_when_empty(transport: Any) -> None:
    """Have a transport resume its producer once all is sent: Twisted's do so only if there was enough to pause it."""
    below = _below_tls(transport)
    if hasattr(below, "tell_when_empty"):  # of a guard
        below.tell_when_empty()
    elif getattr(below, "producer", None) is not None:
        below.producerPaused = True
        below.producer.pauseProducing()


def forget_unsent(transport: Any) -> None:
    """Let go of what a lost connection will never send: it would stay until Python collects cycles of references."""
    below = _below_tls(transport)
    if hasattr(type(below), "dataBuffer"):
        below.dataBuffer, below.offset = b"", 0
        below._tempDataBuffer, below._tempDataLen = [], 0


def is_closing(transport: Any) -> bool:
    """Whether a transport is being closed, whoever asked for it: TLS does when its peer has said farewell."""
    return bool(getattr(_below_tls(transport), "disconnecting", False))


def accepting_port(transport: Any) -> Any:
    """The listening port that a server's connection came from, if it is one that can be paused; or `None`."""
    port = getattr(_below_guards(transport), "server", None)
    return port if hasattr(port, "pauseProducing") else None


def rename(transport: Any, connection: Any, protocol: Any, host: str) -> None:
    """Have a server's transport be called in the log as if it had been made with this protocol, for this host."""
    below = _below_guards(transport)
    prefix, _, rest = str(getattr(below, "logstr", "")).partition(",")
    if prefix == type(connection).__name__:
        name = protocol.logPrefix() if ILoggingContext.providedBy(protocol) else type(protocol).__name__
        below.logstr = f"{name},{rest.partition(',')[0]},{host}"


def _below_guards(transport: Any) -> Any:
    """The transport under any layers of guards and TLS."""
    below = _below_tls(transport)
    while hasattr(below, "_transport"):
        below = _below_tls(below._transport)
    return below


def _below_tls(transport: Any) -> Any:
    """The transport under any layers of TLS: those that know no buffer size of their own."""
    while not hasattr(type(transport), "bufferSize") and hasattr(transport, "transport"):
        transport = transport.transport
    return transport
