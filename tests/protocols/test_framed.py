"""`FramedProtocol`: which events come, in which order, and which never do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory
from twisted.internet.testing import StringTransport

from tests.peers import Peer, connect
from twistnet import (
    ConnectionConfig,
    FramedProtocol,
    LengthFramer,
    LineFramer,
    LocalProtocolError,
    NetstringFramer,
    RemoteProtocolError,
    guard,
)
from twistnet.protocols.farewell import LINGER
from twistnet.simulation import CutAt, Fixed, Network, OneByte, RandomSizes
from twistnet.wire.framing import Framer

PORT = 7


class Recorder(FramedProtocol):
    """Keeps what happens; a frame that begins with `!` names methods of its own, or of the transport's, to be called."""

    reason: Any = None

    def __init__(self, framer: Framer, clock: Any = None) -> None:
        super().__init__(framer, clock)
        self.events: list[Any] = []
        self.within = 0

    def frameReceived(self, frame: bytes) -> None:
        self.within += 1
        assert self.within == 1, "a frame within a frame"
        self.events.append(frame)
        for word in frame.decode("latin-1").split()[1:] if frame.startswith(b"! ") else []:
            (getattr(self, word, None) or getattr(self.transport, word))()
        self.within -= 1

    def endReceived(self) -> None:
        self.events.append("end")
        super().endReceived()

    def framingFailed(self, error: RemoteProtocolError) -> None:
        self.events.append(str(error))
        super().framingFailed(error)

    def connectionLost(self, reason: Any = None) -> None:
        super().connectionLost(reason)
        self.events.append(reason.type)


class Answering(Recorder):
    """Sends each frame back."""

    def frameReceived(self, frame: bytes) -> None:
        self.sendFrame(frame)
        super().frameReceived(frame)


def serve(
    network: Network, make: Callable[[Any], FramedProtocol], *, reads: bool = True, **allowed: Any
) -> tuple[Any, Peer]:
    """A protocol of a server, and its peer."""
    made = []

    def build() -> FramedProtocol:
        made.append(make(server))
        return made[-1]

    server = network.host("server")
    factory: Any = Factory.forProtocol(build)
    factory = guard(factory, ConnectionConfig(**allowed), clock=server)
    factory.noisy = False
    server.listenTCP(PORT, factory)
    peer = connect(network, network.host("client"), "server", PORT, reads=reads)
    network.settle()
    return made[0], peer


def lines(clock: Any) -> Recorder:
    """A recorder of lines."""
    return Recorder(LineFramer(), clock)


def talk(network: Network, data: bytes, **settings: Any) -> tuple[list[Any], Peer]:
    """What a recorder of lines hears of a peer that says something and goes on."""
    recorder, peer = serve(network, lines, **settings)
    peer.say(data)
    network.settle()
    return recorder.events, peer


FRAMES = [b"", b"hello", b"\x00\xff", b"x" * 3000, b"", b"12:"]
LINKS = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (
        ("whole", {}),
        ("by octets", {"slicing": OneByte()}),
        ("in sevens", {"slicing": Fixed(7), "latency": 0.01, "loss": 0.02}),
        ("at random", {"slicing": RandomSizes(1, 900), "latency": 0.02, "jitter": 0.01, "loss": 0.05}),
    )
]
FRAMERS: list[Callable[[], Framer]] = [LineFramer, lambda: LengthFramer(2), NetstringFramer]


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("make", FRAMERS)
@pytest.mark.parametrize("allowed", [{}, {"rate": 100_000, "idle_timeout": 60}])
def test_frames_are_answered_over_any_link_then_the_end(
    network: Network, link: object, make: Callable[[], Framer], allowed: dict[str, Any]
) -> None:
    recorder, peer = serve(network, lambda clock: Answering(make(), clock), **allowed)
    peer.say(b"".join(map(make().encode, FRAMES)), finish=True)
    assert list(make().feed(network.run(peer.ended))) == FRAMES
    peer.transport.loseConnection()
    assert network.run(peer.lost) is ConnectionDone
    network.settle()
    assert recorder.events == [*FRAMES, "end", ConnectionDone]


def test_a_conversation_cut_at_every_place() -> None:
    data = b"a\r\n\nhello\nunfinished"
    for cut in range(1, len(data)):
        with Network(link={"slicing": CutAt((cut,))}) as network:
            recorder, peer = serve(network, lines)
            peer.say(data, finish=True)
            network.run(peer.ended)
            assert recorder.events[:4] == [
                b"a",
                b"",
                b"hello",
                f"the stream ends within a line at octet {len(data)}",
            ]


@given(
    pieces=st.lists(
        st.sampled_from(
            [b"\n", b"x" * 20, b"! pauseProducing\n", b"! resumeProducing\n", b"! close\n", b"\r"]
        )
        | st.binary(max_size=9).filter(lambda piece: b"!" not in piece),
        max_size=12,
    ),
    slicing=st.sampled_from([OneByte(), Fixed(7), RandomSizes(1, 30)]),
)
def test_whatever_comes_the_same_is_heard_however_it_is_cut(pieces: list[bytes], slicing: Any) -> None:
    """Frames to the first that closes, pauses between them or not, then the end or a fault, and the loss."""
    heard = []
    for each in (None, slicing):
        with Network(link={"slicing": each} if each else {}) as network:
            recorder, peer = serve(network, lambda clock: Recorder(LineFramer(max_length=25), clock))
            peer.say(b"".join(pieces), finish=True)
            for _ in range(len(pieces) + 1):
                network.settle()
                recorder.resumeProducing()
            network.advance(10)
            assert recorder.events[-1] is ConnectionDone
            heard.append(recorder.events)
    assert heard[0] == heard[1]


@pytest.mark.parametrize("way", ["loseConnection", "abortConnection", "close"])
@pytest.mark.parametrize("allowed", [{}, {"idle_timeout": 60}, {"rate": 100_000}], ids=str)
def test_no_frame_comes_after_the_connection_was_closed(
    network: Network, way: str, allowed: dict[str, Any]
) -> None:
    """Nor an end, nor a fault (tickets 6356 to 6358), though it has all been received."""
    events, peer = talk(network, b"a\n! %s\nb\n" % way.encode() + b"x" * 70_000, **allowed)
    peer.transport.loseConnection()
    network.advance(10)
    assert events[:2] == [b"a", f"! {way}".encode()]
    assert len(events) == 3
    assert events[2] in {ConnectionDone, ConnectionAborted, ConnectionLost}


def test_pausing_within_a_frame_stops_at_once_and_resuming_goes_on(network: Network) -> None:
    recorder, peer = serve(network, lines)
    peer.say(b"a\n! pauseProducing\nb\n! pauseProducing\nc\n", finish=True)
    network.settle()
    assert recorder.events == [b"a", b"! pauseProducing"]
    recorder.resumeProducing()
    assert recorder.events[2:] == [b"b", b"! pauseProducing"]
    recorder.resumeProducing()
    assert recorder.events[4:] == [b"c"]
    network.settle()
    assert recorder.events[5:6] == ["end"]


def test_resuming_within_a_frame_delivers_nothing_within_it(network: Network) -> None:
    """The recorder would notice; and reading goes on afterwards."""
    events, peer = talk(network, b"! pauseProducing resumeProducing\n! resumeProducing\nb\n")
    peer.say(b"c\n", finish=True)
    network.settle()
    assert events[2:5] == [b"b", b"c", "end"]


def test_pausing_stops_the_reading(network: Network) -> None:
    """So that a peer cannot fill the memory of one that waits."""
    recorder, peer = serve(network, lines)
    peer.say(b"! pauseProducing\n")
    network.settle()
    peer.say(b"x" * 60_000 + b"\n" + b"y" * 8_000_000)
    network.advance(10)
    assert len(peer.transport._tempDataBuffer) or len(peer.transport.dataBuffer)
    assert recorder.events == [b"! pauseProducing"]
    recorder.resumeProducing()
    network.settle()
    assert recorder.events[1] == b"x" * 60_000


def test_a_peer_that_does_not_read_is_not_read_from(network: Network) -> None:
    """Until it does; and pausing for another reason is not ended by that."""
    recorder, peer = serve(network, lambda clock: Answering(LineFramer(), clock), reads=False)
    line = b"x" * 999 + b"\n"
    for _ in range(8000):
        peer.say(line)
    network.advance(30)
    received = len(recorder.events)
    assert received < 7000
    recorder.pauseProducing()
    peer.read()
    network.advance(30)
    assert len(recorder.events) == received
    recorder.resumeProducing()
    network.settle()
    assert len(recorder.events) == 8000
    assert peer.received == line * 8000


def test_a_broken_frame_is_one_line_and_what_was_written_arrives(
    network: Network, request: pytest.FixtureRequest
) -> None:
    """Though the peer goes on sending: no reset destroys it. And a peer that never closes is closed."""
    logged: list[str] = request.getfixturevalue("lines")
    recorder, peer = serve(network, lambda clock: Answering(NetstringFramer(100_000), clock))
    peer.say(b"60000:%b,5:hello.nonsense" % (b"x" * 60_000) + b"y" * 500_000)
    assert network.run(peer.ended) == b"60000:%b," % (b"x" * 60_000)
    assert recorder.events[1:] == ["no comma after a netstring at octet 60014"]
    assert logged == [
        f"closing {peer.transport.getHost().host}:{peer.transport.getHost().port}: {recorder.events[1]}"
    ]
    ended = network.clock.now
    while not peer.lost.called and network.clock.now < ended + 10 * LINGER:
        peer.say(b"still here")
        network.advance(0.1)
    assert network.run(peer.lost) in {ConnectionLost, ConnectionDone}
    assert network.clock.now - ended < LINGER + 1


@pytest.mark.parametrize(
    ("sent", "heard"),
    [(b"a\nb", ["the stream ends within a line at octet 3"]), (b"a\n", ["end"])],
)
def test_an_end_within_a_frame_is_a_fault(network: Network, sent: bytes, heard: list[Any]) -> None:
    recorder, peer = serve(network, lines)
    peer.say(sent, finish=True)
    network.run(peer.ended)
    network.settle()
    assert recorder.events == [b"a", *heard, ConnectionDone]


def test_a_last_line_without_an_end_can_count(network: Network) -> None:
    recorder, peer = serve(network, lambda clock: Answering(LineFramer(unterminated=True), clock))
    peer.say(b"a\nb", finish=True)
    assert network.run(peer.ended) == b"a\nb\n"
    network.settle()
    assert recorder.events == [b"a", b"b", "end", ConnectionDone]


class Late(Recorder):
    """Answers later than the peer has finished."""

    def endReceived(self) -> None:
        self.events.append("end")


def test_what_is_owed_can_be_sent_after_the_peer_has_finished(network: Network) -> None:
    """Pausing and resuming meanwhile brings no second end."""
    late, peer = serve(network, lambda clock: Late(LineFramer(), clock))
    peer.say(b"question\n", finish=True)
    network.settle()
    late.pauseProducing()
    late.resumeProducing()
    network.settle()
    assert late.events == [b"question", "end"]
    late.sendFrame(b"x" * 60_000)
    late.close()
    assert network.run(peer.ended) == b"x" * 60_000 + b"\n"
    network.settle()
    assert late.events[2:] == [ConnectionDone]


def test_a_close_that_the_peer_s_reading_holds_up_happens_once_it_reads(network: Network) -> None:
    recorder, peer = serve(network, lines, reads=False)
    recorder.transport.write(b"x" * 5_000_000)
    network.advance(1)
    recorder.close()
    peer.say(b"more\n")
    network.advance(1)
    peer.read()
    assert len(network.run(peer.ended)) == 5_000_000
    assert recorder.events == []


def test_what_cannot_be_framed_raises_and_sends_nothing() -> None:
    protocol, transport = FramedProtocol(LineFramer()), StringTransport()
    protocol.makeConnection(transport)
    with pytest.raises(LocalProtocolError):
        protocol.sendFrame(b"a\nb")
    protocol.dataReceived(b"ignored\n")
    assert transport.value() == b""


class Refusing(Recorder):
    """Does nothing about a fault."""

    def framingFailed(self, error: RemoteProtocolError) -> None:
        self.events.append(str(error))


def test_a_fault_is_told_once_even_to_who_does_not_close() -> None:
    protocol, transport = Refusing(NetstringFramer()), StringTransport()
    protocol.makeConnection(transport)
    for _ in range(3):
        protocol.dataReceived(b"nonsense")
    assert protocol.events == ["no length and colon of a netstring at octet 0"]
    protocol.close()
    assert transport.disconnecting


def test_a_subclass_may_have_a_producer_of_its_own() -> None:
    class Own(Recorder):
        backpressure = False

    protocol, transport = Own(LineFramer()), StringTransport()
    protocol.makeConnection(transport)
    assert transport.producer is None
    protocol.close()
    assert transport.disconnecting
