"""Scripts of what both ends of a connection do, played over any transports.

The rule of this module: a script is plain data, and what an end writes is a piece of one endless sequence; so whatever
arrives can be told to be what was written, and two plays of a script can be compared. An end does only what it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen
from twisted.internet.interfaces import IHalfCloseableProtocol, IPullProducer, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer

__all__ = ["OPERATIONS", "SIZES", "WHENS", "End", "Play", "Producer", "Refused", "Script", "Step", "sequence"]

SIZES = (0, 1, 100, 70_000, 500_000)
"""Of what is written: nothing, little, more than a transport buffers, more than any kernel takes."""

PERIOD = bytes((number * number // 7 + number) % 251 for number in range(65_521))
"""What an end writes, over and over."""

OPERATIONS = {
    "write": SIZES,
    "sequence": SIZES,
    "pause": (None,),
    "resume": (None,),
    "push": (1, 30_000, 200_000),
    "pull": (1, 30_000, 200_000),
    "unregister": (None,),
    "lose": (None,),
    "half": (None,),
    "abort": (None,),
    "buffer": (1_000, 65_536, 300_000),
    "raise": (None,),
    "replace": (None,),
    "tell": (1, 70_000),
    "stop": (None,),
    "tls": (None,),
}
"""What an end can do, and with what."""

WHENS = ("now", "timer", "delivery", "timer of delivery", "half", "loss")
"""When an end can do something; all but the first two wait until it is told something."""


class Refused(Exception):
    """What a protocol raises when its script says so."""


def sequence(start: int, octets: int) -> bytes:
    """A piece of what an end writes."""
    offset = start % len(PERIOD)
    return (PERIOD * ((offset + octets) // len(PERIOD) + 1))[offset : offset + octets]


@frozen
class Step:
    """What one end does at a time.

    Attributes:
        end: 0 for the server, 1 for the client.
        when: One of `WHENS`.
        operations: Names of `OPERATIONS`, and with what.
    """

    end: int
    when: str
    operations: tuple[tuple[str, Any], ...]


@frozen
class Script:
    """A play.

    Attributes:
        halves: Whether each end can live on with half a connection.
        made: What each does when it is connected.
        steps: What happens then.
    """

    halves: tuple[bool, bool]
    made: tuple[tuple[tuple[str, Any], ...], tuple[tuple[str, Any], ...]]
    steps: tuple[Step, ...]

    def names(self, end: int | None = None) -> set[str]:
        """The operations in it, or those of one end."""
        steps = [step for step in self.steps if end in (None, step.end)]
        made = self.made if end is None else self.made[end : end + 1]
        return {name for done in (*made, *(step.operations for step in steps)) for name, _ in done}


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Has five pieces, of which it writes one, or as many as it may, each time it is to go on."""

    def __init__(self, end: End, size: int, streaming: bool) -> None:
        self._end, self._size, self._streaming = end, size, streaming
        self._left, self._paused = 5, False

    def resumeProducing(self) -> None:
        """Write."""
        self._end.produced.append("resumed")
        self._paused = False
        while self._left and not self._paused:
            self._left -= 1
            self._end.write(self._size)
            if not self._streaming:
                break
        if not self._left and self._end.producer is self:
            self._end.do("unregister", None)

    def pauseProducing(self) -> None:
        """Write no more for now."""
        transport = self._end.transport
        unsent = len(transport.dataBuffer) + transport._tempDataLen + getattr(transport, "held_back", 0)
        early = unsent <= transport.bufferSize and not transport.TLS
        self._end.produced.append("paused too early" if early else "paused")
        self._paused = True

    def stopProducing(self) -> None:
        """Write no more."""
        self._end.produced.append("stopped")
        self._left = 0


class End(Protocol):
    """One end of the connection.

    Attributes:
        told: What happened to it, octets counted together.
        received: What it received.
        written: Octets that it has written, sent or not.
        produced: What its producers were told.
        after_abort: Octets received once it has aborted the connection; TLS goes on with what it has read.
    """

    transport: Any

    def __init__(self, play: Play, number: int) -> None:
        self.play, self.number = play, number
        self.told: list[Any] = []
        self.received = bytearray()
        self.written = self.after_abort = 0
        self.produced: list[str] = []
        self.producer: Producer | None = None
        self.waiting: dict[str, list[tuple[tuple[str, Any], ...]]] = {when: [] for when in WHENS}
        if play.script.halves[number]:
            directlyProvides(self, IHalfCloseableProtocol)

    def tell(self, event: Any) -> None:
        """Write down what happened."""
        self.play.events += 1
        self.told.append(event)

    def connectionMade(self) -> None:
        """Do what the script says of it."""
        self.tell("made")
        self.play.ends[self.number] = self
        self.perform(self.play.script.made[self.number])

    def dataReceived(self, data: bytes) -> None:
        """Do what the script says of the next delivery."""
        self.play.events += 1
        self.received += data
        if self.transport._aborting and not self.transport.TLS:
            self.after_abort += len(data)
        if self.told and isinstance(self.told[-1], int):
            self.told[-1] += len(data)
        else:
            self.told.append(len(data))
        if self.waiting["timer of delivery"]:
            self.play.reactors[self.number].callLater(
                0, self.perform, self.waiting["timer of delivery"].pop(0)
            )
        self._perform_waiting("delivery")

    def readConnectionLost(self) -> None:
        """Do what the script says of it."""
        self.tell("read lost")
        self._perform_waiting("half")

    def writeConnectionLost(self) -> None:
        """Do what the script says of it."""
        self.tell("write lost")
        self._perform_waiting("half")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Do what the script says of it."""
        self.tell(reason.type.__name__)  # type: ignore[union-attr]
        self._perform_waiting("loss")

    def forget_script(self) -> None:
        """Wait to be told nothing any more."""
        self.waiting.update({when: [] for when in WHENS})

    def _perform_waiting(self, when: str) -> None:
        if self.waiting[when]:
            self.perform(self.waiting[when].pop(0))

    def perform(self, operations: tuple[tuple[str, Any], ...]) -> None:
        """Do one thing after the other."""
        for name, value in operations:
            self.do(name, value)

    def write(self, octets: int, pieces: int = 1) -> None:
        """Write the next octets."""
        self.written, start = self.written + octets, self.written
        data = sequence(start, octets)
        if pieces == 1:
            self.transport.write(data)
        else:
            cut = octets // 3
            self.transport.writeSequence([data[:cut], b"", data[cut:]])

    def do(self, name: str, value: Any) -> None:
        """Do one thing; what Twisted's own TLS cannot do once the connection is lost is left out."""
        transport = self.transport
        if transport.connected or not transport.TLS or name not in ("push", "pull", "unregister", "stop"):
            getattr(self, f"_do_{name}")(transport, value)

    def _do_write(self, transport: Any, octets: int) -> None:
        self.write(octets)

    def _do_sequence(self, transport: Any, octets: int) -> None:
        self.write(octets, 2)

    def _do_pause(self, transport: Any, _: None) -> None:
        transport.pauseProducing()

    def _do_resume(self, transport: Any, _: None) -> None:
        transport.resumeProducing()

    def _do_push(self, transport: Any, size: int) -> None:
        self._register(Producer(self, size, True), True)

    def _do_pull(self, transport: Any, size: int) -> None:
        self._register(Producer(self, size, False), False)

    def _do_unregister(self, transport: Any, _: None) -> None:
        self.producer = None
        transport.unregisterProducer()

    def _do_lose(self, transport: Any, _: None) -> None:
        transport.loseConnection()

    def _do_half(self, transport: Any, _: None) -> None:
        if transport.connected:
            transport.loseWriteConnection()

    def _do_abort(self, transport: Any, _: None) -> None:
        transport.abortConnection()

    def _do_buffer(self, transport: Any, octets: int) -> None:
        transport.bufferSize = octets

    def _do_raise(self, transport: Any, _: None) -> None:
        raise Refused

    def _do_tell(self, transport: Any, octets: int) -> None:
        other = self.play.ends[1 - self.number]
        if other is not None:
            other.write(octets)

    def _do_stop(self, transport: Any, _: None) -> None:
        transport.stopConsuming()

    def _do_tls(self, transport: Any, _: None) -> None:
        self.play.start_tls(self.play)

    def _do_replace(self, transport: Any, _: None) -> None:
        if transport.connected and transport.protocol is self:
            heir = End(self.play, self.number)
            heir.__dict__ = self.__dict__  # all that it knows, from now on too
            if IHalfCloseableProtocol.providedBy(self):
                directlyProvides(heir, IHalfCloseableProtocol)
            heir.tell("replaced")
            transport.protocol = self.play.ends[self.number] = heir

    def _register(self, producer: Producer, streaming: bool) -> None:
        if self.producer is None and self.transport.producer is None:
            self.producer = producer
            self.transport.registerProducer(producer, streaming)
            if streaming and not self.transport.disconnected:
                producer.resumeProducing()


@define(eq=False)
class Play:
    """A script as it is played.

    Attributes:
        script: What is played.
        reactors: That of each end.
        settle: Lets everything come to rest.
        start_tls: Begins TLS at both ends, if it can be.
        events: How many things have happened.
    """

    script: Script
    reactors: tuple[Any, Any]
    settle: Callable[[], object]
    start_tls: Callable[[Play], object] = lambda play: None
    ends: list[End | None] = field(factory=lambda: [None, None])
    events: int = 0

    def run(self) -> None:
        """Play it to the end."""
        self.settle()
        for step in self.script.steps:
            end = self.ends[step.end]
            assert end is not None
            self._take(end, step)
            self.settle()
            end.forget_script()  # it was not told what it waited for
        self.settle()
        for end in self.ends:  # whoever has paused hears the rest
            assert end is not None
            end.do("resume", None)
        self.settle()

    def _take(self, end: End, step: Step) -> None:
        reactor = self.reactors[step.end]
        if step.when == "now":
            if "raise" not in dict(step.operations):
                end.perform(step.operations)
        elif step.when == "timer":
            if "raise" not in dict(step.operations):
                reactor.callLater(0, end.perform, step.operations)
        else:
            end.waiting[step.when].append(step.operations)
            if "delivery" in step.when:
                end.do("tell", 1)

    def until_delivered(self, until: Callable[..., object], is_delivered: Callable[[], bool]) -> None:
        """Wait until everything was received, by whoever has paused too."""

        def is_all() -> bool:
            for end in self.ends:
                assert end is not None
                end.do("resume", None)
            return is_delivered()

        until(is_all)
