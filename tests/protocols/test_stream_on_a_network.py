"""Stream protocols on a simulated network: octet by octet, over loss, through partitions, with peers of every kind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost

from tests.peers import Peer, connect
from twistnet import EchoFactory, StreamFactory, UpperFactory
from twistnet.protocols.one_shot import LINGER, PAUSE
from twistnet.simulation import CutAt, Fixed, Host, Network, OneByte, RandomSizes, Reset

PORT = 7
ROUGH = {"latency": 0.02, "jitter": 0.01, "loss": 0.05, "duplicate": 0.05, "slicing": RandomSizes(1, 700)}
BY_OCTETS = {"latency": 0.02, "loss": 0.01, "slicing": OneByte()}
SLOW = {"latency": 0.1, "rate": 100_000.0}
LINKS = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (("plain", {}), ("rough", ROUGH), ("by octets", BY_OCTETS), ("slow", SLOW))
]
TEXT = "naïve Straße, 日本語, \N{GRINNING FACE}" * 3


def serve(network: Network, factory: StreamFactory) -> Host:
    """A host on which a factory listens."""
    server = network.host("server")
    server.listenTCP(PORT, factory)
    return server


def dial(network: Network, factory: StreamFactory, **settings: Any) -> Peer:
    """A peer of a factory, each on its own host."""
    serve(network, factory)
    return connect(network, network.host("client"), "server", PORT, **settings)


def whole(network: Network, peer: Peer, question: bytes) -> bytes:
    """What a peer is answered that asks one question and finishes."""
    peer.say(question, finish=True)
    answer = network.run(peer.ended)
    peer.transport.loseConnection()
    assert network.run(peer.lost) is ConnectionDone
    return answer


# Echo and upper


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("octets", [0, 1, 1023, 1024, 1025, 5000])
def test_the_answer_is_as_long_as_the_question(network: Network, link: object, octets: int) -> None:
    """And is whole before the end: what came before a half-close is answered."""
    question = network.random.randbytes(octets)
    assert whole(network, dial(network, EchoFactory()), question) == question


@pytest.mark.network(link=ROUGH)
def test_a_megabyte_over_a_rough_link(network: Network) -> None:
    question = network.random.randbytes(1_000_000)
    assert whole(network, dial(network, UpperFactory()), question) == question.upper()


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-7", "gb18030"])
def test_characters_are_whole_however_they_are_cut(network: Network, link: object, encoding: str) -> None:
    answer = whole(network, dial(network, UpperFactory(encoding)), TEXT.encode(encoding))
    assert answer.decode(encoding) == TEXT.upper()


def test_a_character_cut_at_every_place() -> None:
    text = "aé日\N{GRINNING FACE}z"
    for cut in range(1, len(text.encode())):
        with Network(link={"slicing": CutAt((cut,))}) as network:
            peer = dial(network, UpperFactory("utf-8"))
            assert whole(network, peer, text.encode()).decode() == text.upper()


def test_a_loop_of_messages(network: Network) -> None:
    """Each is answered before the next is sent; the second peer does not wait for the first."""
    first = dial(network, UpperFactory())
    second = connect(network, network.host("other"), "server", PORT)
    for number in range(200):
        for peer in (first, second):
            peer.say(b"message %d;" % number)
        network.settle()
        assert first.received.endswith(b"MESSAGE %d;" % number)
    assert first.received == second.received


@pytest.mark.network(link={"latency": 0.03})
def test_many_peers_at_once(network: Network) -> None:
    """Three hundred, each in the middle of its own conversation."""
    serve(network, EchoFactory())
    peers = [connect(network, network.host(f"client{n}"), "server", PORT) for n in range(300)]
    for turn in range(3):
        for number, peer in enumerate(peers):
            peer.say(b"%d of %d;" % (turn, number))
    network.settle()
    for number, peer in enumerate(peers):
        assert peer.received == b"".join(b"%d of %d;" % (turn, number) for turn in range(3))


@pytest.mark.parametrize("service", [EchoFactory, UpperFactory])
def test_a_peer_that_sends_for_ever_and_reads_nothing(network: Network, service: Any) -> None:
    """Is read from no more; other peers are served meanwhile; and once it reads, nothing is lost."""
    greedy = dial(network, service(), reads=False)
    other = connect(network, network.host("other"), "server", PORT)
    block, full, sent = b"X" * 100_000, b"X" * 8_000_000, 0
    while sent < len(full):
        greedy.say(block)
        sent += len(block)
    network.advance(60)
    unsent = len(greedy.transport._tempDataBuffer) * len(block) + len(greedy.transport.dataBuffer)
    assert unsent > len(full) // 2, "everything was taken from a peer that reads nothing"
    other.say(b"SERVED")
    network.settle()
    assert other.received == b"SERVED"
    greedy.read()
    greedy.transport.loseWriteConnection()
    assert network.run(greedy.ended) == full


def test_a_partition_in_the_middle_only_delays(network: Network) -> None:
    """Three virtual minutes without a way there, in the middle of an answer, and nothing is lost."""
    peer = dial(network, UpperFactory())
    question = network.random.randbytes(300_000)
    cut = network.partition("client", "server")
    peer.say(question, finish=True)
    network.advance(180)
    assert peer.received == b""
    network.end(cut)
    assert network.run(peer.ended) == question.upper()


@pytest.mark.parametrize("factory", [EchoFactory, UpperFactory])
def test_peers_that_vanish_disturb_nobody(network: Network, factory: Any) -> None:
    """With nothing said, in the middle of a word, with an answer unread, by a reset, or by the loss of their machine."""
    server = serve(network, factory())
    client = network.host("client")
    for words in (b"", b"unfinished", b"unread" * 100_000):
        for leave in ("loseConnection", "abortConnection"):
            peer = connect(network, client, "server", PORT)
            peer.say(words)
            getattr(peer.transport, leave)()
    reset = connect(network, client, "server", PORT)
    network.begin(Reset("client", "server"))
    assert network.run(reset.lost) is ConnectionLost
    doomed = connect(network, network.host("doomed"), "server", PORT)
    doomed.say(b"x" * 1_000_000)
    network.advance(0.0015)  # some of the question has come, and its answer is on its way
    network.crash("doomed")
    survivor = connect(network, client, "server", PORT)
    survivor.say(b"STILL THERE")
    network.settle()
    assert survivor.received == b"STILL THERE"
    survivor.transport.loseConnection()
    network.advance(86_400)
    assert [type(reader).__name__ for reader in server.getReaders()] == ["TcpPort"], "no connection is left"


def test_input_that_does_not_decode_ends_the_answer(network: Network) -> None:
    """What came before it is answered though much more comes after it, and the end is no reset."""
    peer = dial(network, UpperFactory("utf-8"))
    peer.say(b"a" * 200_000 + b"\xff" + b"b" * 500_000)
    assert network.run(peer.ended) == b"A" * 200_000
    peer.transport.loseConnection()
    assert network.run(peer.lost) is ConnectionDone


@pytest.mark.network(link={"latency": 0.02, "slicing": Fixed(3)})
def test_input_that_ends_within_a_character(network: Network) -> None:
    """Is input that does not decode."""
    assert whole(network, dial(network, UpperFactory("utf-8")), "ab日".encode()[:-1]) == b"AB"


# One shot


def one_shot() -> StreamFactory:
    """A factory of upper that answers once; its clock is the global reactor, which stands for the server."""
    from twisted.internet import reactor

    clock: Any = reactor
    return UpperFactory(once=True, clock=clock)


@pytest.mark.parametrize("link", [LINKS[0], LINKS[3]])
@pytest.mark.parametrize("octets", [1, 1000, 100_000, 1_000_000])
def test_what_comes_first_is_answered_whole(network: Network, link: object, octets: int) -> None:
    """However long it is, over a link that is slow but never pauses; then the server says that it has finished."""
    peer = dial(network, one_shot())
    peer.say(b"x" * octets)
    assert network.run(peer.ended) == b"X" * octets
    peer.transport.loseConnection()
    assert network.run(peer.lost) is ConnectionDone


@pytest.mark.parametrize("pause", [PAUSE * 0.9, PAUSE * 1.1])
def test_the_pause_is_what_ends_what_comes_first(network: Network, pause: float) -> None:
    """To the millisecond."""
    peer = dial(network, one_shot())
    peer.say(b"first ")
    network.advance(pause)
    peer.say(b"second")
    assert network.run(peer.ended) == (b"FIRST SECOND" if pause < PAUSE else b"FIRST ")


def test_the_answer_survives_what_is_sent_after_it(network: Network) -> None:
    """A plain close with unread input would reset the connection, and the answer with it."""
    peer = dial(network, one_shot())
    peer.say(b"x" * 50_000)
    for _ in range(20):
        network.advance(PAUSE * 3)
        peer.say(b"more" * 1000)
    assert network.run(peer.ended) == b"X" * 50_000


def test_a_peer_that_does_not_close_is_closed(network: Network) -> None:
    """Once it has had everything, and some time to say so."""
    peer = dial(network, one_shot())
    peer.say(b"x")
    network.run(peer.ended)
    ended = network.clock.now
    while not peer.lost.called and network.clock.now < ended + 10 * LINGER:
        peer.say(b"still here")
        network.advance(0.1)
    assert network.run(peer.lost) is ConnectionLost
    assert LINGER - 0.1 < network.clock.now - ended < LINGER + 0.3


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=6),
    pause=st.sampled_from([None, 0.0, 0.001, PAUSE * 0.8]),
)
@pytest.mark.network(link={"slicing": RandomSizes(1, 10)})
def test_whatever_comes_in_whatever_pieces_one_shot_answers_it_as_a_whole(
    network: Network, pieces: list[bytes], pause: float | None
) -> None:
    peer = dial(network, one_shot())
    for piece in pieces:
        peer.say(piece)
        if pause is not None:
            network.advance(pause)
    assert network.run(peer.ended) == b"".join(pieces).upper()
