"""A stream protocol that answers bytes with bytes.

The rule of this module: what a peer has not read yet is never more than Twisted's write buffer and one read, because
nothing is read from a peer that does not read its answers; and what was received before the peer finished sending is
answered in full before the connection is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from zope.interface import implementer

from ..addresses import show_address
from ..errors import RemoteProtocolError
from ..wire.transforms import Transform, Undecodable

__all__ = ["StreamFactory", "StreamProtocol"]

_log = Logger("twistnet")


@implementer(IHalfCloseableProtocol)
class StreamProtocol(Protocol):
    """Answers each piece of a stream with its transform, for as long as the peer sends.

    Args:
        transform: What is done to the bytes; one for each connection.
    """

    transport: Any

    def __init__(self, transform: Transform) -> None:
        self._transform = transform
        self._closed = False

    def connectionMade(self) -> None:
        """Reading pauses while the peer does not read: the transport is the producer of its own output."""
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        if not self._closed:  # TLS may deliver what it had already deciphered
            self._answer(self._transform.feed, data)

    def readConnectionLost(self) -> None:
        """The peer has sent all that it will: send the rest of the answer, then close."""
        if self._answer(self._transform.finish):
            self._close()

    def writeConnectionLost(self) -> None:
        """The peer can take no more: there is nothing left to do for it."""
        self._close()

    def _answer(self, transform: Callable[..., bytes], *data: bytes) -> bool:
        """Send what the transform makes of the data; `False` if the peer broke the rules, and is being closed."""
        try:
            self._send(transform(*data))
        except RemoteProtocolError as error:
            _log.info("closing {peer}: {error}", peer=show_address(self.transport.getPeer()), error=error)
            self._send(error.answer if isinstance(error, Undecodable) else b"")
            self._close()
            return False
        return True

    def _send(self, answer: bytes) -> None:
        self.transport.write(answer)

    def _close(self) -> None:
        """Close once everything has been sent; a producer would hold the close up."""
        if not self._closed:
            self._closed = True
            self.transport.unregisterProducer()
            self.transport.loseConnection()


class StreamFactory(Factory):
    """Builds one protocol a connection.

    Args:
        build: Makes the protocol.
    """

    noisy = False

    def __init__(self, build: Callable[[], Protocol]) -> None:
        self._build = build

    def buildProtocol(self, addr: Any) -> Protocol:
        protocol = self._build()
        protocol.factory = self
        return protocol
