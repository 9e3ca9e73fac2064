"""twisted.protocols.amp, unmodified: both ways at once, one octet at a time, through a partition."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.protocols import amp

from twistnet.simulation import Host, LinkConfig, Network, OneByte, Partition, RandomSizes

ROUGH = LinkConfig(latency=0.02, jitter=0.005, loss=0.02, slicing=RandomSizes(1, 1460))
BY_OCTETS = LinkConfig(latency=0.02, jitter=0.005, loss=0.005, slicing=OneByte())


class Refused(Exception):
    """An answer of `Divide`."""


class Divide(amp.Command):
    arguments: ClassVar = [(b"dividend", amp.Integer()), (b"divisor", amp.Integer())]
    response: ClassVar = [(b"quotient", amp.Float())]
    errors: ClassVar = {ZeroDivisionError: b"ZERO_DIVISION", Refused: b"REFUSED"}


class Greet(amp.Command):
    arguments: ClassVar = [(b"names", amp.ListOf(amp.Unicode())), (b"title", amp.Unicode(optional=True))]
    response: ClassVar = [(b"greeting", amp.Unicode())]


class Turn(amp.Command):
    arguments: ClassVar = [(b"octets", amp.String())]
    response: ClassVar = [(b"octets", amp.String())]


class Wait(amp.Command):
    arguments: ClassVar = [(b"seconds", amp.Float())]
    response: ClassVar = []


class Break(amp.Command):
    """Fails in a way that nobody has thought of."""


class Peer(amp.AMP):
    """Either end: asks and answers."""

    transport: Any

    def __init__(self, reactor: Host) -> None:
        super().__init__()
        self.reactor = reactor
        self.finished: list[float] = []

    @Divide.responder
    def divide(self, dividend: int, divisor: int) -> Any:
        if dividend < 0:
            raise Refused("only what is positive")
        return {"quotient": dividend / divisor}

    @Greet.responder
    def greet(self, names: list[str], title: str | None) -> Any:
        return {"greeting": f"{title or 'Dear'} {' & '.join(names)}"}

    @Turn.responder
    def turn(self, octets: bytes) -> Any:
        return {"octets": octets[::-1]}

    @Wait.responder
    def wait(self, seconds: float) -> Any:
        done: Deferred[Any] = Deferred()
        self.reactor.callLater(seconds, done.callback, {})
        return done.addCallback(self._note, seconds)

    @Break.responder
    def fail(self) -> Any:
        raise LookupError("unheard of")

    def _note(self, answer: Any, seconds: float) -> Any:
        self.finished.append(seconds)
        return answer


def connected(net: Network) -> tuple[Peer, Peer]:
    """A peer on `left` and one on `right`, joined."""
    left, right = net.host("left"), net.host("right")
    accepted: list[Peer] = []

    class Peers(Factory):
        def buildProtocol(self, addr: Any) -> Peer:
            accepted.append(Peer(right))
            return accepted[-1]

    right.listenTCP(5000, Peers())
    caller = net.run(connectProtocol(HostnameEndpoint(left, "right", 5000), Peer(left)))
    net.settle()
    return caller, accepted[0]


@pytest.mark.parametrize("link", [ROUGH, BY_OCTETS], ids=["rough", "by octets"])
def test_both_ways_at_once(link: LinkConfig) -> None:
    """Each end asks the other many things without waiting, and gets the answer to each."""
    with Network(seed=21, link=link) as net:
        ends = connected(net)
        asked = {
            (end, number): ends[end].callRemote(Divide, dividend=number, divisor=end + 4)
            for number in range(60)
            for end in (0, 1)
        }
        net.run(gatherResults(asked.values()))
        assert {at: answer.result["quotient"] for at, answer in asked.items()} == {
            (end, number): number / (end + 4) for end, number in asked
        }


def test_large_arguments() -> None:
    """What AMP can carry at most is carried, in both directions at once."""
    with Network(seed=22, link=ROUGH) as net:
        ends = connected(net)
        payloads = [net.random.randbytes(0xFFFF) for _ in range(20)]
        answers = net.run(
            gatherResults(
                [ends[at % 2].callRemote(Turn, octets=payload) for at, payload in enumerate(payloads)]
            )
        )
        assert [answer["octets"] for answer in answers] == [payload[::-1] for payload in payloads]


def test_an_argument_that_is_too_large() -> None:
    """What AMP can't carry is refused before anything is sent, and the connection stays as it was."""
    with Network(seed=23, link=ROUGH) as net:
        caller, _ = connected(net)
        with pytest.raises(amp.TooLong):
            caller.callRemote(Turn, octets=bytes(0x10000))
        assert net.run(caller.callRemote(Turn, octets=b"ab")) == {"octets": b"ba"}


def test_unicode() -> None:
    """Characters of several octets survive being cut in the middle."""
    with Network(seed=24, link=BY_OCTETS) as net:
        caller, _ = connected(net)
        names = ["Zoë", "Иван", "李", "🦊" * 50]
        assert net.run(caller.callRemote(Greet, names=names)) == {"greeting": f"Dear {' & '.join(names)}"}
        assert net.run(caller.callRemote(Greet, names=[], title="Grüezi")) == {"greeting": "Grüezi "}


def test_errors() -> None:
    """An error that the command declares is raised at the other end, and the connection stays."""
    with Network(seed=25, link=ROUGH) as net:
        caller, _ = connected(net)
        with pytest.raises(ZeroDivisionError):
            net.run(caller.callRemote(Divide, dividend=1, divisor=0))
        with pytest.raises(Refused, match="only what is positive"):
            net.run(caller.callRemote(Divide, dividend=-1, divisor=1))
        assert net.run(caller.callRemote(Divide, dividend=3, divisor=2)) == {"quotient": 1.5}


def test_an_error_that_is_not_declared() -> None:
    """It is logged where it happened, and the other end is told that something went wrong; AMP closes."""
    with Network(seed=26, link=ROUGH) as net:
        caller, _ = connected(net)
        with net.expected_errors(LookupError) as logged, pytest.raises(amp.UnknownRemoteError):
            net.run(caller.callRemote(Break))
        assert [failure.getErrorMessage() for failure in logged] == ["unheard of"]
        with pytest.raises(ConnectionDone):
            net.run(caller.callRemote(Turn, octets=b""))


def test_a_partition_in_the_middle() -> None:
    """Questions that a partition interrupts are answered after it, none twice; questions asked meanwhile as well."""
    with Network(seed=27, link=ROUGH) as net:
        caller, answering = connected(net)
        before = caller.callRemote(Wait, seconds=1.0)
        net.advance(0.5)
        with net.fault(Partition("left", "right")):
            meanwhile = caller.callRemote(Turn, octets=b"0123456789" * 5000)
            back = answering.callRemote(Divide, dividend=1, divisor=4)
            net.advance(60)
            assert not any(question.called for question in (before, meanwhile, back))
            assert answering.finished == [1.0]
        assert net.run(gatherResults([before, meanwhile, back])) == [
            {},
            {"octets": b"9876543210" * 5000},
            {"quotient": 0.25},
        ]
        assert answering.finished == [1.0]
        assert 60 < net.clock.now < 200


def test_a_peer_that_goes_away() -> None:
    """Questions without an answer fail when the connection is lost, and so do later ones."""
    with Network(seed=28, link=ROUGH) as net:
        caller, answering = connected(net)
        asked = [caller.callRemote(Wait, seconds=100.0) for _ in range(3)]
        net.advance(1)
        answering.transport.abortConnection()
        for question in asked:
            with pytest.raises(ConnectionLost):
                net.run(question)
        with pytest.raises(ConnectionLost):
            net.run(caller.callRemote(Turn, octets=b""))
