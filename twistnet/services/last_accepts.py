"""The last connections that a listener takes: whoever the kernel has let in is served, though the listener closes.

The rule of this module: closing a listener resets what it has not accepted, so first nobody new is let in, then everybody
who waits is accepted, and only then may it close. Where the kernel cannot do the first, a connection may be reset that
arrives in the same turn.
"""

from __future__ import annotations

import ctypes
import socket
import struct
import sys
from contextlib import suppress
from typing import Any

from ..policies.observers import OpenConnections

__all__ = ["accept_waiting", "let_nobody_in"]

SO_ATTACH_FILTER = 26
SYN_ALONE = (
    (0x30, 0, 0, 13),  # load the flags of the TCP header
    (0x54, 0, 0, 0x12),  # of these, SYN and ACK
    (0x15, 0, 1, 0x02),  # only SYN?
    (0x06, 0, 0, 0),  # then drop it
    (0x06, 0, 0, 0xFFFFFFFF),  # else keep all of it
)
"""A filter that drops what would begin a connection (`struct sock_filter` of linux/filter.h)."""


def let_nobody_in(port: Any) -> None:
    """Have the kernel make no more connections for a listener that is about to close; those it has made stay.

    On UNIX sockets a client is refused; over TCP it hears nothing, asks again a second later, and is refused then.
    Elsewhere than on Linux nothing happens.
    """
    listening = getattr(port, "socket", None)
    if not isinstance(listening, socket.socket) or not sys.platform.startswith("linux"):
        return
    with suppress(OSError):
        if listening.family == socket.AF_UNIX:
            listening.shutdown(socket.SHUT_RD)
        else:
            _drop_syns(listening)


def _drop_syns(listening: socket.socket) -> None:
    program = b"".join(struct.pack("@HBBI", *step) for step in SYN_ALONE)
    kept = ctypes.create_string_buffer(program, len(program))
    pointer = struct.pack("@HP", len(SYN_ALONE), ctypes.addressof(kept))
    listening.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)


def accept_waiting(port: Any, connections: OpenConnections, backlog: int) -> None:
    """Accept what the kernel has accepted already."""
    if not (hasattr(port, "factory") and hasattr(port, "doRead")):
        return
    for _ in range(backlog):
        before = len(connections)
        if getattr(port, "connected", True):
            type(port).doRead(port)  # whether or not there is a slot for it
        if len(connections) == before:
            return
