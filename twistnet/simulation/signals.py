"""Signals, which belong to the process and not to a simulated host.

The rule of this module: when a host has run, whoever had a signal before has it again.
"""

from __future__ import annotations

import signal
from typing import Any

__all__ = ["Restored"]

HANDLED = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGBREAK") if hasattr(signal, name)]


class Restored:
    """Twisted's way of handling signals, which leaves them to the reactor for ever, and an end to it."""

    def __init__(self, handling: Any) -> None:
        self._handling = handling
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Let the reactor have them."""
        self._before = {number: signal.getsignal(number) for number in HANDLED}
        self._handling.install()

    def uninstall(self) -> None:
        """Let whoever had them before have them."""
        before, self._before = self._before, {}
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)
