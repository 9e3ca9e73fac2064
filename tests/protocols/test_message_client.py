"""`MessageClient`: how each request ends, on a simulated network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, gatherResults
from twisted.internet.error import ConnectionDone, ConnectionLost, NotConnectingError
from twisted.internet.protocol import Factory, Protocol

from tests.protocols.messaging import PORT, client_of, serve
from twistnet.errors import BadMessage, LocalProtocolError, RemoteError, RemoteProtocolError
from twistnet.protocols.message_client import MessageClient
from twistnet.simulation import Fixed, Network, OneByte, Partition, RandomSizes, Reset
from twistnet.wire.messages import FRAMINGS, encode_error, encode_reply


def outcome(network: Network, reply: Deferred[Any]) -> Any:
    """The value of a reply, or what it failed with."""
    try:
        return network.run(reply)
    except Exception as error:
        return error


def noted(value: Any, order: list[int], number: int) -> Any:
    """Note whose turn it was."""
    order.append(number)
    return value


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize(
    "link",
    [
        pytest.param(link, id=name, marks=pytest.mark.network(link=link))
        for name, link in (
            ("by octets", {"slicing": OneByte()}),
            ("in sevens", {"slicing": Fixed(7), "latency": 0.01, "loss": 0.02}),
            ("at random", {"slicing": RandomSizes(1, 900), "latency": 0.02, "jitter": 0.01, "loss": 0.05}),
        )
    ],
)
def test_pipelined_requests_find_their_replies(network: Network, link: object, framing: str) -> None:
    """Whatever the order in which they are answered."""
    serve(network, framing=framing)
    client = client_of(network, framing)
    values = [{"n": [n, {"text": "a\nb"}]} if n % 3 else float(9 - n) for n in range(10)]
    order: list[int] = []
    replies = [client.request(value) for value in values]
    for number, reply in enumerate(replies):
        reply.addBoth(noted, order, number)
    assert client.outstanding == 10
    assert network.run(gatherResults(replies)) == values
    assert client.outstanding == 0
    assert order == [1, 2, 4, 5, 7, 8, 9, 6, 3, 0]


def test_errors_of_the_peer(network: Network) -> None:
    serve(network, max_depth=5)
    client = client_of(network)
    error = outcome(network, client.request("refuse"))
    assert (type(error), error.code, error.message) == (RemoteError, "no-such-user", "nobody\nis called that")
    assert str(error) == "no-such-user: nobody\\nis called that"
    assert outcome(network, client.request([[[[[[[1]]]]]]])).code == "too-deep"
    assert outcome(network, client.request("still there")) == "still there"


def test_what_cannot_be_asked_is_told_at_once(network: Network) -> None:
    serve(network)
    client = client_of(network, max_message=4096)
    for value in (object(), "x" * 5000, "\ud800"):
        with pytest.raises(LocalProtocolError):
            client.request(value)
    with pytest.raises(ValueError, match="a timeout needs a clock"):
        network.run(client_without_clock(network)).request(1, timeout=1)
    assert client.outstanding == 0
    assert outcome(network, client.request(1)) == 1


def client_without_clock(network: Network) -> Deferred[MessageClient]:
    """A client that cannot tell the time."""
    from twisted.internet.endpoints import HostnameEndpoint, connectProtocol

    endpoint = HostnameEndpoint(network.hosts["asking"], "server", PORT)
    connecting: Deferred[MessageClient] = connectProtocol(endpoint, MessageClient())
    return connecting


def test_a_timeout_is_of_one_request(network: Network) -> None:
    """The reply that comes after it is forgotten, and the others are not hurt."""
    serve(network)
    client = client_of(network)
    replies = [client.request(5.0, timeout=2), client.request(6.0), client.request(1.0, timeout=2)]
    assert isinstance(outcome(network, replies[0]), TimeoutError)
    assert network.clock.now == pytest.approx(2, abs=0.1)
    assert network.run(gatherResults(replies[1:])) == [6.0, 1.0]
    network.settle()
    assert client.outstanding == 0


def test_a_request_can_be_cancelled(network: Network) -> None:
    serve(network)
    client = client_of(network)
    cancelled, other = client.request(1.0), client.request(2.0)
    cancelled.cancel()
    assert isinstance(outcome(network, cancelled), CancelledError)
    assert client.outstanding == 1
    assert outcome(network, other) == 2.0


def test_all_fail_with_the_connection(network: Network) -> None:
    told = serve(network)
    client = client_of(network)
    replies = [client.request(60.0, timeout=100) for _ in range(5)]
    network.advance(1)
    network.begin(Reset("asking", "server"))
    assert [type(outcome(network, reply)) for reply in replies] == [ConnectionLost] * 5
    assert isinstance(outcome(network, client.request(1)), ConnectionLost)
    network.advance(1)
    assert told.cancelled == 5
    network.settle()


def test_all_fail_when_the_peer_closes(network: Network) -> None:
    class Closing(Protocol):
        def dataReceived(self, data: bytes) -> None:
            assert self.transport is not None
            self.transport.loseConnection()

    network.host("server").listenTCP(PORT, Factory.forProtocol(Closing))
    client = client_of(network)
    assert isinstance(outcome(network, client.request(1)), ConnectionDone)


def test_before_there_is_a_connection() -> None:
    reply = MessageClient().request(1)
    reply.addErrback(lambda failure: failure.trap(NotConnectingError))
    assert reply.called


class Saying(Protocol):
    """Answers whatever comes with some octets, and reads on."""

    octets = b""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(self.octets)


@pytest.mark.parametrize(
    ("said", "error", "text"),
    [
        (b"hello\n", BadMessage, "no JSON"),
        (b"[1]\n", BadMessage, "no reply"),
        (b"[" * 1000 + b"\n", BadMessage, "more than 64"),
        (b"x" * 5000, RemoteProtocolError, "a frame of more than 4096 octets"),
        (encode_error(None, "bad-frame", "what?") + b"\n", RemoteError, "bad-frame: what?"),
    ],
)
def test_a_peer_that_makes_no_sense_ends_all_requests(
    network: Network, lines: list[str], said: bytes, error: type[Exception], text: str
) -> None:
    """Whichever it was meant for; and there is no connection left."""
    factory = Factory.forProtocol(Saying)
    factory.protocol.octets = said  # type: ignore[union-attr]
    network.host("server").listenTCP(PORT, factory)
    client = client_of(network, max_message=4096)
    replies = [client.request(1), client.request(2)]
    for reply in (*replies, client.request(3)):
        failed = outcome(network, reply)
        assert isinstance(failed, error)
        assert str(failed).startswith(text)
    assert isinstance(outcome(network, client.request(4)), error)
    network.advance(100)
    assert network.hosts["asking"].getReaders() == []
    assert len(lines) == 1


def test_replies_that_nobody_waits_for_are_forgotten(network: Network) -> None:
    factory = Factory.forProtocol(Saying)
    said = [encode_reply("other", 1), encode_reply(99, 1), encode_reply(1, "yes"), encode_reply(1, "no")]
    factory.protocol.octets = b"\n".join(said) + b"\n"  # type: ignore[union-attr]
    network.host("server").listenTCP(PORT, factory)
    client = client_of(network)
    assert outcome(network, client.request(1)) == "yes"
    network.settle()


def test_a_partition_delays_and_loses_nothing(network: Network) -> None:
    serve(network)
    client = client_of(network)
    replies = []
    for number in range(20):
        replies.append(client.request(number))
        if number == 10:
            with network.fault(Partition("asking", "server")):
                network.advance(20)
    assert network.run(gatherResults(replies)) == list(range(20))


def test_neither_side_waits_for_the_other(network: Network) -> None:
    """Ten times as much as all buffers between them hold, asked at once, of a service that reads no further than it is
    read."""
    serve(network)
    client = client_of(network)
    replies = [client.request([number, "x" * 10_000]) for number in range(500)]
    assert [value[0] for value in network.run(gatherResults(replies))] == list(range(500))


def test_ten_thousand_nested_messages(network: Network) -> None:
    serve(network)
    client = client_of(network)
    values = [{"n": n, "nested": [[n], {"more": [n, [None]]}]} for n in range(10_000)]
    assert network.run(gatherResults(list(map(client.request, values)))) == values
    assert json.loads(json.dumps(values)) == values


@pytest.mark.parametrize("closing", ["close", "loseConnection"])
def test_closing_with_requests_outstanding_ends_them(network: Network, closing: str) -> None:
    serve(network)
    client = client_of(network)
    reply = client.request(60.0)
    (client.close if closing == "close" else client.transport.loseConnection)()
    assert isinstance(outcome(network, reply), ConnectionDone)


@given(
    st.lists(
        st.binary(max_size=20)
        | st.sampled_from(
            [b"\n", b'{"id":', b'"error":', b'"value":1}\n', b"1,", b"null,", b'{"code":"x"}}\n', b"[" * 99]
        )
        | st.sampled_from(
            [encode_reply(1, [None]), encode_error(2, "x", "y"), encode_error(None, "x", "y")]
        ).map(lambda text: text + b"\n"),
        max_size=9,
    ).map(b"".join),
    st.booleans(),
)
def test_whatever_a_peer_says_every_request_ends_once(said: bytes, closes: bool) -> None:
    with Network() as network:
        factory = Factory.forProtocol(Saying)
        factory.protocol = type("Said", (Saying,), {"octets": said})
        network.host("server").listenTCP(PORT, factory)
        client = client_of(network)
        ended: list[Any] = []
        for number in range(3):
            client.request(number, timeout=30).addBoth(ended.append)
        network.advance(1)
        if closes:
            client.transport.loseConnection()
        network.advance(100)
        assert len(ended) == 3
        assert client.outstanding == 0


def test_the_program_of_the_page_works(network: Network, capsys: pytest.CaptureFixture[str]) -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "services-list.md").read_text("utf-8")
    (program,) = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
    names: dict[str, Any] = {}
    exec(program, names)  # as a reader would
    here = network.host("server")
    with network.on(here):
        network.run(names["main"](here))
    assert capsys.readouterr().out == "[100.0, 50.0, 33.333333333333336, 25.0]\nno-such-number\n"
