"""Where the fast streams once did something else than Twisted's own: on real sockets, they do the same."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twistnet.transport.hub import hub_of
from twistnet.transport.streams import PIECES

from .live_streams import KINDS, SIDES, HalfCloseable, Live, Recording, live

each_side = pytest.mark.parametrize("side", SIDES)


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    """A reactor: Twisted's own, and every fast one."""
    with live(request.param, tmp_path / "run") as found:
        yield found


def ignoring(protocol: Recording, data: bytes) -> None:
    """A hook that does nothing."""


@each_side
@pytest.mark.parametrize("answer", [b"", b"answer"], ids=["nothing", "an answer"])
def test_an_answer_to_a_peer_that_has_gone_does_not_make_its_end_another(
    world: Live, side: str, answer: bytes
) -> None:
    """A UNIX socket refuses what is sent to it at once (EPIPE); Twisted sees the end first."""
    _, plain = world.pair(side, lambda protocol, data: protocol.transport.write(answer))
    plain.sendall(b"?")
    plain.close()
    world.until(lambda: len(world.events) == 2)
    assert world.events == [("received", b"?"), ("lost", "ConnectionDone")]


@pytest.mark.parametrize("side", ["unix server", "unix client"])
def test_who_lives_on_hears_the_end_before_its_answer_fails(world: Live, side: str) -> None:
    _, plain = world.pair(side, lambda protocol, data: protocol.transport.write(b"answer"), HalfCloseable)
    plain.sendall(b"?")
    plain.close()
    world.until(lambda: len(world.events) == 3)
    assert world.events == [("received", b"?"), ("read lost",), ("lost", "ConnectionLost")]


@each_side
def test_who_raises_a_clean_end_in_a_delivery_loses_both_halves(world: Live, side: str) -> None:
    def fail(protocol: Recording, data: bytes) -> None:
        protocol.transport.write(b"never sent")
        raise ConnectionDone

    _, plain = world.pair(side, fail, HalfCloseable)
    plain.sendall(b"?")
    assert world.hears(plain, 100) == b""
    assert world.events == [("received", b"?"), ("lost", "ConnectionDone")]
    assert world.errors == [ConnectionDone]


def test_an_adopted_connection_is_ended_though_its_descriptor_is_open_elsewhere(world: Live) -> None:
    """And so is one that a process has which was forked meanwhile."""
    listening, plain = world.plain(), world.plain()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    plain.connect(listening.getsockname())
    with listening.accept()[0] as ours:
        factory = Factory.forProtocol(lambda: Recording(world, ignoring))
        world.reactor.adoptStreamConnection(ours.fileno(), socket.AF_INET, factory)
        plain.shutdown(socket.SHUT_WR)
        world.until(lambda: world.events == [("lost", "ConnectionDone")])
        assert world.hears(plain, 1) == b""
        assert world.heard(plain) is None


class Interrupted(Recording):
    """Somebody presses Ctrl-C while it is told of its loss."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)
        raise KeyboardInterrupt


def test_an_interrupt_ends_nobody_else_and_whoever_waits_to_write_does(world: Live) -> None:
    """It leaves the reactor, or is logged there: whoever has others between them and the reactor cannot do more."""
    if hasattr(world.reactor, "_asyncioEventloop"):
        pytest.skip("asyncio leaves its loop at once")
    closing, heard = world.pair("tcp server", ignoring)
    echoing, asking = world.pair("tcp server", lambda protocol, data: protocol.transport.write(data))
    _, plain = world.pair("tcp server", ignoring, Interrupted)
    plain.close()
    closing.transport.loseConnection()
    for _ in range(20):
        with suppress(KeyboardInterrupt):
            world.reactor.iterate(0.001)
    assert world.events == [("lost", "ConnectionDone")] * 2
    assert world.heard(heard) is None
    asking.sendall(b"still there")
    assert world.hears(asking, 11) == b"still there"
    assert echoing.transport.connected


@implementer(IPushProducer)
class Silent:
    """Has nothing to say."""

    def resumeProducing(self) -> None: ...

    def pauseProducing(self) -> None: ...

    def stopProducing(self) -> None: ...


@each_side
def test_many_small_writes_with_a_producer_are_not_counted_again_and_again(world: Live, side: str) -> None:
    """Each web server's connection has such a producer, its own channel."""
    most: list[int] = []

    def answer(protocol: Recording, data: bytes) -> None:
        for _ in range(20_000):
            protocol.transport.write(b"xx")
            most.append(getattr(protocol.transport, "held_back", 0))

    protocol, plain = world.pair(side, answer)
    protocol.transport.registerProducer(Silent(), True)
    plain.sendall(b"?")
    assert world.hears(plain, 40_000) == b"x" * 40_000
    assert max(most) <= 2 * PIECES


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_what_the_reactor_was_made_to_drop_is_not_served_again_when_it_is_used_again(
    world: Live, family: str
) -> None:
    """Trial does so after each test."""
    port = world.listen(ignoring, family)
    dropped, plain = world.dial(port)
    plain.sendall(b"too late")
    world.reactor.removeAll()
    _, asking = world.pair(f"{family} server", lambda protocol, data: protocol.transport.write(data))
    asking.sendall(b"hello")
    assert world.hears(asking, 5) == b"hello"
    assert world.events == [("received", b"hello")]
    port.stopListening()
    dropped.transport.abortConnection()
    world.until(lambda: world.events[1:] == [("lost", "ConnectionAborted")])


class FullEpoll:
    """An epoll of a user who may watch no more descriptors (epoll(7), max_user_watches)."""

    def __init__(self, epoll: Any) -> None:
        self._epoll = epoll

    def __getattr__(self, name: str) -> Any:
        return getattr(self._epoll, name)

    def register(self, descriptor: int, mask: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@each_side
@pytest.mark.parametrize("in_delivery", [False, True], ids=["outside", "in a delivery"])
def test_who_cannot_be_watched_is_lost_and_nobody_else(world: Live, side: str, in_delivery: bool) -> None:
    """It has paused, so that it is not watched yet, and writes more than the kernel takes. Twisted lets `write` raise."""
    if type(world.reactor).__module__.startswith("twisted."):
        pytest.skip("there is no hub")

    def answer(protocol: Recording, data: bytes) -> None:
        protocol.transport.pauseProducing()
        protocol.transport.write(b"x" * 6_000_000)

    greedy, plain = world.pair(side, answer)
    _, asking = world.pair(side, lambda protocol, data: protocol.transport.write(data))
    hub = hub_of(world.reactor)
    hub._epoll = FullEpoll(hub._epoll)
    if in_delivery:
        plain.sendall(b"?")
    else:
        answer(greedy, b"")
    world.until(lambda: ("lost", "OSError") in world.events)
    asking.sendall(b"still there")
    assert world.hears(asking, 11) == b"still there"
    assert world.events[in_delivery:] == [("lost", "OSError"), ("received", b"still there")]
    assert set(world.errors) == {OSError}


@each_side
@pytest.mark.parametrize("later", [False, True], ids=["before", "meanwhile"])
def test_who_waits_for_an_answer_within_a_delivery_has_the_question_sent(
    world: Live, side: str, later: bool
) -> None:
    if type(world.reactor).__name__ == "ReactorOnHub":
        pytest.skip("its reactor does not tell the hub that it is run")

    def ask(protocol: Recording, data: bytes) -> None:
        if data == b"begin":
            if later:
                world.reactor.callLater(0, protocol.transport.write, b"question")
            else:
                protocol.transport.write(b"question")
            world.record(world.hears(plain, 8))
            plain.sendall(b"answer")
            world.until(lambda: protocol.octets == b"beginanswer")
            protocol.transport.write(b"thanks")

    _, plain = world.pair(side, ask)
    plain.sendall(b"begin")
    assert world.hears(plain, 6) == b"thanks"
    assert world.events == [("received", b"begin"), (b"question",), ("received", b"answer")]
