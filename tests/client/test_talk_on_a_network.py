"""`twistnet talk` on simulated networks: how a conversation goes, and how it ends."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import DatagramProtocol, Factory

from tests.peers import Peer
from twistnet.client.outcome import NetworkProblem
from twistnet.client.speech import TextSpeech
from twistnet.client.talk import talk_in_datagrams, talk_over_stream
from twistnet.client.targets import datagram_target
from twistnet.simulation import Host, Network, OneByte
from twistnet.terminal.person import Listener

WAIT = 1.0


class Somebody:
    """A person who types what a test says and keeps what is shown."""

    is_interactive = True

    def __init__(self) -> None:
        self.is_full = False
        self.shown = ""
        self.listener: Any = None
        self.stops = 0

    def start(self, listener: Listener) -> None:
        self.listener = listener

    def stop(self) -> None:
        self.stops += 1

    def show(self, text: str) -> None:
        self.shown += text

    def prompt(self, text: str) -> None:
        """Nobody looks."""

    def pause(self) -> None:
        """Nobody waits."""

    def resume(self) -> None:
        """Nobody waits."""

    @property
    def heard(self) -> str:
        """What is shown after the first line."""
        return self.shown.partition("\n")[2]


class Talk:
    """A conversation that is under way, and the other end of it."""

    def __init__(self, network: Network, *, reads: bool = True) -> None:
        self.network = network
        self.server: Host = network.host("server")
        self.peer = Peer(reads=reads)
        self.server.listenTCP(7, Factory.forProtocol(lambda: self.peer))
        self.somebody = Somebody()
        self.done = self._begin(network.host("client"), "tcp:server:7")
        network.advance(1)

    def _begin(self, client: Host, target: str) -> Deferred[int]:
        speech = TextSpeech("utf-8", "\n")
        talking: Any = talk_over_stream(client, [target], self.somebody, speech, 30.0, WAIT)
        with self.network.on(client):
            return Deferred.fromCoroutine(talking)

    def types(self, *lines: str) -> None:
        """The person types lines, each read before the next."""
        for line in lines:
            self.somebody.listener.typed(line)
            self.network.advance(0.5)


@pytest.mark.network(link={"latency": 0.01, "slicing": OneByte()})
def test_a_conversation_and_the_last_word_of_the_peer(network: Network) -> None:
    talk = Talk(network)
    talk.types("Grüße", "")
    assert talk.peer.received == "Grüße\n\n".encode()
    assert "no empty messages: the end of a line was sent" in talk.somebody.shown
    talk.peer.say("日本\r\nand".encode())
    network.advance(1)
    assert talk.somebody.heard.endswith("日本\nand")
    talk.types("q")
    talk.somebody.listener.typed("after the end")
    assert talk.peer.ended.called
    talk.peer.say(b" so on")
    talk.peer.transport.loseConnection()
    assert network.run(talk.done) == 0
    assert talk.somebody.heard.endswith("日本\nand so on")
    assert talk.peer.received == "Grüße\n\n".encode()
    assert talk.somebody.stops == 1
    network.settle()


def test_a_peer_that_does_not_close_is_given_a_while(network: Network) -> None:
    talk = Talk(network)
    began = network.clock.now
    talk.somebody.listener.input_ended()
    assert network.run(talk.done) == 0
    assert network.clock.now - began < WAIT + 0.1
    network.settle()


def test_a_peer_that_ends_it(network: Network) -> None:
    talk = Talk(network)
    talk.peer.say(b"half a charact\xc3", finish=True)
    assert network.run(talk.done) == 0
    assert talk.somebody.heard == "half a charact\\xc3\n* the peer has ended it\n"
    network.settle()


def test_a_peer_that_resets_it(network: Network) -> None:
    talk = Talk(network)
    talk.peer.transport.abortConnection()
    with pytest.raises(NetworkProblem) as raised:
        network.run(talk.done)
    assert raised.value.word == "RESET"
    assert talk.somebody.stops == 1


def test_a_peer_that_does_not_read_costs_a_bounded_buffer(network: Network) -> None:
    talk = Talk(network, reads=False)
    for _ in range(600):
        talk.somebody.listener.typed("x" * 9_999)
        network.advance(0.01)
    refused = talk.somebody.shown.count("* not sent: the peer does not read\n")
    assert refused > 0
    talk.peer.read()
    network.advance(5)
    assert len(talk.peer.received) == (600 - refused) * 10_000
    talk.types("now", "q")
    assert talk.peer.received.endswith(b"now\n")


@pytest.mark.network(link={"latency": 0.01})
def test_nobody_there(network: Network) -> None:
    network.host("server")
    for timeout, word in ((30.0, "REFUSED"), (0.001, "TIMEOUT")):
        talking: Any = talk_over_stream(
            network.host(f"client{timeout}"),
            ["tcp:server:9"],
            Somebody(),
            TextSpeech("utf-8", "\n"),
            timeout,
            WAIT,
        )
        with pytest.raises(NetworkProblem) as raised:
            network.run(talking)
        assert raised.value.word == word


class Repeats(DatagramProtocol):
    """Sends each datagram back twice."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        assert self.transport is not None
        for _ in range(2):
            self.transport.write(datagram, addr)


def test_datagrams(network: Network) -> None:
    server, client = network.host("server"), network.host("client")
    server.listenUDP(7, Repeats())
    somebody = Somebody()
    target = datagram_target(["udp:server:7"])
    assert target is not None
    speech = TextSpeech("utf-8", "", whole=True)
    done = Deferred.fromCoroutine(
        talk_in_datagrams(client, target, "udp:server:7", somebody, speech, 30.0, 0.5)
    )
    network.advance(1)
    for line in ("one", "", "x" * 70_000):
        somebody.listener.typed(line)
        network.advance(1)
    assert somebody.heard == (
        "one\n" * 2 + "* an empty datagram\n" * 2 + "* not sent: 70000 octets are too long for a datagram\n"
    )
    somebody.listener.typed("last")
    somebody.listener.typed("q")
    assert network.run(done) == 0
    assert somebody.heard.endswith("last\nlast\n")
    network.settle()


def test_datagrams_to_nobody(network: Network) -> None:
    network.host("server")
    client, somebody = network.host("client"), Somebody()
    target = datagram_target(["udp:server:7"])
    assert target is not None
    speech = TextSpeech("utf-8", "", whole=True)
    done = Deferred.fromCoroutine(
        talk_in_datagrams(client, target, "udp:server:7", somebody, speech, 30.0, 0.0)
    )
    network.advance(1)
    somebody.listener.typed("hello?")
    with pytest.raises(NetworkProblem) as raised:
        network.run(done)
    assert raised.value.word == "REFUSED"
    assert somebody.stops == 1


def test_while_no_more_can_be_shown_no_more_is_read(network: Network) -> None:
    talk = Talk(network)
    talk.somebody.is_full = True
    talk.peer.say(b"x" * 1_000_000)
    network.advance(5)
    assert len(talk.somebody.heard) <= 65536
    talk.somebody.is_full = False
    talk.somebody.listener.caught_up()
    network.advance(5)
    assert talk.somebody.heard == "x" * 1_000_000
