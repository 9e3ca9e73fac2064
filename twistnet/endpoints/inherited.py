"""Sockets that systemd opened and passed on (sd_listen_fds(3)): whether one is of the kind that it is used as."""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.endpoints import AdoptedStreamServerEndpoint

__all__ = ["check_adopted", "check_kind"]

_KINDS = {
    socket.SOCK_STREAM: "is for streams (systemd: is for those)",
    socket.SOCK_DGRAM: "is for datagrams (systemd-datagram: is for those)",
}


def check_kind(descriptor: int, kind: socket.SocketKind) -> None:
    """Refuse a descriptor of another kind, with which a reactor could do nothing but fail, again and again.

    Raises:
        ValueError: It is not such a socket.
    """
    try:
        with socket.socket(fileno=os.dup(descriptor)) as passed:
            found = passed.type
    except OSError:
        raise ValueError("what systemd passed is no socket") from None
    if found != kind:
        raise ValueError(f"the socket that systemd passed {_KINDS.get(found, 'is of another kind')}")


def check_adopted(endpoint: Any) -> None:
    """The same of a server endpoint of Twisted's, where it is one for a stream that was passed on; any other is fine."""
    if isinstance(endpoint, AdoptedStreamServerEndpoint):
        check_kind(endpoint.fileno, socket.SOCK_STREAM)
