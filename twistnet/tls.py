"""What has to be known of Twisted's TLS transport.

The rule of this module: the one place that reaches into it, and it does without where there is nothing to reach.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["flush_of", "is_shaking_hands"]


def flush_of(transport: Any) -> Callable[[], None] | None:
    """What sends the small writes that a TLS transport holds back for one turn of the reactor; `None` without TLS.

    An answer that is held back is lost when the peer's farewell (close_notify) came in the same segment as the
    question, so it is sent before the transport goes on to read that.
    """
    flush: Callable[[], None] | None = getattr(getattr(transport, "_aggregator", None), "flush", None)
    return flush


def is_shaking_hands(transport: Any) -> bool:
    """Whether TLS has begun and is not ready to carry anything; so only what is read can make it ready."""
    layer = transport
    while layer is not None and not hasattr(type(layer), "_handshakeDone"):
        below = getattr(layer, "_transport", None)  # of a guard
        layer = layer.protocol if below is None and getattr(layer, "TLS", False) else below
    return layer is not None and not layer._handshakeDone
