"""`twistnet talk`: a conversation of a person with one peer.

The rule of this module: what the peer says is shown at once, what the person says is sent at once or said not to have been; and
none of it is held, but for what the transport takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, MessageLengthError
from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime, ISSLTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from ..addresses import show_address
from ..endpoints.datagram_client import DatagramPeer, DatagramTarget
from ..terminal.person import Person
from .outcome import network_problems
from .speech import Speech
from .standard import Producer
from .targets import stream_target

__all__ = ["talk_in_datagrams", "talk_over_stream"]

_QUIT = "q"
_HOW_TO_END = "q or Ctrl-D ends"


async def talk_over_stream(
    reactor: Any, target: Sequence[str], person: Person, speech: Speech, timeout: float, wait: float
) -> int:
    """Talk with a stream endpoint, until the person or the peer ends it.

    Args:
        reactor: The reactor that is running.
        target: An endpoint string, or a host and a port.
        person: Who talks; started and stopped here.
        speech: What lines are in octets.
        timeout: Seconds that connecting may take.
        wait: Seconds that the peer has, once the person has ended, to say its last and close.

    Returns:
        The exit status.

    Raises:
        ValueError: The target is none.
        NetworkProblem: The network would not have it.
    """
    endpoint = stream_target(reactor, target)
    with network_problems(" ".join(target), timeout):
        peer = _StreamConversation(reactor, person, speech, wait)
        connecting = endpoint.connect(Factory.forProtocol(lambda: peer))
        await connecting.addTimeout(timeout, reactor)
        return await _held(reactor, peer, person)


async def talk_in_datagrams(
    reactor: Any,
    target: DatagramTarget,
    shown: str,
    person: Person,
    speech: Speech,
    timeout: float,
    wait: float,
) -> int:
    """Talk with a datagram socket: each line is a datagram, until the person ends it; as `talk_over_stream`.

    Raises:
        NetworkProblem: The network would not have it, or nothing listens there.
    """
    with network_problems(shown, timeout):
        peer = await Deferred.fromCoroutine(target.connect(reactor)).addTimeout(timeout, reactor)
        try:
            conversation = _DatagramConversation(reactor, person, speech, wait, peer, shown)
            return await _held(reactor, conversation, person)
        finally:
            await peer.close()


async def _held(reactor: Any, conversation: _Conversation, person: Person) -> int:
    """Hold a conversation; the terminal is the person's own again when it is over, or when the reactor stops."""
    reactor.addSystemEventTrigger("before", "shutdown", person.stop)
    person.start(conversation)
    person.prompt("> ")
    person.show(f"* talking with {conversation.name}; {_HOW_TO_END}\n")
    try:
        await conversation.over
    finally:
        person.stop()
    return 0


class _Conversation:
    """What both kinds have in common: a `twistnet.terminal.person.Listener`.

    Attributes:
        name: What the peer is called.
        over: Fires when it is over; fails with what ended it.
    """

    name = "-"

    def __init__(self, clock: IReactorTime, person: Person, speech: Speech, wait: float) -> None:
        self.over: Deferred[None] = Deferred()
        self._clock = clock
        self._person = person
        self._speech = speech
        self._wait = wait
        self._ended = False
        self._timer: IDelayedCall | None = None

    def typed(self, line: str) -> None:
        """The person has said a line."""
        if self._ended:
            return
        if line == _QUIT:
            self.input_ended()
            return
        try:
            octets = self._speech.octets(line)
        except ValueError as problem:
            self._note(f"not sent: {problem}")
        else:
            self._say(octets, empty=not line.strip())

    def typing(self, begun: bool) -> None:
        """Nobody waits for that."""

    def input_ended(self) -> None:
        """The person has nothing more to say."""
        if not self._ended:
            self._ended = True
            self._person.prompt("")
            self._end()

    def caught_up(self) -> None:
        """Only who can be kept waiting was."""

    def _hear(self, octets: bytes) -> None:
        self._person.show(self._speech.text(octets))

    def _note(self, text: str) -> None:
        self._person.show(f"* {text}\n")

    def _say(self, octets: bytes, *, empty: bool) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        raise NotImplementedError

    def _give_peer(self, seconds: float) -> None:
        self._timer = self._clock.callLater(seconds, self._is_over)

    def _is_over(self, why: Failure | None = None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self.over.called:
            return
        if why is None:
            self.over.callback(None)
        else:
            self.over.errback(why)


@implementer(IHalfCloseableProtocol)
class _StreamConversation(_Conversation, Protocol):
    """A conversation over a stream."""

    transport: Any
    _is_full = False

    def connectionMade(self) -> None:
        self.name = show_address(self.transport.getPeer())
        self.transport.registerProducer(Producer(lambda: self._full(True), lambda: self._full(False)), True)

    def dataReceived(self, data: bytes) -> None:
        self._hear(data)
        if self._person.is_full:
            self.transport.pauseProducing()

    def caught_up(self) -> None:
        """All that was shown has been taken: read on."""
        if self.transport.connected:
            self.transport.resumeProducing()

    def readConnectionLost(self) -> None:
        """The peer has said all that it will."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """All that the person said is sent."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if rest := self._speech.rest():
            self._person.show(f"{rest}\n")
        if not self._ended and reason.check(ConnectionDone):
            self._note("the peer has ended it")
        self._is_over(None if reason.check(ConnectionDone) else reason)

    def _say(self, octets: bytes, *, empty: bool) -> None:
        if self._is_full:
            self._note("not sent: the peer does not read")
            return
        self.transport.write(octets)
        if empty:
            what = "the end of a line was sent" if octets else "nothing was sent"
            self._note(f"a stream has no empty messages: {what}")

    def _full(self, full: bool) -> None:
        self._is_full = full

    def _end(self) -> None:
        """Say so to the peer, and hear it out; TLS says it with its own farewell, which the peer answers."""
        self.transport.unregisterProducer()
        if ISSLTransport.providedBy(self.transport):
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()
        self._give_peer(self._wait)

    def _is_over(self, why: Failure | None = None) -> None:
        """It is over; if the peer has not closed in time, that is no fault of anybody's."""
        super()._is_over(why)
        if self.transport.connected:
            self.transport.abortConnection()


class _DatagramConversation(_Conversation):
    """A conversation in datagrams."""

    def __init__(
        self,
        clock: IReactorTime,
        person: Person,
        speech: Speech,
        wait: float,
        peer: DatagramPeer,
        name: str,
    ) -> None:
        super().__init__(clock, person, speech, wait)
        self._peer = peer
        self.name = name
        peer.received = self._hear
        peer.refused = self._refused

    def _refused(self) -> None:
        self._is_over(Failure(error.ConnectionRefusedError("nothing listens there")))

    def _say(self, octets: bytes, *, empty: bool) -> None:
        try:
            self._peer.send(octets)
        except MessageLengthError:
            self._note(f"not sent: {len(octets)} octets are too long for a datagram")
        except error.ConnectionRefusedError as problem:
            self._is_over(Failure(problem))
        except OSError as problem:
            self._note(f"not sent: {problem.strerror or problem}")

    def _end(self) -> None:
        self._give_peer(self._wait)
