"""What several tests of sockets need besides a world.

The rule of this module: it opens, names and ends sockets, and looks at nothing.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path
from typing import Any

from tests.simulation.kernel.wires import World

__all__ = [
    "GROUP",
    "JOIN",
    "LEAVE",
    "LINGER_ZERO",
    "base",
    "listening_at",
    "membership",
    "reset",
    "stream_pair",
]

LINGER_ZERO = struct.pack("ii", 1, 0)
GROUP = "239.255.88.88"
JOIN = (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP)
LEAVE = (socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP)


def reset(opened: Any) -> None:
    """Close a socket with a reset."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    opened.close()


def membership(group: str = GROUP, interface: str = "127.0.0.1") -> bytes:
    """What IP_ADD_MEMBERSHIP takes."""
    return socket.inet_aton(group) + socket.inet_aton(interface)


def listening_at(world: World, name: str = "socket", backlog: int = 5) -> Any:
    """A stream socket that listens at a path."""
    listening = world.unix()
    listening.bind(world.path(name))
    listening.listen(backlog)
    return listening


def stream_pair(world: World) -> tuple[Any, Any]:
    """The two ends of a stream whose listener is closed."""
    listening = listening_at(world)
    client = world.unix()
    client.connect(world.path())
    server = world.accept(listening)
    listening.close()
    return client, server


def base(address: Any) -> Any:
    """The last part of a path, which differs between worlds in nothing else."""
    return Path(address).name if isinstance(address, str) and address else address
