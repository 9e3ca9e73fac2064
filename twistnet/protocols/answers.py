"""What requests are answered with, whatever carries them.

The rule of this module: every message has one reply, and no exception passes. What a handler fails with is written into the
log, once, and not told to the peer, unless it is a `MessageError`; that it was cancelled is no failure of its own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import BadMessage, LocalProtocolError, MessageError
from ..wire.messages import (
    DEEPEST,
    MAX_DEPTH,
    MAX_MESSAGE,
    SHORTEST,
    MessageId,
    decode_request,
    encode_error,
    encode_reply,
)

__all__ = ["Answers", "Handler"]

Handler: TypeAlias = Callable[[Any], Any]
"""Takes the value of a request. Returns the value of the reply, or an awaitable of it: a coroutine or a Deferred."""

_log = Logger("twistnet")


class Answers:
    """Answers requests with a handler.

    Args:
        handler: What makes values of values. A `MessageError` that it raises is what the peer is told; anything else that
            it raises is `failed` to the peer, and one entry in the log.
        clock: Measures `timeout`.
        max_message: Octets that a reply may have, from 4,096; a longer one becomes the error `too-large`.
        max_depth: How deep a request may be nested, from 1 to 250.
        timeout: Seconds after which a handler that is not done is cancelled; `None` for no limit.

    Raises:
        ValueError: A limit out of range, or a timeout without a clock.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        clock: IReactorTime | None = None,
        max_message: int = MAX_MESSAGE,
        max_depth: int = MAX_DEPTH,
        timeout: float | None = None,
    ) -> None:
        if max_message < SHORTEST:
            raise ValueError(f"max_message {max_message} is below {SHORTEST}")
        if not 1 <= max_depth <= DEEPEST:
            raise ValueError(f"max_depth {max_depth} is not from 1 to {DEEPEST}")
        if timeout is not None and clock is None:
            raise ValueError("a timeout needs a clock: pass the reactor")
        self._handler = handler
        self._clock: Any = clock
        self._max_message = max_message
        self._max_depth = max_depth
        self._timeout = timeout

    def answer(self, text: bytes) -> bytes | Deferred[bytes]:
        """The reply to a message, or a Deferred of it, which fails only if it is cancelled, as the handler then is."""
        try:
            request, value = decode_request(text, self._max_depth)
        except BadMessage as error:
            return encode_error(error.request, error.code, str(error))
        try:
            result = self._handler(value)
            if not hasattr(result, "__await__"):
                return self._reply(request, result)
        except Exception:
            return self._failed(request, Failure())
        return self._later(request, result)

    def _later(self, request: MessageId, result: Awaitable[Any]) -> Deferred[bytes]:
        waiting = result if isinstance(result, Deferred) else Deferred.fromCoroutine(_of(result))
        if self._timeout is not None:
            waiting.addTimeout(self._timeout, self._clock, _took_too_long)
        return waiting.addCallback(lambda value: self._reply(request, value)).addErrback(
            lambda failure: self._failed(request, failure)
        )

    def _reply(self, request: MessageId, value: Any) -> bytes:
        return self._limited(request, encode_reply(request, value))

    def _limited(self, request: MessageId, reply: bytes) -> bytes:
        if len(reply) <= self._max_message:
            return reply
        problem = f"the reply has {len(reply)} octets, which is more than {self._max_message}"
        return encode_error(request, "too-large", problem)

    def _failed(self, request: MessageId, failure: Failure) -> bytes:
        """The error that a failure is to the peer."""
        error = failure.value
        if isinstance(error, MessageError):
            try:
                return self._limited(request, encode_error(request, str(error.code), str(error.message)))
            except LocalProtocolError:
                failure = Failure()
        if not isinstance(error, CancelledError):
            _log.failure("the handler of messages failed", failure)
        return encode_error(request, "failed", "the handler failed")


async def _of(result: Awaitable[Any]) -> Any:
    return await result


def _took_too_long(_: object, timeout: float) -> None:
    raise MessageError("timeout", f"the handler took longer than {timeout:g} s")
