"""The console on simulated networks: who says what arrives, whatever the network does, and costs no more than it may."""

from __future__ import annotations

from typing import Any

import pytest

from tests.peers import DatagramPeer, Peer, connect, datagram_peer
from twistnet import ConnectionConfig, guard
from twistnet.config import DatagramConfig
from twistnet.policies.guarded_datagrams import GuardedDatagramProtocol
from twistnet.protocols.console import (
    ANSWER_TIME,
    FORGET_AFTER,
    SOURCES,
    ConsoleDatagramProtocol,
    ConsoleFactory,
)
from twistnet.protocols.switchboard import Switchboard
from twistnet.simulation import CutAt, Host, Network, OneByte, Partition, RandomSizes

PORT = 7012
LINKS = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (
        ("plain", {}),
        ("rough", {"latency": 0.02, "jitter": 0.01, "loss": 0.05, "slicing": RandomSizes(1, 700)}),
        ("by octets", {"latency": 0.02, "loss": 0.01, "slicing": OneByte()}),
    )
]


class Operator:
    """A person who types what a test says and keeps what is shown."""

    def __init__(self, *, is_interactive: bool = True) -> None:
        self.is_interactive = is_interactive
        self.is_full = False
        self._pieces: list[str] = []
        self.before = ""
        self.paused = False

    def show(self, text: str) -> None:
        self._pieces.append(text)

    def prompt(self, text: str) -> None:
        self.before = text

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    @property
    def shown(self) -> str:
        """All that was shown."""
        return "".join(self._pieces)

    def waits(self) -> bool:
        """Whether it may not go on."""
        return self.paused

    @property
    def lines(self) -> list[str]:
        """What is shown, with names in place of addresses."""
        text = self.shown
        for number in range(1, 20):
            text = text.replace(f"10.0.0.{number}:", ":")
        return text.splitlines()


class World:
    """A host with a console, and a person at it."""

    def __init__(
        self, network: Network, *, is_interactive: bool = True, guarded: bool = True, **settings: Any
    ) -> None:
        self.network = network
        self.host: Host = network.host("server")
        self.quits = 0
        self.board = Switchboard(self._quit)
        self.operator = Operator(is_interactive=is_interactive)
        self.board.attend(self.operator)
        factory: Any = ConsoleFactory(self.board, self.host, **settings)
        if guarded:
            factory = guard(factory, ConnectionConfig(), clock=self.host)
        self.host.listenTCP(PORT, factory)
        self.datagrams = ConsoleDatagramProtocol(self.board, self.host)
        inner = GuardedDatagramProtocol(self.datagrams, DatagramConfig(), self.host)
        self.host.listenUDP(PORT, inner, maxPacketSize=65536)

    def _quit(self) -> None:
        self.quits += 1

    def peer(self, **settings: Any) -> Peer:
        """A peer, on a host of its own."""
        host = self.network.host(f"client{len(self.network.hosts)}")
        return connect(self.network, host, "server", PORT, **settings)

    def said(self) -> list[str]:
        """What peers have said, once nothing more is under way."""
        self.network.advance(10)
        return [line.partition("] ")[2] for line in self.operator.shown.splitlines() if line.startswith("[")]


@pytest.mark.parametrize("link", LINKS)
def test_many_peers_are_heard_and_answered(network: Network, link: object) -> None:
    world = World(network)
    peers = [world.peer() for _ in range(4)]
    network.advance(1)
    for number, peer in enumerate(peers):
        peer.say(f"é{number}\r\nagain\n".encode() * 20)
    assert sorted(world.said()) == sorted([*("é0", "é1", "é2", "é3"), *["again"] * 4] * 20)
    numbers = {
        int(line[1 : line.index(" ")]) for line in world.operator.shown.splitlines() if line.startswith("[")
    }
    assert numbers == {1, 2, 3, 4}
    for number in range(1, 5):
        world.board.typed(f"/to {number} for {number}")
    world.board.typed("/all Grüße")
    world.board.typed("/quit")
    assert world.quits == 1
    heard = {network.run(peer.ended) for peer in peers}
    assert heard == {f"for {number}\nGrüße\n".encode() for number in range(1, 5)}
    for peer in peers:
        peer.transport.loseConnection()
    network.advance(10)
    assert sum("has left" in line for line in world.operator.lines) == 4


def test_the_beginning_of_a_line_is_shown_after_a_while(network: Network) -> None:
    """Not every peer ends its lines; what ends it later is no empty line."""
    world = World(network)
    peer = world.peer()
    peer.say(b"hello")
    network.advance(0.4)
    peer.say(b", you")
    assert not [line for line in world.operator.lines if "hello" in line]
    assert world.said() == ["hello, you"]
    peer.say(b"\n")
    assert world.said() == ["hello, you"]
    peer.say(b"\nlast", finish=True)
    assert world.said() == ["hello, you", "", "last"]


def test_who_has_finished_is_answered_and_then_forgotten(network: Network) -> None:
    world = World(network)
    first, second = world.peer(), world.peer()
    first.say(b"hi\n", finish=True)
    network.advance(1)
    assert "has finished" in world.operator.lines[-1]
    world.board.typed("hello")
    world.board.typed("/close 1")
    assert network.run(first.ended) == b"hello\n"
    second.say(b"", finish=True)
    ended: list[bytes] = []
    second.ended.addCallback(ended.append)
    network.advance(ANSWER_TIME - 1)
    assert not ended
    network.advance(2)
    assert ended == [b""]
    network.advance(10)
    assert sum("has left" in line for line in world.operator.lines) == 2


def test_a_peer_that_does_not_read_costs_a_bounded_buffer(network: Network) -> None:
    """And the person is told, and a script waits, for as long as it takes."""
    world = World(network, guarded=False)
    peer = world.peer(reads=False)
    peer.say(b"hi\n")
    network.advance(1)
    line = "x" * 10_000
    for _ in range(1000):
        world.board.typed(line)
        network.advance(0.01)
    (transport,) = {connection.transport for connection in world.board._peers.values()}  # type: ignore[attr-defined]
    assert len(transport.dataBuffer) + transport._tempDataLen < 65536 + 2 * len(line)
    assert "was not told that: it does not read" in world.operator.lines[-1]
    refused = sum("not told" in shown for shown in world.operator.lines)
    peer.read()
    network.advance(10)
    assert len(peer.received) == (1000 - refused) * (len(line) + 1)
    world.board.typed("now it does")
    network.advance(1)
    assert peer.received.endswith(b"now it does\n")


def test_a_script_waits_for_who_has_not_spoken_and_for_who_does_not_read(network: Network) -> None:
    world = World(network, is_interactive=False)
    world.board.typed("hello")
    assert world.operator.waits()
    silent, peer = world.peer(), world.peer(reads=False)
    network.advance(1)
    assert world.operator.waits()
    peer.say(b"hi\n")
    network.advance(1)
    assert not world.operator.waits()
    typed = 1
    while not world.operator.waits() and typed < 10_000:
        world.board.typed("x" * 9_999)
        typed += 1
        network.advance(0.01)
    assert world.operator.waits()
    peer.read()
    network.advance(10)
    assert not world.operator.waits()
    assert peer.received == b"hello\n" + (b"x" * 9_999 + b"\n") * (typed - 1)
    assert silent.received == b""
    world.board.input_ended()
    assert world.quits == 0


def test_a_line_too_long_ends_the_conversation(network: Network) -> None:
    world = World(network)
    peer = world.peer()
    peer.say(b"x" * 70_000)
    network.run(peer.ended)
    assert "is closed: a frame of more than 65536 octets" in world.operator.shown


def test_whoever_is_closed_hears_nothing_more_and_says_nothing_more(network: Network) -> None:
    world = World(network)
    peer = world.peer()
    peer.say(b"hi\n")
    network.advance(1)
    world.board.typed("/close 1")
    world.board.typed("hello?")
    peer.say(b"more\n")
    assert world.said() == ["hi"]
    assert "was not told that: it is being closed" in world.operator.shown
    assert "1 10" in world.operator.lines[-1] or "has left" in world.operator.lines[-1]


def test_a_connection_that_is_lost_says_why(network: Network) -> None:
    world = World(network)
    peer = world.peer()
    network.advance(1)
    peer.transport.abortConnection()
    network.advance(1)
    assert "has left: the connection was lost" in world.operator.lines[-1]


def test_each_source_of_datagrams_is_a_peer_until_it_is_silent(network: Network) -> None:
    world = World(network)
    first, second = (datagram_peer(network.host(name), world.host, PORT) for name in ("a", "b"))
    first.transport.write(b"one\ntwo")
    network.advance(1)
    second.transport.write(b"")
    network.advance(1)
    assert world.said() == ["one\\ntwo", ""]
    world.board.typed("")
    world.board.typed("/to 1 hello")
    world.board.typed("/to 1 " + "x" * 70_000)
    network.advance(FORGET_AFTER - 20)
    assert (first.received, second.received) == ([b"hello"], [b""])
    assert "70000 octets are too long for a datagram" in world.operator.lines[-1]
    world.board.typed("/to 2 still there?")
    network.advance(30)
    assert "* 1 " in world.operator.lines[-1]
    assert "has left: it was silent" in world.operator.lines[-1]
    network.advance(FORGET_AFTER)
    assert "* 2 " in world.operator.lines[-1]
    network.settle()
    first.transport.write(b"here again")
    assert world.said()[-1] == "here again"
    world.board.typed("/close 3")
    assert "* 3 " in world.operator.lines[-1]
    network.settle()


def test_a_thousand_sources_are_remembered(network: Network) -> None:
    world = World(network)
    host = network.host("many")
    for number in range(SOURCES + 5):
        world.datagrams.datagramReceived(b"x", (host.addresses[0], 2000 + number))
    assert sum("others have spoken since" in line for line in world.operator.lines) == 5
    world.datagrams.stopProtocol()
    assert sum("has left" in line for line in world.operator.lines) == SOURCES + 5
    network.settle()


def test_to_go_at_a_terminal_is_to_quit(network: Network) -> None:
    world = World(network)
    peer = world.peer()
    network.advance(1)
    world.board.input_ended()
    assert world.quits == 1
    assert network.run(peer.ended) == b""
    world.board.attend(None)
    peer.say(b"nobody sees this\n")
    assert world.said() == []


def test_lines_cut_at_every_place() -> None:
    text = "é1\r\n日\n\nlast\n".encode()
    for cut in range(1, len(text)):
        with Network(link={"slicing": CutAt((cut,))}) as network:
            world = World(network)
            peer = world.peer()
            peer.say(text)
            assert world.said() == ["é1", "日", "", "last"]
            world.board.typed("はい")
            network.advance(1)
            assert peer.received == "はい\n".encode()


def test_what_is_said_during_a_partition_arrives_after_it(network: Network) -> None:
    world = World(network)
    peer = world.peer()
    peer.say(b"before\n")
    network.advance(1)
    with network.fault(Partition("server", "client1")):
        peer.say(b"during\n")
        world.board.typed("are you there?")
        assert world.said() == ["before"]
    network.advance(60)
    assert world.said() == ["before", "during"]
    assert peer.received == b"are you there?\n"


def test_an_answer_that_the_kernel_will_not_have_is_said_not_to_have_gone(network: Network) -> None:
    """Without a guard, too."""
    world = World(network)
    world.host.listenUNIXDatagram("/console", ConsoleDatagramProtocol(world.board, world.host))
    peer = DatagramPeer()
    port = world.host.listenUNIXDatagram("/peer", peer)
    peer.transport.write(b"hi", "/console")
    assert world.said() == ["hi"]
    port.stopListening()
    network.advance(1)
    world.board.typed("hello")
    assert "* 1 /peer was not told that: " in world.operator.lines[-1]


def test_while_no_more_can_be_shown_no_more_is_read(network: Network) -> None:
    world = World(network)
    peer, other = world.peer(), world.peer()
    network.advance(1)
    world.operator.is_full = True
    peer.say(b"line of text, and more of it\n" * 30_000 + b"unfinished")
    assert world.said() == ["line of text, and more of it"]
    assert len(peer.transport.dataBuffer) > 50_000
    other.say(b"me too\n" * 2)
    assert world.said() == ["line of text, and more of it", "me too"]
    world.operator.is_full = False
    world.board.caught_up()
    assert sorted(world.said()) == ["line of text, and more of it"] * 30_000 + ["me too"] * 2 + ["unfinished"]


def test_who_is_not_heard_may_leave(network: Network) -> None:
    world = World(network)
    peer = world.peer()
    network.advance(1)
    world.operator.is_full = True
    peer.say(b"hi\n" * 3)
    assert world.said() == ["hi"]
    world.board.typed("/close 1")
    network.run(peer.ended)
    peer.transport.loseConnection()
    network.advance(10)
    assert "has left" in world.operator.lines[-1]
    world.board.caught_up()
    assert world.said() == ["hi"]
