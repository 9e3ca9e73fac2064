"""Stream connections on real sockets: Twisted's own and the fast ones promise the same, and keep it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.interfaces import IPullProducer, IPushProducer
from zope.interface import implementer

from tests.simulation.differential.certificate import serving, trusting

from .live_streams import KINDS, SIDES, HalfCloseable, Live, Recording, live

MUCH = 6_000_000
"""Octets that no kernel takes at once."""


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    """A reactor: Twisted's own, and every fast one."""
    with live(request.param, tmp_path / "run") as found:
        yield found


pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted does
each_side = pytest.mark.parametrize("side", SIDES)


def answering(*answers: bytes) -> Any:
    """A hook that writes, one answer after the other."""

    def answer(protocol: Recording, data: bytes) -> None:
        for octets in answers:
            protocol.transport.write(octets)

    return answer


# Order


@each_side
def test_what_was_written_before_a_delivery_leaves_before_what_is_written_in_it(
    world: Live, side: str
) -> None:
    protocol, plain = world.pair(side, answering(b"2", b"3"))
    protocol.transport.write(b"1")
    plain.sendall(b"?")
    assert world.hears(plain, 3) == b"123"
    protocol.transport.write(b"4")
    assert world.hears(plain, 1) == b"4"


@each_side
def test_a_timed_call_of_the_same_turn_writes_in_its_place(world: Live, side: str) -> None:
    """Which reactor calls it first is each reactor's affair."""
    calls: list[bytes] = []

    def write(protocol: Recording, data: bytes) -> None:
        for octets in (data, data.upper()):
            calls.append(octets)
            protocol.transport.write(octets)

    protocol, plain = world.pair(side, write)
    plain.sendall(b"x")
    world.reactor.callLater(0, write, protocol, b"a")
    world.reactor.callLater(0, write, protocol, b"b")
    heard = world.hears(plain, 6)
    assert heard == b"".join(calls)
    assert sorted(heard) == sorted(b"abxABX")


@each_side
def test_what_the_kernel_does_not_take_stays_in_its_place(world: Live, side: str) -> None:
    protocol, plain = world.pair(side, answering(b"2" * MUCH, b"3"))
    protocol.transport.write(b"1")
    plain.sendall(b"?")
    world.until(lambda: world.events)
    protocol.transport.write(b"4")
    heard = world.hears(plain, MUCH + 3)
    assert (heard[:1], heard.count(b"2"), heard[-2:]) == (b"1", MUCH, b"34")


@each_side
def test_writes_of_every_kind_keep_their_order_within_a_delivery(world: Live, side: str) -> None:
    def answer(protocol: Recording, data: bytes) -> None:
        transport = protocol.transport
        transport.write(b"a")
        transport.writeSequence([b"b", b"", b"c"])
        transport.write(b"")
        transport.writeSequence([])
        with pytest.raises(TypeError):
            transport.write("text")
        transport.write(b"d")

    _, plain = world.pair(side, answer)
    plain.sendall(b"?")
    assert world.hears(plain, 4) == b"abcd"
    assert world.errors == []


@pytest.fixture(params=[kind for kind in KINDS if kind != "in asyncio"])
def nesting_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    """A reactor that may be run from within itself, as asyncio's may not."""
    with live(request.param, tmp_path / "run") as found:
        yield found


@each_side
def test_who_runs_the_reactor_within_a_delivery_is_delivered_the_rest(nesting_world: Live, side: str) -> None:
    world = nesting_world

    def answer(protocol: Recording, data: bytes) -> None:
        protocol.transport.write(data)
        if data == b"a":
            plain.sendall(b"b")
            world.until(lambda: protocol.octets == b"ab")
            world.record("back")
            protocol.transport.write(b"c")

    _, plain = world.pair(side, answer)
    plain.sendall(b"a")
    assert world.hears(plain, 3) == b"abc"
    assert world.events == [("received", b"a"), ("received", b"b"), ("back",)]


@each_side
def test_who_runs_the_reactor_within_a_delivery_has_what_it_wrote_for_others_sent(
    nesting_world: Live, side: str
) -> None:
    world = nesting_world
    family = side.partition(" ")[0]
    other, heard = world.dial(world.listen(family=family))

    def answer(protocol: Recording, data: bytes) -> None:
        other.transport.write(b"from within")
        world.record(world.hears(heard, 11))

    _, plain = world.pair(side, answer)
    plain.sendall(b"?")
    world.until(lambda: len(world.events) == 2)
    assert world.events == [("received", b"?"), (b"from within",)]


# Ends


@each_side
def test_an_exception_ends_the_connection_and_drops_what_was_written(world: Live, side: str) -> None:
    def fail(protocol: Recording, data: bytes) -> None:
        protocol.transport.write(b"never sent")
        raise ZeroDivisionError

    _, plain = world.pair(side, fail)
    plain.sendall(b"?")
    assert world.hears(plain, 100) == b""
    assert world.events == [("received", b"?"), ("lost", "ZeroDivisionError")]
    assert world.errors == [ZeroDivisionError]


@each_side
@pytest.mark.parametrize("octets", [1, MUCH])
def test_what_was_written_is_sent_before_a_close(world: Live, side: str, octets: int) -> None:
    def close(protocol: Recording, data: bytes) -> None:
        protocol.transport.write(b"x" * octets)
        protocol.transport.loseConnection()
        protocol.transport.write(b"!")

    _, plain = world.pair(side, close)
    plain.sendall(b"?")
    heard = world.hears(plain, MUCH * 2)
    assert (len(heard), heard[-1:]) == (octets + 1, b"!")
    assert world.events == [("received", b"?"), ("lost", "ConnectionDone")]


@each_side
def test_an_abort_drops_what_was_written(world: Live, side: str) -> None:
    def abort(protocol: Recording, data: bytes) -> None:
        protocol.transport.write(b"never sent")
        protocol.transport.abortConnection()
        protocol.transport.write(b"nor this")

    _, plain = world.pair(side, abort)
    plain.sendall(b"?")
    assert world.hears(plain, 100) == b""
    assert world.events == [("received", b"?"), ("lost", "ConnectionAborted")]


@each_side
def test_one_direction_closes_after_the_other(world: Live, side: str) -> None:
    def finish(protocol: Recording, data: bytes) -> None:
        if data == b"?":
            protocol.transport.write(b"answer")
            protocol.transport.loseWriteConnection()

    protocol, plain = world.pair(side, finish, HalfCloseable)
    plain.sendall(b"?")
    assert world.hears(plain, 100) == b"answer"
    plain.sendall(b"more")
    world.until(lambda: protocol.octets == b"?more")
    protocol.transport.write(b"too late")
    plain.shutdown(socket.SHUT_WR)
    world.until(lambda: ("read lost",) in world.events)
    world.settle()
    assert world.events[:2] == [("received", b"?"), ("write lost",)]
    assert world.events[2:] == [("received", b"more"), ("read lost",)]
    protocol.transport.loseConnection()
    world.settle()
    assert world.events[4:] == [("lost", "ConnectionDone")]


@each_side
def test_who_cannot_half_close_is_lost_when_the_peer_has_finished(world: Live, side: str) -> None:
    _, plain = world.pair(side, answering(b"answer"))
    plain.sendall(b"?")
    assert world.hears(plain, 6) == b"answer"
    plain.shutdown(socket.SHUT_WR)
    assert world.hears(plain, 1) == b""
    assert world.events == [("received", b"?"), ("lost", "ConnectionDone")]


# Producers


class Producer:
    """Writes ten pieces, and then no more.

    Args:
        world: Where it writes down what it is told.
        transport: Where it writes to.
        size: Octets of a piece.
        many: Whether it writes until it is told to pause, or once each time.
    """

    def __init__(self, world: Live, transport: Any, size: int, *, many: bool) -> None:
        self.world, self.transport, self.size, self.many = world, transport, size, many
        self.left = 10
        self.paused = False

    def resumeProducing(self) -> None:
        self.world.record("resumed")
        self.paused = False
        while self.left and not self.paused:
            self.left -= 1
            self.transport.write(b"x" * self.size)
            if not self.many:
                break
        if not self.left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def pauseProducing(self) -> None:
        self.world.record("paused")
        self.paused = True

    def stopProducing(self) -> None:
        self.world.record("stopped")


@implementer(IPullProducer)
class Pulled(Producer):
    """One that is asked for each piece."""


@implementer(IPushProducer)
class Pushing(Producer):
    """One that is told when to pause."""


@each_side
def test_a_pull_producer_is_asked_for_each_piece_after_what_was_written_before(
    world: Live, side: str
) -> None:
    def register(protocol: Recording, data: bytes) -> None:
        protocol.transport.write(b"first")
        protocol.transport.registerProducer(Pulled(world, protocol.transport, 10, many=False), False)

    _, plain = world.pair(side, register)
    plain.sendall(b"?")
    assert world.hears(plain, 1000) == b"first" + b"x" * 100
    assert world.events == [("received", b"?"), *[("resumed",)] * 10, ("lost", "ConnectionDone")]


@each_side
def test_a_push_producer_pauses_above_the_buffer_and_resumes_when_it_is_empty(world: Live, side: str) -> None:
    """Ten times what the buffer holds: it is told to pause by each write, and to go on after each flush."""

    def register(protocol: Recording, data: bytes) -> None:
        protocol.transport.write(b"first")
        producer = Pushing(world, protocol.transport, 100_000, many=True)
        protocol.transport.registerProducer(producer, True)
        producer.resumeProducing()

    _, plain = world.pair(side, register)
    plain.sendall(b"?")
    heard = world.hears(plain, 2_000_000)
    assert (heard[:5], len(heard)) == (b"first", 5 + 1_000_000)
    turns = [("resumed",), ("paused",)] * 10
    assert world.events == [("received", b"?"), *turns, ("lost", "ConnectionDone")]


@each_side
def test_a_producer_is_stopped_when_the_connection_is_lost(world: Live, side: str) -> None:
    def register(protocol: Recording, data: bytes) -> None:
        protocol.transport.registerProducer(Pushing(world, protocol.transport, MUCH, many=True), True)
        protocol.transport.producer.resumeProducing()
        protocol.transport.abortConnection()

    _, plain = world.pair(side, register)
    plain.sendall(b"?")
    world.until(lambda: ("lost", "ConnectionAborted") in world.events)
    assert world.events[:3] == [("received", b"?"), ("resumed",), ("paused",)]
    assert world.events[3:] == [("stopped",), ("lost", "ConnectionAborted")]


# Reading


@each_side
def test_who_pauses_within_a_delivery_is_delivered_nothing_until_it_resumes(world: Live, side: str) -> None:
    def pause(protocol: Recording, data: bytes) -> None:
        protocol.transport.pauseProducing()
        protocol.transport.write(b"paused")

    protocol, plain = world.pair(side, pause)
    plain.sendall(b"1")
    assert world.hears(plain, 6) == b"paused"
    plain.sendall(b"2")
    plain.shutdown(socket.SHUT_WR)
    world.settle()
    assert world.events == [("received", b"1")]
    protocol.transport.resumeProducing()
    assert world.hears(plain, 6) == b"paused"
    protocol.transport.resumeProducing()
    world.until(lambda: len(world.events) == 3)
    assert world.events[1:] == [("received", b"2"), ("lost", "ConnectionDone")]


@each_side
def test_no_piece_is_longer_than_the_buffer_size_that_was_set(world: Live, side: str) -> None:
    protocol, plain = world.pair(side)
    protocol.transport.bufferSize = 10
    plain.sendall(b"x" * 35)
    world.until(lambda: len(protocol.octets) == 35)
    assert [len(piece) for _, piece in world.events] == [10, 10, 10, 5]  # type: ignore[arg-type]


# TLS, descriptors


def test_what_was_written_before_tls_leaves_in_the_clear(world: Live) -> None:
    """Twisted holds back less than 64,000 octets that are to be enciphered, until the global reactor turns."""

    def serve(protocol: Recording, data: bytes) -> None:
        if data == b"?":
            protocol.transport.write(b"in the clear")
            protocol.transport.startTLS(serving())
            protocol.transport.write(b"e" * 70_000)

    def ask(protocol: Recording, data: bytes) -> None:
        if data == b"in the clear":
            protocol.transport.startTLS(trusting())
        elif len(protocol.octets) == 70_012:
            protocol.transport.write(b"d" * 70_000)
            protocol.transport.loseConnection()

    port = world.listen(serve)
    world.connect(("127.0.0.1", port.getHost().port), ask)
    world.until(lambda: len(world.connected) == 2)
    asking, served = sorted(world.connected, key=lambda protocol: protocol.hook is serve)
    asking.transport.write(b"?")
    world.until(lambda: world.events.count(("lost", "ConnectionDone")) == 2)
    assert asking.octets == b"in the clear" + b"e" * 70_000
    assert served.octets == b"?" + b"d" * 70_000


@pytest.mark.parametrize("side", ["unix server", "unix client"])
def test_a_descriptor_goes_with_the_first_octet_that_is_sent_after_it_was_handed_over(
    world: Live, side: str
) -> None:
    """And so with one that was written before, but not sent yet."""
    reading, writing = os.pipe()

    def hand_over(protocol: Recording, data: bytes) -> None:
        protocol.transport.write(b"a")
        protocol.transport.sendFileDescriptor(writing)
        protocol.transport.write(b"b")

    try:
        protocol, plain = world.pair(side, hand_over)
        plain.sendall(b"?")
        world.until(lambda: world.events)
        world.settle()
        octets, handed, _, _ = socket.recv_fds(plain, 100, 10)
        assert (octets + plain.recv(100), len(handed)) == (b"ab", 1)
        os.write(handed[0], b"opened")
        os.close(handed[0])
        assert os.read(reading, 10) == b"opened"
        protocol.transport.write(b"c")
        assert world.hears(plain, 1) == b"c"
    finally:
        os.close(reading)
        os.close(writing)


# Names


@each_side
def test_transports_are_called_the_same(world: Live, side: str) -> None:
    protocol, _ = world.pair(side)
    if side == "tcp server":
        number = protocol.transport.getHost().port
        assert repr(protocol.transport) == f"<Recording #0 on {number}>"
    elif side == "unix server":
        assert repr(protocol.transport).startswith("<Recording #0 on ")
    names = {"tcp server": "Recording,0,127.0.0.1", "unix server": "Recording,0,"}
    assert protocol.transport.logstr == names.get(side, "Recording,client")


def test_the_name_in_the_log_is_the_one_that_the_protocol_had_at_first(world: Live) -> None:
    protocol, plain = world.pair("tcp server")
    plain.sendall(b"?")
    world.until(lambda: world.events)
    protocol.__class__ = type("Later", (Recording,), {"logPrefix": lambda self: "Later"})
    assert protocol.transport.logPrefix() == "Recording,0,127.0.0.1"
