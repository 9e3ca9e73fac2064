"""Requests answered over a stream or in datagrams.

The rule of this module: replies go out as they are ready, in whatever order, and what one peer can have under way is
bounded. While it is all under way, and while the peer does not read its replies, nothing is read from it.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import DatagramProtocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..addresses import show_address
from ..errors import BadMessage, RemoteProtocolError
from ..units import LONGEST_DATAGRAM
from ..wire.messages import (
    MAX_DEPTH,
    MAX_MESSAGE,
    decode_reply,
    decode_request,
    encode_error,
    make_framer,
)
from .answers import Answers, Handler
from .framed import FramedProtocol
from .stream import StreamFactory

__all__ = ["IN_FLIGHT", "MessageDatagramProtocol", "MessageFactory", "MessageProtocol"]

IN_FLIGHT = 100
"""Requests of one connection that may be under way at once, unless something else is said."""

HELD = 65536
"""Octets of replies that are held back to be written at once, at most."""

_log = Logger("twistnet")


class MessageProtocol(FramedProtocol):
    """Answers requests, each a frame.

    Requests whose handler takes time are under way together, `in_flight` of them, and no more than one longer than
    `max_message` octets in all; the others wait unread. When the peer has finished sending, they are answered before the connection is closed; when the
    connection is lost, they are cancelled.

    Args:
        handler: See `twistnet.protocols.answers.Handler`.
        framing: `"lines"`, `"length"` (of four octets, before each message) or `"netstring"`.
        clock: The reactor; see `FramedProtocol`. Needed for a `timeout`.
        max_message: Octets that a message may have, from 4,096. A longer one cannot be skipped: it is answered with the
            error `bad-frame`, and the connection is closed.
        max_depth: How deep a message may be nested, from 1 to 250.
        in_flight: Requests that may be under way at once.
        timeout: Seconds after which a handler that is not done is cancelled; `None` for no limit.

    Raises:
        ValueError: A framing that there is not, a limit out of range, or a timeout without a clock.
    """

    def __init__(
        self,
        handler: Handler,
        framing: str = "lines",
        clock: IReactorTime | None = None,
        *,
        max_message: int = MAX_MESSAGE,
        max_depth: int = MAX_DEPTH,
        in_flight: int = IN_FLIGHT,
        timeout: float | None = None,
    ) -> None:
        super().__init__(make_framer(framing, max_message), clock)
        if in_flight < 1:
            raise ValueError(f"in_flight {in_flight} is below 1")
        answers = Answers(handler, clock=clock, max_message=max_message, max_depth=max_depth, timeout=timeout)
        self._answer = answers.answer
        self._limits = in_flight, max_message
        self._under_way: dict[Deferred[bytes], int] = {}
        self._octets = 0  # of the requests that are under way
        self._full = False
        self._last = False  # whether nothing comes after what is under way
        self._held: list[bytes] = []
        self._held_octets = 0

    def frameReceived(self, frame: bytes) -> None:
        """Answer a request, now or once its handler is done."""
        reply = self._answer(frame)
        if isinstance(reply, bytes):
            self._send(reply)
        else:
            self._await(reply, len(frame))

    def endReceived(self) -> None:
        """Close, once all is answered."""
        self._finish()

    def framingFailed(self, error: RemoteProtocolError) -> None:
        """Say so, and close once all that came before it is answered."""
        _log.info("closing {peer}: {error}", peer=show_address(self.transport.getPeer()), error=error)
        self._send(encode_error(None, "bad-frame", str(error)))
        self._finish()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        under_way, self._under_way = self._under_way, {}
        for reply in under_way:
            reply.cancel()

    def _deliver(self) -> None:
        """Have all replies to what is delivered at once written at once."""
        super()._deliver()
        if not self._delivering:
            self._write_held()

    def _send(self, reply: bytes) -> None:
        framed = self._framer.encode(reply)
        self._held.append(framed)
        self._held_octets += len(framed)
        if not self._delivering or self._held_octets > HELD:
            self._write_held()

    def _write_held(self) -> None:
        if self._held:
            held, self._held, self._held_octets = b"".join(self._held), [], 0
            self.transport.write(held)

    def _await(self, reply: Deferred[bytes], octets: int) -> None:
        self._under_way[reply] = octets
        self._octets += octets
        self._full = self._is_full()
        if self._full:
            self.pauseProducing()
        reply.addCallback(self._done, reply)

    def _done(self, text: bytes, reply: Deferred[bytes]) -> None:
        if reply not in self._under_way:
            return  # the connection is lost
        self._octets -= self._under_way.pop(reply)
        self._send(text)
        if self._last:
            self._finish()
        elif self._full and not self._is_full():
            self._full = False
            self.resumeProducing()

    def _is_full(self) -> bool:
        requests, octets = self._limits
        return len(self._under_way) >= requests or self._octets >= octets

    def _finish(self) -> None:
        self._last = True
        if not self._under_way:
            self._write_held()
            self.close()


class MessageFactory(StreamFactory):
    """Builds `MessageProtocol`; the arguments are the same."""

    def __init__(
        self,
        handler: Handler,
        framing: str = "lines",
        clock: IReactorTime | None = None,
        *,
        max_message: int = MAX_MESSAGE,
        max_depth: int = MAX_DEPTH,
        in_flight: int = IN_FLIGHT,
        timeout: float | None = None,
    ) -> None:
        def build() -> MessageProtocol:
            return MessageProtocol(
                handler, framing, clock,
                max_message=max_message, max_depth=max_depth, in_flight=in_flight, timeout=timeout,
            )  # fmt: skip

        build()  # so that a wrong argument is an error now and not at a connection
        super().__init__(build)


class MessageDatagramProtocol(DatagramProtocol):
    """Answers requests, each a datagram. In the open it wants a guard: `twistnet.GuardedDatagramProtocol`.

    While as many are under way as may be, the answer is the error `busy`. An error is not answered, lest two services tell
    each other for ever that they did not understand.

    Args:
        handler: See `twistnet.protocols.answers.Handler`.
        clock: The reactor; needed for a `timeout`.
        max_message: Octets that a reply may have, from 4,096; no more than a datagram has in any case.
        max_depth: How deep a message may be nested, from 1 to 250.
        in_flight: Requests that may be under way at once, of all peers together.
        timeout: Seconds after which a handler that is not done is cancelled; `None` for no limit.

    Raises:
        ValueError: A limit out of range, or a timeout without a clock.
    """

    noisy = False
    transport: Any

    def __init__(
        self,
        handler: Handler,
        clock: IReactorTime | None = None,
        *,
        max_message: int = LONGEST_DATAGRAM,
        max_depth: int = MAX_DEPTH,
        in_flight: int = IN_FLIGHT,
        timeout: float | None = None,
    ) -> None:
        if in_flight < 1:
            raise ValueError(f"in_flight {in_flight} is below 1")
        limit = min(max_message, LONGEST_DATAGRAM)
        self._answers = Answers(handler, clock=clock, max_message=limit, max_depth=max_depth, timeout=timeout)
        self._max_depth = max_depth
        self._in_flight = in_flight
        self._under_way: set[Deferred[bytes]] = set()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Answer a request, now or once its handler is done."""
        if not addr or self._is_error(datagram):
            return
        reply = (
            self._busy(datagram)
            if len(self._under_way) >= self._in_flight
            else self._answers.answer(datagram)
        )
        if isinstance(reply, bytes):
            self._send(reply, addr)
        else:
            self._under_way.add(reply)
            reply.addCallback(self._done, reply, addr)

    def stopProtocol(self) -> None:
        """Cancel what is under way."""
        under_way, self._under_way = self._under_way, set()
        for reply in under_way:
            reply.cancel()

    def _is_error(self, datagram: bytes) -> bool:
        if b'"error"' not in datagram:
            return False
        try:
            return decode_reply(datagram, self._max_depth).error is not None
        except BadMessage:
            return False

    def _busy(self, datagram: bytes) -> bytes:
        try:
            request, _ = decode_request(datagram, self._max_depth)
        except BadMessage as error:
            return encode_error(error.request, error.code, str(error))
        return encode_error(request, "busy", f"{self._in_flight} requests are under way already")

    def _done(self, text: bytes, reply: Deferred[bytes], addr: Any) -> None:
        if reply in self._under_way:
            self._under_way.discard(reply)
            self._send(text, addr)

    def _send(self, reply: bytes, addr: Any) -> None:
        try:
            self.transport.write(reply, addr)
        except (OSError, MessageLengthError, InvalidAddressError) as error:
            _log.debug("no answer to {peer}: {error}", peer=show_address(addr), error=error)
