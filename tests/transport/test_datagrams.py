"""What our datagram ports have and Twisted's have not: pauses that are kept, counts of what is lost, scopes, refusals."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.interfaces import IListeningPort, IMulticastTransport, IUDPTransport

from twistnet.transport import datagram_ports
from twistnet.transport.batches import SLOTS
from twistnet.transport.datagrams import FastDatagramPort, FastMulticastPort

from .live_datagrams import KINDS, Connected, Live, Recording, live

OURS = [kind for kind in KINDS if kind != "stock"]
Make = Callable[..., Live]


@pytest.fixture
def worlds(tmp_path: Path) -> Iterator[Make]:
    """Makes a reactor of a kind."""
    with ExitStack() as stack:
        yield lambda kind, family="udp": stack.enter_context(live(kind, family, tmp_path / kind))


def echo(protocol: Recording, datagram: bytes, sender: Any) -> None:
    protocol.transport.write(datagram, sender)


def received(world: Live) -> list[object]:
    return [event[1] for event in world.events if event[0] == "received"]


def numbers(here: socket.socket, there: Any, count: range | int) -> list[bytes]:
    """Send so many datagrams that can be told apart."""
    sent = [b"%d" % number for number in (range(count) if isinstance(count, int) else count)]
    for datagram in sent:
        here.sendto(datagram, there)
    return sent


@pytest.mark.parametrize("family", ["udp", "udp6", "unix"])
@pytest.mark.parametrize("kind", OURS)
def test_what_was_read_before_a_pause_is_delivered_after_it(kind: str, family: str, worlds: Make) -> None:
    world = worlds(kind, family)

    def pause(protocol: Recording, datagram: bytes, sender: Any) -> None:
        if datagram in {b"3", b"6"}:
            protocol.transport.stopReading()

    port, here = world.port(Recording(world, pause)), world.plain()
    sent = numbers(here, world.address(port), world.few(40))
    for pause_at in (4, 7):
        world.settle()
        assert received(world) == sent[:pause_at]
        port.startReading()
    world.settle()
    assert received(world) == sent


@pytest.mark.parametrize("kind", OURS)
def test_what_comes_in_during_a_pause_comes_after_what_was_kept(kind: str, worlds: Make) -> None:
    world = worlds(kind)
    port = world.port(Recording(world, lambda protocol, datagram, sender: protocol.transport.stopReading()))
    here = world.plain()
    sent = numbers(here, world.address(port), 9)
    world.settle()
    sent += numbers(here, world.address(port), range(9, 15))
    for count in range(1, 16):
        world.settle()
        assert received(world) == sent[:count]
        port.startReading()


@pytest.mark.parametrize("kind", OURS)
def test_a_pause_that_ends_at_once_changes_nothing_but_the_turn(kind: str, worlds: Make) -> None:
    world = worlds(kind)

    def blink(protocol: Recording, datagram: bytes, sender: Any) -> None:
        protocol.transport.stopReading()
        protocol.transport.startReading()
        echo(protocol, datagram, sender)

    port, here = world.port(Recording(world, blink)), world.plain()
    sent = numbers(here, world.address(port), 40)
    world.settle()
    assert received(world) == sent
    assert world.heard(here) == sent


@pytest.mark.parametrize("kind", OURS)
def test_a_port_may_stop_while_it_is_paused(kind: str, worlds: Make) -> None:
    world = worlds(kind)
    port = world.port(Recording(world, lambda protocol, datagram, sender: protocol.transport.stopReading()))
    numbers(world.plain(), world.address(port), 9)
    world.settle()
    done: list[None] = []
    port.stopListening().addCallback(done.append)
    world.settle()
    assert (received(world), done) == ([b"0"], [None])
    assert world.events[-1] == ("stopped",)


@pytest.mark.parametrize("family", ["udp", "udp6", "unix"])
@pytest.mark.parametrize("kind", OURS)
def test_a_port_may_be_closed_before_a_delivery_has_ended(kind: str, family: str, worlds: Make) -> None:
    world = worlds(kind, family)

    def stop(protocol: Recording, datagram: bytes, sender: Any) -> None:
        echo(protocol, datagram, sender)
        if datagram == b"3":
            done: list[None] = []
            protocol.transport.stopListening().addCallback(done.append)
            world.until(lambda: done)

    port, here = world.port(Recording(world, stop)), world.plain()
    sent = numbers(here, world.address(port), world.few(9))
    world.settle()
    assert received(world) == sent[:4]
    assert world.heard(here) == sent[:4]
    assert world.events[4:] == [("stopped",)]
    assert (world.errors, port.connected) == ([], 0)


@pytest.mark.parametrize("kind", ["in batches", "reactor"])
def test_many_answers_to_each_datagram_go_out_in_order(kind: str, worlds: Make) -> None:
    world = worlds(kind)

    def answer(protocol: Recording, datagram: bytes, sender: Any) -> None:
        for number in range(10):
            protocol.transport.write(b"%s.%d" % (datagram, number), sender)

    port, here = world.port(Recording(world, answer)), world.plain()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sent = numbers(here, world.address(port), 15)
    world.settle()
    assert world.heard(here) == [b"%s.%d" % (datagram, number) for datagram in sent for number in range(10)]
    assert (port.counters.received, port.counters.sent) == (15, 150)


@pytest.mark.parametrize("kind", ["fast", "in batches", "reactor"])
def test_one_answer_that_fails_does_not_hinder_the_others(kind: str, worlds: Make) -> None:
    world = worlds(kind)
    forbidden = ("127.255.255.255", 9)

    def answer(protocol: Recording, datagram: bytes, sender: Any) -> None:
        echo(protocol, datagram, sender)
        if int(datagram) % 3 == 0:
            protocol.transport.write(datagram, forbidden)

    port, here = world.port(Recording(world, answer)), world.plain()
    port.setBroadcastAllowed(True)
    port.write(b"allowed", forbidden)
    port.setBroadcastAllowed(False)
    sent = numbers(here, world.address(port), 9)
    world.settle()
    assert world.heard(here) == sent
    assert world.errors == [PermissionError] * 3
    assert port.counters.sent == 10


@pytest.mark.parametrize("kind", OURS)
def test_a_connected_port_is_told_of_a_refusal_and_lives_on(kind: str, worlds: Make) -> None:
    world = worlds(kind)
    port, peer = world.port(Recording(world)), world.plain()
    there = world.address(peer)
    port.connect(*there)
    port.write(b"anybody?")
    world.settle()
    assert world.heard(peer) == [b"anybody?"]
    peer.close()
    for _ in range(2):
        port.write(b"nobody?")
        world.settle()
    assert world.events == [("refused",)] * 2
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(there)
        again.sendto(b"back", world.address(port))
        world.settle()
    assert world.events[2:] == [("received", b"back")]


@pytest.mark.parametrize("kind", OURS)
@pytest.mark.parametrize("family", ["udp", "udp6"])
def test_a_connected_port_answers_in_batches_too(family: str, kind: str, worlds: Make) -> None:
    world = worlds(kind, family)
    port, peer = (
        world.port(Recording(world, lambda p, datagram, sender: p.transport.write(datagram))),
        world.plain(),
    )
    port.connect(*world.address(peer))
    sent = numbers(peer, world.address(port), 60)
    world.settle()
    assert world.heard(peer) == sent
    port.write(b"with the address", world.address(peer))
    with pytest.raises(AssertionError):
        port.write(b"with another", (world.host, 9))
    assert world.heard(peer) == [b"with the address"]


@pytest.mark.parametrize("kind", ["in batches", "reactor"])
def test_a_refusal_of_what_was_held_is_told(kind: str, worlds: Make) -> None:
    world = worlds(kind)
    peer = world.plain()

    def answer(protocol: Recording, datagram: bytes, sender: Any) -> None:
        if datagram == b"0":
            peer.close()
            protocol.transport.getHandle().send(b"to nobody")
        protocol.transport.write(datagram)

    port = world.port(Recording(world, answer))
    port.connect(*world.address(peer))
    numbers(peer, world.address(port), 6)
    world.turn(1)
    assert ("refused",) in world.events
    assert received(world) == [b"0", b"1", b"2", b"3", b"4", b"5"]
    assert port.connected


@pytest.mark.parametrize("kind", ["fast", "in batches", "reactor"])
def test_who_runs_the_reactor_from_within_hears_what_comes_next(kind: str, worlds: Make) -> None:
    """On the reactor of our own; under another one only what is still in the socket."""
    world = worlds(kind)

    def wait(protocol: Recording, datagram: bytes, sender: Any) -> None:
        if datagram == b"0" and kind == "reactor":
            echo(protocol, datagram, sender)
            world.until(lambda: len(received(world)) == 9)
            assert world.heard(here)[0] == b"0"
        elif datagram == b"0":
            world.turn(3)
        world.record("ends", datagram)

    port, here = world.port(Recording(world, wait)), world.plain()
    sent = numbers(here, world.address(port), 9)
    world.settle()
    assert received(world) == sent
    assert sorted(str(event[1]) for event in world.events if event[0] == "ends") == [str(one) for one in sent]
    assert world.errors == []


def test_single_datagrams_are_read_one_by_one_and_many_in_batches(worlds: Make) -> None:
    world = worlds("fast")
    port, here = world.port(Recording(world, echo)), world.plain()
    calls: list[int] = []
    vector = port._receive

    def counted(descriptor: int) -> Any:
        batch = vector(descriptor)
        calls.append(len(batch[0]))
        return batch

    port._receive = counted
    for _ in range(600):
        here.sendto(b"x", world.address(port))
        world.turn(1)
    assert port.counters.received == 600
    assert set(calls) == {1}
    assert len(calls) < 100  # most of them were read without a batch
    calls.clear()
    for _ in range(40):
        numbers(here, world.address(port), 2 * SLOTS)
        world.settle()
        world.heard(here)
    assert calls.count(SLOTS) > len(calls) // 3
    assert sum(calls) + datagram_ports.MANY >= 40 * 2 * SLOTS


@pytest.mark.parametrize("kind", OURS)
def test_what_the_kernel_drops_is_counted_and_told_once(kind: str, worlds: Make) -> None:
    world = worlds(kind)
    port, here = world.port(Recording(world)), world.plain()
    assert port.counters.kernel_dropped == 0
    port.stopReading()
    for _ in range(3000):
        here.sendto(b"x" * 1000, world.address(port))
    port.startReading()
    world.settle()
    assert len(world.lines) == 1
    counters = port.counters
    assert counters.kernel_dropped > 0
    assert counters.received + counters.kernel_dropped == 3000
    for _ in range(3000):
        here.sendto(b"x" * 1000, world.address(port))
    world.settle()
    assert len(world.lines) == 1
    assert "receive buffer" in world.lines[0]
    port.stopListening()
    world.settle()
    assert port.counters.received + port.counters.kernel_dropped == 6000
    assert f" {port.counters.kernel_dropped} datagrams" in world.lines[-1]


def test_what_is_lost_is_told_again_after_a_minute(worlds: Make) -> None:
    world = worlds("fast", "unix")
    now = [100.0]
    world.reactor.seconds = lambda: now[0]
    port, here = world.port(Recording(world)), world.plain()
    for seconds, lines in ((0, 1), (59, 1), (2, 2), (1, 2), (59, 3)):
        now[0] += seconds
        for _ in range(1000):
            port.write(b"x", world.address(here))
        assert len(world.lines) == lines
    assert 0 < port.counters.sent < 1000
    assert port.counters.sent + port.counters.send_dropped == 5000
    assert "send buffer" in world.lines[0]


@pytest.mark.parametrize("family", ["udp", "unix"])
@pytest.mark.parametrize("kind", OURS)
def test_what_is_cut_is_counted(kind: str, family: str, worlds: Make) -> None:
    world = worlds(kind, family)
    port, here = world.port(Recording(world), maxPacketSize=10), world.plain()
    for length in (9, 10, 11, 5000, 3, 12, 0):
        here.sendto(b"x" * length, world.address(port))
    world.settle()
    assert [len(datagram) for datagram in received(world) if isinstance(datagram, bytes)] == [
        9,
        10,
        10,
        10,
        3,
        10,
        0,
    ]
    assert port.counters.truncated == 3


@pytest.mark.parametrize(("family", "longest"), [("udp", 65_507), ("udp6", 65_527), ("unix", 65_536)])
@pytest.mark.parametrize("kind", OURS)
def test_the_longest_datagram_is_not_cut(kind: str, family: str, longest: int, worlds: Make) -> None:
    world = worlds(kind, family)
    port, here = world.port(Recording(world, echo)), world.plain()
    for _ in range(2):
        here.sendto(b"x" * longest, world.address(port))
        world.settle()
        assert world.heard(here) == [b"x" * longest]
    assert port.counters.truncated == 0


@pytest.mark.parametrize("kind", OURS)
def test_a_unix_port_takes_whatever_it_was_made_for(kind: str, worlds: Make) -> None:
    world = worlds(kind, "unix")
    port, here = world.port(Recording(world), maxPacketSize=150_000), world.plain()
    here.sendto(b"x" * 149_000, world.address(port))
    world.settle()
    assert world.events == [("received", 149_000)]


@pytest.mark.parametrize("kind", OURS)
def test_connected_unix_ports_talk(kind: str, worlds: Make) -> None:
    world = worlds(kind, "unix")

    def answer(protocol: Connected, datagram: bytes) -> None:
        protocol.transport.write(datagram.upper())
        if datagram == b"five":
            raise OSError("of the protocol's own")

    peer = world.plain()
    port = world.connected(world.address(peer), Connected(world, answer))
    for word in (b"one", b"two", b"", b"four", b"five", b"six"):
        peer.sendto(word, world.address(port))
    world.settle()
    assert world.heard(peer) == [b"ONE", b"TWO", b"", b"FOUR", b"FIVE", b"SIX"]
    assert world.errors == [OSError]
    peer.close()
    port.write(b"anybody?")
    assert world.events[-1] == ("refused",)
    assert (port.counters.received, port.counters.sent) == (6, 6)


@pytest.mark.parametrize("kind", OURS)
def test_a_connected_unix_port_that_finds_nobody(kind: str, worlds: Make) -> None:
    world = worlds(kind, "unix")
    world.connected(world.path(), Connected(world))
    world.settle()
    assert world.events == [("failed", "FileNotFoundError")]


@pytest.mark.parametrize("kind", OURS)
def test_a_socket_can_be_adopted(kind: str, worlds: Make) -> None:
    world = worlds(kind)
    here = world.plain()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.setblocking(False)
        opened.bind(("127.0.0.1", 0))
        there = opened.getsockname()
        cls = KINDS[kind][1]
        adopted = cls._fromListeningDescriptor(
            world.reactor, opened.fileno(), socket.AF_INET, Recording(world, echo), maxPacketSize=100
        )
        adopted.startListening()
    sent = numbers(here, there, 30)
    world.settle()
    assert world.heard(here) == sent
    adopted.stopListening()
    world.settle()


def test_a_multicast_port_shares_its_number(worlds: Make) -> None:
    world = worlds("fast")
    ports: list[FastMulticastPort] = []
    for _ in range(2):
        number = ports[0].getHost().port if ports else 0
        port = FastMulticastPort(
            number, Recording(world, echo), "127.0.0.1", 8192, world.reactor, listenMultiple=True
        )
        port.startListening()
        ports.append(port)
    assert IMulticastTransport.providedBy(ports[0])
    assert ports[0].getTTL() == 1
    here = world.plain()
    sent = numbers(here, world.address(ports[0]), 9)
    world.settle()
    assert world.heard(here) == sent
    for port in ports:
        port.stopListening()
    world.settle()


def test_a_port_provides_what_twisteds_provides(worlds: Make) -> None:
    port = worlds("fast").port(Recording(worlds("fast")))
    assert port.reads_errors
    assert IUDPTransport.providedBy(port)
    assert IListeningPort.providedBy(port)


def link_local() -> tuple[str, int] | None:
    """An address of this machine that means nothing without a scope, and its scope."""
    try:
        lines = Path("/proc/net/if_inet6").read_text("ascii").splitlines()
    except OSError:
        return None
    for raw, scope, _, kind, *_ in map(str.split, lines):
        if kind == "20":
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(raw)), int(scope, 16)
    return None


@pytest.mark.skipif(link_local() is None, reason="this machine has no link-local address")
@pytest.mark.parametrize("kind", OURS)
def test_an_answer_to_a_neighbour_goes_out_where_the_question_came_in(kind: str, worlds: Make) -> None:
    world = worlds(kind, "udp6")
    found = link_local()
    assert found is not None
    host, scope = found
    cls = KINDS[kind][1]
    port: FastDatagramPort = cls(0, Recording(world, echo), "::", reactor=world.reactor)
    port.startListening()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as here:
        here.setblocking(False)
        here.bind((host, 0, 0, scope))
        for burst in (1, 1, 1, 9):
            sent = numbers(here, (host, port.getHost().port, 0, scope), burst)
            world.settle()
            assert world.heard(here) == sent
    assert {len(sender) for sender in port.protocol.senders} == {2}
    port.stopListening()
    world.settle()
