"""What the hub does for its descriptors is what a reactor does for its own, on real sockets."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.python import context, log
from twisted.python.failure import Failure
from twisted.python.log import ILogContext
from twisted.python.threadpool import ThreadPool

from twistnet.transport.hub import BATCH, hub_of

from .live_streams import KINDS, SIDES, Live, Recording, live

FAST = [kind for kind in KINDS if kind != "stock"]


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    """A reactor: Twisted's own, and every fast one."""
    with live(request.param, tmp_path / "run") as found:
        yield found


@pytest.fixture(params=FAST)
def fast_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    """A fast reactor."""
    with live(request.param, tmp_path / "run") as found:
        yield found


each_side = pytest.mark.parametrize("side", SIDES)


# Numbers that are used again


class Reading(FileDescriptor):
    """Whoever has a descriptor, and does something when it can be read.

    Args:
        descriptor: Its number.
        act: What it does.
    """

    def __init__(self, reactor: Any, descriptor: int, act: Any) -> None:
        super().__init__(reactor)
        self._descriptor, self._act = descriptor, act

    def fileno(self) -> int:
        return self._descriptor

    def doRead(self) -> None:
        self._act()

    def connectionLost(self, reason: Failure) -> None:
        """It is the test that closes the descriptor."""


def test_a_number_that_is_used_again_within_a_batch_is_not_told_what_was_found_of_the_old_one(
    fast_world: Live,
) -> None:
    world, hub = fast_world, hub_of(fast_world.reactor)
    first, second, third = os.pipe(), os.pipe(), os.pipe()
    number = second[0]
    os.set_blocking(third[0], False)

    def replace() -> None:
        world.record("first", os.read(first[0], 10))
        hub.removeReader(victim)
        os.dup2(third[0], number)
        hub.addReader(heir)

    victim = Reading(world.reactor, number, lambda: world.record("victim"))
    heir = Reading(world.reactor, number, lambda: world.record("heir", os.read(number, 10)))
    hub.addReader(Reading(world.reactor, first[0], replace))
    hub.addReader(victim)
    os.write(first[1], b"1")
    os.write(second[1], b"2")
    world.settle()
    assert world.events == [("first", b"1")]
    os.write(third[1], b"3")
    world.settle()
    assert world.events[1:] == [("heir", b"3")]
    assert world.errors == []
    hub.removeAll()
    for descriptor in (*first, *second, *third):
        os.close(descriptor)


@each_side
def test_a_connection_that_takes_the_number_of_another_lives_its_own_life(world: Live, side: str) -> None:
    """The old one had something to read, and its end; the new one comes in the same batch, and has nothing yet."""
    near, far = socket.socketpair()
    numbers: list[int] = []
    taken: list[int] = []  # those below it that are free

    def replace(protocol: Recording, data: bytes) -> None:
        numbers.append(victim.transport.fileno())
        gc.collect()  # or what an earlier test has left may free a number just now
        while (number := os.dup(far.fileno())) < numbers[0]:
            taken.append(number)
        os.close(number)
        victim.transport.connectionLost(Failure(ConnectionDone()))
        factory = Factory.forProtocol(lambda: Recording(world, lambda protocol, data: None))
        world.reactor.adoptStreamConnection(far.fileno(), socket.AF_UNIX, factory)
        numbers.append(world.connected[-1].transport.fileno())

    _, plain = world.pair(side, replace)
    victim, other = world.dial(world.listen(family=side.partition(" ")[0]))
    plain.sendall(b"1")
    other.sendall(b"2")
    other.shutdown(socket.SHUT_RDWR)
    world.until(lambda: numbers)
    world.settle()
    assert numbers[0] == numbers[1]
    assert world.events == [("received", b"1"), ("lost", "ConnectionDone")]
    near.sendall(b"3")
    world.until(lambda: len(world.events) == 3)
    assert world.connected[-1].octets == b"3"
    near.close()
    for number in (far.detach(), *taken):
        os.close(number)


def test_more_connections_than_a_batch_has_room_for_are_all_served(world: Live) -> None:
    port = world.listen(lambda protocol, data: protocol.transport.write(data))
    plain = [client for _ in range(7) for client in world.dial_many(port, 40)]
    assert len(plain) > BATCH
    for client in plain:
        client.sendall(b"x")
    world.until(lambda: len(world.events) == len(plain))
    world.settle()
    assert [client.recv(2) for client in plain] == [b"x"] * len(plain)


# Log context


def systems() -> str:
    found: str = context.get(ILogContext)["system"]
    return found


@each_side
def test_what_is_logged_within_a_delivery_carries_the_name_of_the_connection(world: Live, side: str) -> None:
    def say(protocol: Recording, data: bytes) -> None:
        log.msg("said")
        world.record(systems() == protocol.transport.logstr)

    protocol, plain = world.pair(side, say)
    before = systems()
    world.said.clear()
    plain.sendall(b"?")
    world.until(lambda: len(world.events) == 2)
    assert world.events[1] == (True,)
    assert world.said == [(protocol.transport.logstr, "said")]
    assert systems() == before


@each_side
def test_what_is_logged_of_a_loss_carries_the_name_too(world: Live, side: str) -> None:
    def say(protocol: Recording, data: bytes) -> None:
        raise ZeroDivisionError

    class Speaking(Recording):
        def connectionLost(self, reason: Any = None) -> None:
            world.record(systems() == self.transport.logstr)

    _, plain = world.pair(side, say, Speaking)
    plain.sendall(b"?")
    world.until(lambda: len(world.events) == 2)
    assert world.events[1] == (True,)


def test_a_thread_that_is_called_within_a_delivery_logs_under_the_same_name(world: Live) -> None:
    pool = ThreadPool(1, 1)
    pool.start()

    def call(protocol: Recording, data: bytes) -> None:
        pool.callInThread(log.msg, data.decode())

    first, plain = world.pair("tcp server", call)
    second, other = world.pair("tcp server", call)
    first.transport.logstr = "first one"
    second.transport.logstr = "second one"
    world.said.clear()
    plain.sendall(b"1")
    other.sendall(b"2")
    world.until(lambda: len(world.events) == 2)
    pool.stop()
    assert sorted(world.said) == [("first one", "1"), ("second one", "2")]


def test_a_name_that_changes_counts_from_the_next_event_on(world: Live) -> None:
    protocol, plain = world.pair("tcp server", lambda protocol, data: world.record(systems()))
    for name in ("first", "second"):
        protocol.transport.logstr = name
        plain.sendall(b"?")
        world.until(lambda name=name: (name,) in world.events)  # type: ignore[misc]


def test_whoever_runs_the_reactor_has_its_own_context_seen_by_those_that_are_served(world: Live) -> None:
    _, plain = world.pair("tcp server", lambda protocol, data: world.record(context.get("who")))
    for who in ("one", "other", None):
        plain.sendall(b"?")
        seen = len(world.events)
        values: dict[object, object] = {"who": who} if who else {}
        context.call(values, world.until, lambda seen=seen: len(world.events) == seen + 2)
    assert world.events[1::2] == [("one",), ("other",), (None,)]


# Coming and going


@pytest.mark.parametrize("kind", ["in select", "in asyncio"])
def test_a_hub_without_descriptors_is_not_among_the_readers(kind: str, tmp_path: Path) -> None:
    with live(kind, tmp_path / "run") as world:
        hub, before = hub_of(world.reactor), set(world.reactor.getReaders())
        assert hub not in before
        port = world.listen()
        protocol, plain = world.dial(port)
        assert set(world.reactor.getReaders()) - before == {hub}
        assert set(hub.getReaders()) == {port, protocol.transport}
        port.stopListening()
        world.settle()
        assert hub in world.reactor.getReaders()
        protocol.transport.pauseProducing()
        assert set(world.reactor.getReaders()) == before
        protocol.transport.resumeProducing()
        plain.close()
        world.until(lambda: ("lost", "ConnectionDone") in world.events)
        world.settle()
        assert set(world.reactor.getReaders()) == before


def test_a_stopped_reactor_disconnects_everything(world: Live) -> None:
    reactor = world.reactor
    port = world.listen(lambda protocol, data: reactor.stop())
    paused, _ = world.dial(port)
    writing, _ = world.dial(port)
    _, plain = world.dial(port)
    client, _ = world.pair("unix client")
    paused.transport.pauseProducing()
    writing.transport.write(b"x" * 8_000_000)
    plain.sendall(b"stop")
    reactor.run(installSignalHandlers=False)
    assert sorted(world.events, key=str) == [
        *[("lost", "ConnectionLost")] * 3,
        ("received", b"stop"),
    ]
    assert not port.connected
    assert (client.transport.connected, writing.transport.connected) == (0, 0)
    assert paused.transport.connected, "nobody knows of one that neither reads nor writes"
    paused.transport.abortConnection()


def test_a_timer_keeps_its_time_while_a_connection_answers_itself_without_end(world: Live) -> None:
    """What is ready again and again waits for the next turn, and timers come in between."""
    protocol, plain = world.pair("tcp server", lambda protocol, data: plain.sendall(data))
    plain.sendall(b"x")
    fired: list[int] = []
    world.reactor.callLater(0.01, lambda: fired.append(len(world.events)))
    world.until(lambda: fired)
    assert len(protocol.octets) == len(world.events) >= 1
