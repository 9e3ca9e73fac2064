"""A stream protocol that answers bytes with bytes.

The rule of this module: what a peer has not read yet is never more than Twisted's write buffer and one read, because
nothing is read from a peer that does not read its answers; and what was received before the peer finished sending is
answered in full before the connection is closed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer, ISSLTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from zope.interface import implementer

from ..addresses import show_address
from ..errors import RemoteProtocolError
from ..tls import flush_of
from ..wire.transforms import Transform, Undecodable

__all__ = ["StreamFactory", "TransformProtocol"]

_log = Logger("twistnet")


@implementer(IHalfCloseableProtocol, IPushProducer)
class TransformProtocol(Protocol):
    """Answers each piece of a stream with its transform, for as long as the peer sends.

    It is the producer of its own output: while the peer does not read, nothing is read from the peer.

    Args:
        transform: What is done to the bytes; one for each connection.
    """

    transport: Any

    def __init__(self, transform: Transform) -> None:
        self._transform = transform
        self._finished = False
        self._flush: Callable[[], None] | None = None

    def connectionMade(self) -> None:
        self._flush = flush_of(self.transport)
        self.transport.registerProducer(self, True)

    def dataReceived(self, data: bytes) -> None:
        """Answer, unless the answer is over: what comes then is read and forgotten."""
        if not self._finished:
            self._answer(self._transform.feed, data)
            if self._flush is not None:
                self._flush()

    def readConnectionLost(self) -> None:
        """The peer has sent all that it will: send the rest of the answer, then close."""
        if not self._finished and self._answer(self._transform.finish):
            self._say_last()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """All is sent, and the peer has been told: it closes next."""

    def pauseProducing(self) -> None:
        """The peer does not read."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """The peer has read. Registering again lets go of a close that was held up by the pause."""
        self.transport.resumeProducing()
        self.transport.unregisterProducer()
        self.transport.registerProducer(self, True)

    def stopProducing(self) -> None:
        """The connection is lost."""

    def _answer(self, transform: Callable[..., bytes], *data: bytes) -> bool:
        """Send what the transform makes of the data; `False` if the peer broke the rules, and is being closed."""
        try:
            self._send(transform(*data))
        except RemoteProtocolError as error:
            _log.info("closing {peer}: {error}", peer=show_address(self.transport.getPeer()), error=error)
            self._send(error.answer if isinstance(error, Undecodable) else b"")
            self._end()
            return False
        return True

    def _send(self, answer: bytes) -> None:
        self.transport.write(answer)

    def _say_last(self) -> None:
        """Nothing more is answered; no producer holds the close up, and what still comes is read to its end."""
        self._finished = True
        self.transport.unregisterProducer()
        self.transport.resumeProducing()

    def _end(self) -> None:
        """Send the answer and say that it is over. The peer closes then.

        A connection that is closed with unread input is reset, which destroys an answer that is still under way.
        TLS says farewell itself, and has no half-close.
        """
        self._say_last()
        if ISSLTransport.providedBy(self.transport):
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()


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
