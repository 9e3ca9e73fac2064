"""What a transport holds that its peer has not taken yet.

The rule of this module: the one place that reaches into Twisted's transports for it. Of a transport that it does not know
it says what it can: nothing.
"""

from __future__ import annotations

from typing import Any

__all__ = ["accepting_port", "lower_buffer", "unsent_of"]


def unsent_of(transport: Any) -> int:
    """Octets that were written to a transport and are still in this process."""
    try:
        return len(transport.dataBuffer) - transport.offset + transport._tempDataLen  # type: ignore[no-any-return]
    except AttributeError:
        own = getattr(transport, "unsent", None)
        return _unsent_over_tls(transport) if own is None else int(own)


def _unsent_over_tls(transport: Any) -> int:
    below = getattr(transport, "transport", None)
    if below is None:
        return 0
    waiting = getattr(transport, "_appSendBuffer", None) or ()
    small = getattr(getattr(transport, "_aggregator", None), "_buffer", ())
    return sum(map(len, waiting)) + sum(map(len, small)) + unsent_of(below)


def lower_buffer(transport: Any, size: int) -> None:
    """Have a transport pause its producer when more than `size` octets are unsent, if it would do so only later."""
    below = _below_tls(transport)
    if getattr(below, "bufferSize", 0) > size:
        below.bufferSize = size


def accepting_port(transport: Any) -> Any:
    """The listening port that a server's connection came from, if it is one that can be paused; or `None`."""
    below = _below_tls(transport)
    while hasattr(below, "_transport"):  # a guard around a guard
        below = _below_tls(below._transport)
    port = getattr(below, "server", None)
    return port if hasattr(port, "pauseProducing") else None


def _below_tls(transport: Any) -> Any:
    """The transport under any layers of TLS: those that know no buffer size of their own."""
    while not hasattr(type(transport), "bufferSize") and hasattr(transport, "transport"):
        transport = transport.transport
    return transport
