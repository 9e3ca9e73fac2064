"""What `twistnet request` asks and is answered, and in which order it says so.

The rule of this module: a line is one value, and has one reply. So many requests are under way at once and no more, the
replies that wait to be written among them; while they are, standard input is not read.
"""

from __future__ import annotations

import re
from typing import Any, Protocol

import click
from attrs import frozen
from twisted.internet import defer
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..errors import BadMessage, LocalProtocolError, RemoteError, RemoteProtocolError
from ..protocols.framed import FramedProtocol
from ..wire.framing import LineFramer
from ..wire.messages import DEEPEST, decode_message, encode_error, encode_message, encode_reply
from .outcome import BROKEN_PIPE, NetworkProblem
from .standard import Output, Producer, StandardStreams

__all__ = ["Asking", "Channel", "Conversation"]


@frozen(kw_only=True)
class Asking:
    """How to ask.

    Attributes:
        framing: How messages are told apart in a stream.
        timeout: Seconds that connecting may take, and then each reply.
        max_message: Octets that a message, and a line, may have.
        in_flight: Requests under way at once.
        unordered: Whether whole replies are written as they come, not values in the order of the lines.
    """

    framing: str
    timeout: float
    max_message: int
    in_flight: int
    unordered: bool


class Channel(Protocol):
    """What carries requests.

    Attributes:
        loses: Whether a request or a reply may be lost by itself, as a datagram is.
    """

    loses: bool

    @property
    def ended(self) -> Failure | None:
        """Why nothing can be asked any more, if so."""

    def request(self, value: Any, timeout: float | None) -> Deferred[Any]:
        """See `MessageClient.request`."""


@frozen
class _Line:
    """What is written for one line of input."""

    text: bytes
    is_error: bool


def _error(number: int, code: str, message: str) -> _Line:
    return _Line(encode_error(number, code, message), is_error=True)


class Conversation:
    """Asks what standard input says, for as long as it goes on.

    Attributes:
        done: Fires with the exit status once all is written; fails with what ended the channel.
    """

    def __init__(self, clock: Any, channel: Channel, asking: Asking) -> None:
        self.done: Deferred[int] = Deferred()
        self._channel = channel
        self._asking = asking
        self._status = 0
        self._problem: Failure | None = None
        self._unreadable: Failure | None = None
        self._under_way: dict[
            int, _Line | None
        ] = {}  # by line, the first first; what is written for it, once that is known
        self._all_asked = self._output_is_full = self._paused = self._ending = False
        self._output = Output()
        self._input = _Lines(self, asking.max_message)
        open_streams: Any = StandardStreams  # whose arguments differ between systems
        self._standard = open_streams(self._input, stdout=self._output.descriptor, reactor=clock)
        self._standard.registerProducer(Producer(self._full, self._free), True)

    def ask(self, number: int, line: bytes) -> None:
        """A line of input."""
        if self._ending or self._all_asked:
            return
        try:
            reply = self._channel.request(decode_message(line, DEEPEST), self._asking.timeout)
        except (BadMessage, LocalProtocolError) as problem:
            self.cannot_ask(number, problem)
            return
        self._under_way[number] = None
        reply.addCallbacks(self._replied, self._failed, (number,), {}, (number,))
        self._look()

    def cannot_ask(self, number: int, problem: Exception) -> None:
        """A line that is none: nothing after it is asked, and what came before it is answered."""
        click.echo(f"line {number} of the input: {problem}", err=True)
        self._status = 2
        self.all_asked()

    def all_asked(self) -> None:
        """Standard input has ended."""
        self._all_asked = True
        self._look()

    def input_failed(self, problem: NetworkProblem) -> None:
        """Standard input cannot be read any more; what came before that is answered."""
        self._unreadable = Failure(problem)
        self.all_asked()

    def output_ended(self) -> None:
        """Nobody reads standard output any more."""
        self._status = BROKEN_PIPE
        self._end()

    def standard_lost(self) -> None:
        """Standard input and output are closed, and all is written."""
        if self.done.called:
            return
        self._ending = True
        self._output.close()
        problem = self._problem or self._unreadable
        if problem is not None and self._status != BROKEN_PIPE:
            self.done.errback(problem)
        else:
            self.done.callback(self._status)

    def channel_ended(self, _: object) -> None:
        """The connection is lost, though it may be that nothing is under way."""
        if self._channel.ended is not None:
            self._give_up(self._channel.ended)

    def _replied(self, value: Any, number: int) -> None:
        text = encode_reply(number, value) if self._asking.unordered else encode_message(value)
        self._answered(number, _Line(text, is_error=False))

    def _failed(self, failure: Failure, number: int) -> None:
        """An error is a reply too; the rest is the network's doing."""
        error = failure.value
        ended = self._channel.ended
        if isinstance(error, RemoteError) and (ended is None or ended.value is not error):
            told = {"id": number, "error": {"code": error.code, "message": error.message}}
            self._answered(number, _Line(encode_message(told), is_error=True))
        elif isinstance(error, defer.TimeoutError) and self._channel.loses:
            told = {
                "id": number,
                "error": {"code": "no-reply", "message": f"none within {self._asking.timeout:g} s"},
            }
            self._answered(number, _Line(encode_message(told), is_error=True))
        else:
            self._give_up(failure)

    def _answered(self, number: int, line: _Line) -> None:
        if self._asking.unordered:
            del self._under_way[number]
            self._write(line)
        else:
            self._under_way[number] = line
            self._write_in_order()
        self._look()

    def _write_in_order(self) -> None:
        while self._under_way:
            number, line = next(iter(self._under_way.items()))
            if line is None:
                return
            del self._under_way[number]
            self._write(line)

    def _write(self, line: _Line) -> None:
        """Errors go to standard error where the values' order says whose they are, and are whole replies otherwise."""
        if line.is_error:
            self._status = self._status or 1
        text = _CONTROLS.sub(_escaped, line.text.decode()).encode() + b"\n"
        if line.is_error and not self._asking.unordered:
            click.echo(text, nl=False, err=True)
            return
        try:
            self._output.write(text, self._standard)
        except OSError as problem:
            self._give_up(Failure(NetworkProblem("FAILED", f"standard output: {problem.strerror}")))

    def _full(self) -> None:
        self._output_is_full = True
        self._look()

    def _free(self) -> None:
        self._output_is_full = False
        self._look()

    def _look(self) -> None:
        """Something has changed: end, or read on, or do not."""
        if self._ending:
            return
        if self._all_asked and not self._under_way:
            self._end()
            return
        pause = self._all_asked or self._output_is_full or len(self._under_way) >= self._asking.in_flight
        if pause != self._paused:
            self._paused = pause
            (self._input.pauseProducing if pause else self._input.resumeProducing)()

    def _give_up(self, failure: Failure) -> None:
        """What ends the channel, once: all that is under way fails with it."""
        if self._ending or self._problem is not None:
            return
        closed = failure.check(ConnectionDone) is not None
        self._problem = Failure(_Closed(len(self._under_way))) if closed else failure
        self._end()

    def _end(self) -> None:
        if self._ending:
            return
        self._ending = True
        self._standard.unregisterProducer()
        if self._status == BROKEN_PIPE:
            self.standard_lost()
        else:
            self._standard.loseConnection()  # once all is written; then comes standard_lost


_CONTROLS = re.compile("[\x7f-\x9f]")


def _escaped(match: re.Match[str]) -> str:
    """A character that drives some terminals, as JSON may write it; the others are escaped already."""
    return f"\\u{ord(match[0]):04x}"


class _Closed(Exception):
    """The peer has closed the connection, in good order but too early."""

    def __str__(self) -> str:
        return f"the peer has closed the connection; unanswered: {self.args[0]}"


@implementer(IHalfCloseableProtocol)
class _Lines(FramedProtocol):
    """Standard input by lines, and the end of standard output."""

    backpressure = False

    def __init__(self, conversation: Conversation, max_length: int) -> None:
        super().__init__(LineFramer(max_length=max_length, unterminated=True))
        self._conversation = conversation
        self._number = 0

    def frameReceived(self, frame: bytes) -> None:
        self._number += 1
        if frame.strip():
            self._conversation.ask(self._number, frame)

    def endReceived(self) -> None:
        self._conversation.all_asked()

    def input_failed(self, problem: NetworkProblem) -> None:
        """See `StandardStreams`."""
        self._conversation.input_failed(problem)

    def framingFailed(self, error: RemoteProtocolError) -> None:
        self._conversation.cannot_ask(self._number + 1, error)

    def writeConnectionLost(self) -> None:
        self._conversation.output_ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        self._conversation.standard_lost()
