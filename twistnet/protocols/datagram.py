"""A datagram protocol that answers each datagram with one.

The rule of this module: one datagram in, at most one out, to where it came from; an empty one is answered with an
empty one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from ..addresses import show_address
from ..errors import RemoteProtocolError
from ..wire.transforms import Transform

__all__ = ["TransformDatagramProtocol"]

_log = Logger("twistnet")


class TransformDatagramProtocol(DatagramProtocol):
    """Answers each datagram with its transform.

    Works on every datagram transport: UDP, UDP over IPv6, UNIX. A reply that cannot be sent is a debug line.

    Args:
        make: Makes a transform; each datagram has a fresh one.
    """

    noisy = False
    transport: Any

    def __init__(self, make: Callable[[], Transform]) -> None:
        self._make = make

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if not addr:
            return  # an unbound UNIX socket: there is nowhere to send an answer to
        transform = self._make()
        try:
            answer = transform.feed(datagram) + transform.finish()
            self.transport.write(answer, addr)
        except (RemoteProtocolError, OSError, MessageLengthError, InvalidAddressError) as error:
            _log.debug("no answer to {peer}: {error}", peer=show_address(addr), error=error)
