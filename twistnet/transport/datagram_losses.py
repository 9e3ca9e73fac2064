"""How many datagrams a port has received, sent and lost.

The rule of this module: a datagram that is lost is counted, and a person is told, at most once a minute of each kind.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import Any

from attrs import define
from twisted.logger import Logger

__all__ = ["DatagramCounters", "Losses"]

QUIET = 60.0
"""Seconds from one line about a loss to the next."""

SO_MEMINFO, SK_MEMINFO_DROPS = 55, 8
"""socket(7): what a socket has in memory, and which of those numbers counts the drops, as SO_RXQ_OVFL would tell it."""

_NUMBERS = struct.Struct("=9I")

_LINES = {
    "kernel_dropped": "the receive buffer of {port} is full: {dropped} datagrams dropped so far",
    "send_dropped": "a send buffer of {port} is full: {dropped} datagrams dropped so far",
}
_log = Logger()


@define(eq=False)
class DatagramCounters:
    """What a datagram port has done since it was opened.

    Attributes:
        received: Datagrams delivered to the protocol, or about to be.
        sent: Datagrams that the kernel has taken.
        truncated: Of those received, the ones that were longer than `maxPacketSize`, and so were cut.
        send_dropped: Datagrams dropped on their way out, because a buffer was full.
        kernel_dropped: Datagrams that the kernel dropped on their way in, since the socket was made, because its receive
            buffer was full; None where the kernel does not tell.
    """

    received: int = 0
    sent: int = 0
    truncated: int = 0
    send_dropped: int = 0
    kernel_dropped: int | None = None


class Losses:
    """Counts what a port loses, and tells of it.

    Args:
        port: Whose losses they are.
        clock: Provides `IReactorTime`.
    """

    def __init__(self, port: Any, clock: Any) -> None:
        self.counters = DatagramCounters()
        self._port = port
        self._clock = clock
        self._told: dict[str, tuple[float, int]] = {}

    def look(self, handle: socket.socket) -> None:
        """Learn from the kernel what it has dropped."""
        self.counters.kernel_dropped = _dropped_by_kernel(handle)
        if self.counters.kernel_dropped:
            self._tell("kernel_dropped")

    def send_dropped(self) -> None:
        """A datagram was not sent: some buffer was full."""
        self.counters.send_dropped += 1
        self._tell("send_dropped")

    def close(self, handle: socket.socket) -> None:
        """The port is about to be closed: tell of all that was not told."""
        self.counters.kernel_dropped = _dropped_by_kernel(handle)
        for name in _LINES:
            self._tell(name, quiet=0.0)

    def _tell(self, name: str, quiet: float = QUIET) -> None:
        """Say how many it are by now, unless that was said, or something was said a moment ago."""
        count: int = getattr(self.counters, name) or 0
        last, told = self._told.get(name, (-QUIET, 0))
        if count != told and self._clock.seconds() - last >= quiet:
            self._told[name] = (self._clock.seconds(), count)
            _log.warn(_LINES[name], port=self._port, dropped=count)


def _dropped_by_kernel(handle: socket.socket) -> int | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        answer = handle.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, _NUMBERS.size)
    except (OSError, ValueError):
        return None
    return int(_NUMBERS.unpack(answer)[SK_MEMINFO_DROPS]) if len(answer) == _NUMBERS.size else None
