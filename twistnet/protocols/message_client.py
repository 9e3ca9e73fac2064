"""The asking side of messages: requests go out at once, and each reply finds the request that it is for.

The rule of this module: every request ends, once: with its value, an error of the peer's, a timeout, or the end of the
connection. A reply that nobody waits for any more is forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.error import NotConnectingError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..addresses import show_address
from ..errors import BadMessage, RemoteError, RemoteProtocolError
from ..wire.messages import (
    MAX_DEPTH,
    MAX_MESSAGE,
    MessageId,
    decode_reply,
    encode_reply,
    make_framer,
)
from .framed import FramedProtocol

__all__ = ["MessageClient", "Outstanding"]

_log = Logger("twistnet")


class Outstanding:
    """Requests that have no reply yet; over datagrams as over streams.

    Args:
        encode: What carries a text; may raise `LocalProtocolError`.
        clock: Measures timeouts.
        max_depth: How deep a reply may be nested.
    """

    def __init__(
        self, encode: Callable[[bytes], bytes], clock: IReactorTime | None, max_depth: int = MAX_DEPTH
    ) -> None:
        self._encode = encode
        self._clock = clock
        self._max_depth = max_depth
        self._waiting: dict[MessageId, Deferred[Any]] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, value: Any, timeout: float | None) -> tuple[bytes, Deferred[Any]]:
        """What is to be sent, and what fires with the value of the reply. Cancelling that forgets the request.

        Raises:
            LocalProtocolError: JSON cannot say the value, or nothing can carry it.
            ValueError: A timeout without a clock.
        """
        if timeout is not None and self._clock is None:
            raise ValueError("a timeout needs a clock: pass the reactor")
        request = self._last + 1
        octets = self._encode(encode_reply(request, value))
        self._last = request

        def forget(_: Deferred[Any]) -> None:
            self._waiting.pop(request, None)

        waiting = self._waiting[request] = Deferred(forget)
        if timeout is not None:
            assert self._clock is not None
            waiting.addTimeout(timeout, self._clock)
        return octets, waiting

    def reply(self, text: bytes) -> None:
        """Fire what waits for a reply.

        Raises:
            BadMessage: It is none.
            RemoteError: It is an error that names no request.
        """
        reply = decode_reply(text, self._max_depth)
        if reply.id is None:
            assert reply.error is not None
            raise reply.error
        waiting = self._waiting.pop(reply.id, None)
        if waiting is None:
            return
        if reply.error is not None:
            waiting.errback(reply.error)
        else:
            waiting.callback(reply.value)

    def fail(self, reason: Failure) -> None:
        """Have all requests fail."""
        waiting, self._waiting = self._waiting, {}
        for one in waiting.values():
            one.errback(reason)


class MessageClient(FramedProtocol):
    """Asks a peer that answers messages.

    Its replies are read whether or not the peer reads requests, so that neither waits for the other; who sends without end
    looks at how many are `outstanding`. `close` it when all is answered: replies that come later are forgotten.

    Args:
        framing: `"lines"`, `"length"` (of four octets, before each message) or `"netstring"`.
        clock: The reactor; needed for a `timeout`.
        max_message: Octets that a message may have.
        max_depth: How deep a reply may be nested, from 1 to 250.

    Raises:
        ValueError: There is no such framing.
    """

    backpressure = False

    def __init__(
        self,
        framing: str = "lines",
        clock: IReactorTime | None = None,
        *,
        max_message: int = MAX_MESSAGE,
        max_depth: int = MAX_DEPTH,
    ) -> None:
        super().__init__(make_framer(framing, max_message), clock)
        self._requests = Outstanding(self._framer.encode, clock, max_depth)
        self._ended: Failure | None = None

    @property
    def outstanding(self) -> int:
        """How many requests have no reply yet."""
        return len(self._requests)

    @property
    def ended(self) -> Failure | None:
        """Why nothing can be asked any more; `None` while it can."""
        return self._ended

    def request(self, value: Any, timeout: float | None = None) -> Deferred[Any]:
        """Ask, whether or not what was asked before is answered yet.

        Args:
            value: What to ask; see `twistnet.wire.messages.encode_message`.
            timeout: Seconds that the reply may take; `None` for as long as the connection lasts.

        Returns:
            A Deferred of the value of the reply. It fails with `RemoteError`, which has the peer's `code` and `message`;
            with `twisted.internet.defer.TimeoutError`; or, as all that are outstanding do, with the reason for which the
            connection was lost, `RemoteProtocolError` if what the peer said was none of the protocol, or `RemoteError` if
            it was an error that names no request. Cancelling it forgets the reply; the peer goes on.

        Raises:
            LocalProtocolError: JSON cannot say the value, or it is longer than `max_message`.
            ValueError: A timeout without a clock.
        """
        if self._ended is not None:
            return fail(self._ended)
        if self.transport is None:
            return fail(NotConnectingError("there is no connection yet"))
        octets, reply = self._requests.add(value, timeout)
        self.transport.write(octets)
        return reply

    def frameReceived(self, frame: bytes) -> None:
        """A reply, or what ends the connection."""
        try:
            self._requests.reply(frame)
        except (BadMessage, RemoteError) as error:
            self._end(error)

    def framingFailed(self, error: RemoteProtocolError) -> None:
        self._end(error)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._ended = self._ended or reason
        self._requests.fail(self._ended)

    def _end(self, error: BadMessage | RemoteError | RemoteProtocolError) -> None:
        """Nothing that comes can be trusted to answer anything any more."""
        _log.info("closing {peer}: {error}", peer=show_address(self.transport.getPeer()), error=error)
        self._ended = Failure(error)
        self.close()
        self._requests.fail(self._ended)
