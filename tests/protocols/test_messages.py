"""Messages as a peer of the service sees them, on a simulated network."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost

from tests.peers import Peer, datagram_peer
from tests.protocols.messaging import PORT, Told, client_of, dial, serve
from twistnet.config import DatagramConfig
from twistnet.policies.guarded_datagrams import GuardedDatagramProtocol
from twistnet.protocols.messages import MessageDatagramProtocol, MessageFactory
from twistnet.simulation import CutAt, Fixed, Network, OneByte, Partition, RandomSizes, Reset
from twistnet.wire.messages import FRAMINGS, encode_reply, make_framer

NESTED = {"list": [1, [2.5, [None, True]], []], "text": "a\nb \N{GRINNING FACE}", "object": {"": {"{": "}"}}}
LINKS = [
    pytest.param(link, id=name, marks=pytest.mark.network(link=link))
    for name, link in (
        ("whole", {}),
        ("by octets", {"slicing": OneByte()}),
        ("in sevens", {"slicing": Fixed(7), "latency": 0.01, "loss": 0.02}),
        ("at random", {"slicing": RandomSizes(1, 900), "latency": 0.02, "jitter": 0.01, "loss": 0.05}),
    )
]


def question(number: Any, value: Any) -> bytes:
    """A request on a line."""
    return encode_reply(number, value) + b"\n"


def replies(octets: bytes, framing: str = "lines") -> list[Any]:
    """What came, as the standard library reads it."""
    return [json.loads(frame) for frame in make_framer(framing).feed(octets)]


def answers(network: Network, peer: Peer, octets: bytes) -> list[Any]:
    """The replies to octets with which a peer finishes."""
    peer.say(octets, finish=True)
    return replies(network.run(peer.ended))


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("allowed", [{}, {"rate": 1_000_000, "idle_timeout": 60}], ids=str)
def test_messages_are_answered_over_any_link(
    network: Network, link: object, framing: str, allowed: Any
) -> None:
    serve(network, framing=framing, allowed=allowed)
    peer = dial(network)
    texts = [encode_reply(number, [NESTED, number]) for number in range(30)]
    peer.say(b"".join(map(make_framer(framing).encode, texts)), finish=True)
    received = replies(network.run(peer.ended), framing)
    assert received == [{"id": number, "value": [NESTED, number]} for number in range(30)]
    peer.transport.loseConnection()
    assert network.run(peer.lost) is ConnectionDone


def test_a_conversation_cut_at_every_place() -> None:
    data = question(1, NESTED) + b"[1,\r\n" + b'{"id":"2","value":"raise it"}'
    expected = None
    for cut in range(len(data)):
        with Network(link={"slicing": CutAt((cut,))} if cut else {}) as network:
            serve(network)
            received = answers(network, dial(network), data)
            expected = expected or received
            assert received == expected
            assert [reply["id"] for reply in received] == [1, None, "2"]


def test_what_is_no_request_is_told_so_and_the_connection_lives_on(network: Network) -> None:
    serve(network, max_depth=3)
    bad = [b"", b"hello", b"[1]", b'{"id":7}', b'{"id":8,"value":[[[]]]}', b'{"id":"\xff","value":1}']
    received = answers(network, dial(network), b"\n".join(bad) + b"\n" + question(9, [1]))
    assert [(reply["id"], reply["error"]["code"]) for reply in received[:-1]] == [
        (None, "bad-json"),
        (None, "bad-json"),
        (None, "bad-request"),
        (7, "bad-request"),
        (8, "too-deep"),
        (None, "bad-json"),
    ]
    assert received[-1] == {"id": 9, "value": [1]}


@pytest.mark.parametrize(
    ("framing", "broken"),
    [("lines", b"x" * 5000), ("length", b"\xff\xff"), ("netstring", b"5:hello;"), ("netstring", b"{")],
)
def test_broken_framing_is_told_and_ends_the_connection(
    network: Network, framing: str, broken: bytes
) -> None:
    """Once what came before it is answered, however long that takes."""
    serve(network, framing=framing, max_message=4096)
    peer = dial(network)
    encode = make_framer(framing).encode
    peer.say(encode(encode_reply(1, 0.5)) + encode(encode_reply(2, "x")) + broken + b"more" * 10_000)
    received = replies(network.run(peer.ended), framing)
    assert [reply["id"] for reply in received] == [2, None, 1]
    assert received[1]["error"]["code"] == "bad-frame"
    peer.transport.loseConnection()
    assert network.run(peer.lost) is ConnectionDone


def test_errors_of_the_handler(network: Network) -> None:
    """What it says on purpose is told, anything else is not, and is one entry in the log."""
    serve(network)
    with network.expected_errors(ZeroDivisionError, Exception) as logged:
        received = answers(
            network,
            dial(network),
            b"".join(map(question, range(5), ["refuse", "raise", "object", "still there", "unsayable"])),
        )
    assert received == [
        {"id": 0, "error": {"code": "no-such-user", "message": "nobody\nis called that"}},
        {"id": 1, "error": {"code": "failed", "message": "the handler failed"}},
        {"id": 2, "error": {"code": "failed", "message": "the handler failed"}},
        {"id": 3, "value": "still there"},
        {"id": 4, "error": {"code": "failed", "message": "the handler failed"}},
    ]
    assert len(logged) == 3


def test_a_reply_that_is_too_long_is_an_error(network: Network) -> None:
    """As numbers may become longer when they are written."""
    serve(network, max_message=4096)
    (received,) = answers(network, dial(network), question(1, [1e5] * 500).replace(b"100000.0", b"1e5"))
    assert (received["id"], received["error"]["code"]) == (1, "too-large")


# What takes time


def test_replies_go_out_as_they_are_ready(network: Network) -> None:
    serve(network)
    times = [3.0, 1.0, "now", 2.0]
    peer = dial(network)
    peer.say(b"".join(map(question, range(4), times)))
    network.advance(2.5)
    assert [reply["id"] for reply in replies(peer.received)] == [2, 1, 3]
    network.advance(1)
    assert [reply["id"] for reply in replies(peer.received)] == [2, 1, 3, 0]


def test_a_peer_that_has_finished_is_answered_before_it_is_closed(network: Network) -> None:
    serve(network, in_flight=2)
    received = answers(network, dial(network), b"".join(question(n, 1.5) for n in range(5)))
    assert sorted(reply["id"] for reply in received) == list(range(5))
    assert network.clock.now == pytest.approx(4.5, abs=0.1)


@pytest.mark.parametrize("in_flight", [1, 7, 100])
def test_no_more_than_so_many_are_under_way(network: Network, in_flight: int) -> None:
    """The others wait, most of them in the peer."""
    told = serve(network, in_flight=in_flight)
    peer = dial(network)
    peer.say(b"".join(question(n, 1.0) for n in range(300)), finish=True)
    network.run(peer.ended)
    assert (told.most, told.asked) == (in_flight, 300)
    assert sorted(reply["id"] for reply in replies(peer.received)) == list(range(300))


def test_no_more_octets_than_one_longest_message_and_one_more_are_under_way(network: Network) -> None:
    told = serve(network, max_message=10_000, framing="lines")
    peer = dial(network)
    for number in range(10):
        peer.say(question(number, 1.0).replace(b"1.0", b"1." + b"0" * 6000))
    peer.say(b"", finish=True)
    network.run(peer.ended)
    assert (told.most, told.asked) == (2, 10)


def test_what_is_under_way_is_cancelled_when_the_connection_is_lost(network: Network) -> None:
    told = serve(network)
    peer = dial(network)
    peer.say(b"".join(question(n, 60.0) for n in range(10)))
    network.advance(0.5)
    network.begin(Reset("client", "server"))
    network.run(peer.lost)
    network.advance(1)
    assert (told.under_way, told.cancelled) == (0, 10)


def test_a_handler_that_takes_too_long_is_cancelled(network: Network) -> None:
    told = serve(network, timeout=2)
    received = answers(network, dial(network), b"".join(map(question, range(3), [60.0, "for ever", 1.0])))
    assert [(reply["id"], reply.get("error", {}).get("code")) for reply in received] == [
        (2, None),
        (0, "timeout"),
        (1, "timeout"),
    ]
    assert told.cancelled == 1
    assert network.clock.now == pytest.approx(2, abs=0.1)


# Peers that do not read, and networks that do not carry


def test_a_peer_that_does_not_read_is_not_read_from(network: Network) -> None:
    told = serve(network)
    peer = dial(network, reads=False)
    peer.say(b"".join(question(n, "x" * 1000) for n in range(3000)), finish=True)
    network.advance(60)
    assert told.asked < 1500, "so much fits into the buffers of two kernels and the transport"
    peer.read()
    assert [reply["id"] for reply in replies(network.run(peer.ended))] == list(range(3000))


def test_many_replies_are_written_at_once(network: Network) -> None:
    serve(network)
    peer = dial(network)
    peer.say(b"".join(question(n, None) for n in range(1000)), finish=True)
    assert len(replies(network.run(peer.ended))) == 1000
    assert peer.pieces < 60, "in pieces as long as the network carries"


def test_a_partition_delays_and_loses_nothing(network: Network) -> None:
    serve(network)
    peer = dial(network)
    for number in range(20):
        peer.say(question(number, NESTED))
        if number == 10:
            with network.fault(Partition("client", "server")):
                network.advance(30)
        network.advance(0.1)
    peer.say(b"", finish=True)
    assert [reply["id"] for reply in replies(network.run(peer.ended))] == list(range(20))


PIECES = st.lists(
    st.binary(max_size=30)
    | st.sampled_from(
        [
            b"\n",
            b'{"id":',
            b'"value":',
            b"[" * 100,
            b"}" * 3,
            b"5:",
            b"\0\0\0\4",
            b",",
            b'"',
            b"1.0",
            b'"raise"',
        ]
    )
    | st.builds(question, st.integers(0, 9), st.sampled_from([1.0, NESTED, "refuse", None])),
    max_size=12,
)


@settings(max_examples=60)
@given(PIECES, st.sampled_from(list(FRAMINGS)), st.sampled_from([None, OneByte(), RandomSizes(1, 20)]))
def test_whatever_comes_is_answered_or_ends_the_connection(
    pieces: list[bytes], framing: str, slicing: Any
) -> None:
    """And every reply is one."""
    with (
        Network(link={"slicing": slicing} if slicing else {}) as network,
        network.expected_errors(ZeroDivisionError),
    ):
        serve(network, framing=framing, max_message=4096, in_flight=2)
        peer = dial(network)
        peer.say(b"".join(pieces), finish=True)
        for reply in replies(network.run(peer.ended), framing):
            assert set(reply) in ({"id", "value"}, {"id", "error"})
        network.advance(70)
        survivor = client_of(network, framing)
        assert network.run(survivor.request("still there")) == "still there"


def test_wrong_arguments_are_told_at_once() -> None:
    for wrong in (
        {"framing": "xml"},
        {"in_flight": 0},
        {"max_depth": 0},
        {"max_depth": 251},
        {"max_message": 10},
        {"timeout": 1},
    ):
        with pytest.raises(ValueError, match=r"xml|in_flight|max_depth|max_message|timeout"):
            MessageFactory(lambda value: value, **wrong)


# Datagrams


def serve_datagrams(network: Network, *, guarded: bool = True, **limits: Any) -> Told:
    """Messages over UDP."""
    server = network.host("server")
    told = Told(server)
    inner = MessageDatagramProtocol(told, server, **limits)
    server.listenUDP(
        PORT,
        GuardedDatagramProtocol(inner, DatagramConfig(), server) if guarded else inner,
        maxPacketSize=65536,
    )
    return told


def test_one_datagram_is_one_message(network: Network) -> None:
    serve_datagrams(network)
    peer = datagram_peer(network.host("client"), network.hosts["server"], PORT)
    sent = [encode_reply(1, NESTED), b"", b"\xff", encode_reply(2, 1.0), encode_reply(3, "refuse") + b"\n"]
    for datagram in sent:
        peer.transport.write(datagram)
    network.advance(3)
    got = [json.loads(datagram) for datagram in peer.received]
    assert got[0] == {"id": 1, "value": NESTED}
    assert [reply.get("error", {}).get("code") for reply in got] == [
        None,
        "bad-json",
        "bad-json",
        "no-such-user",
        None,
    ]
    assert got[-1] == {"id": 2, "value": 1.0}


def test_too_many_datagrams_under_way_are_told(network: Network) -> None:
    told = serve_datagrams(network, in_flight=2)
    peer = datagram_peer(network.host("client"), network.hosts["server"], PORT)
    for number in range(3):
        peer.transport.write(encode_reply(number, 1.0))
    peer.transport.write(b"{}")
    network.advance(5)
    got = [json.loads(datagram) for datagram in peer.received]
    assert [(reply["id"], reply.get("error", {}).get("code")) for reply in got] == [
        (2, "busy"),
        (None, "bad-request"),
        (0, None),
        (1, None),
    ]
    assert told.asked == 2


class Counting(MessageDatagramProtocol):
    """Counts what comes."""

    count = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.count += 1
        super().datagramReceived(datagram, addr)


def test_two_services_do_not_tell_each_other_of_errors_for_ever(network: Network) -> None:
    """Though neither has a guard, and one seems to have asked the other."""
    services = []
    for host in (network.host("one"), network.host("other")):
        services.append(Counting(Told(host)))
        host.listenUDP(PORT, services[-1])
    services[0].transport.write(b"nonsense", (network.hosts["other"].addresses[0], PORT))
    network.advance(5)
    assert [service.count for service in services] == [1, 1]


def test_a_reply_that_no_datagram_can_carry_is_an_error(network: Network) -> None:
    serve_datagrams(network)
    peer = datagram_peer(network.host("client"), network.hosts["server"], PORT)
    peer.transport.write(encode_reply(1, [1e5] * 15_000).replace(b"100000.0", b"1e5"))
    network.advance(1)
    assert [json.loads(datagram)["error"]["code"] for datagram in peer.received] == ["too-large"]


def test_what_is_under_way_is_cancelled_when_the_port_is_closed(network: Network) -> None:
    server = network.host("server")
    told = Told(server)
    port = server.listenUDP(PORT, MessageDatagramProtocol(told, server))
    peer = datagram_peer(network.host("client"), server, PORT)
    peer.transport.write(encode_reply(1, 60.0))
    network.advance(1)
    network.run(port.stopListening())
    assert (told.under_way, told.cancelled) == (0, 1)


def test_a_reset_is_no_error_of_ours(network: Network, lines: list[str]) -> None:
    serve(network)
    peer = dial(network)
    peer.say(question(1, "x"))
    network.advance(1)
    network.begin(Reset("client", "server"))
    assert network.run(peer.lost) is ConnectionLost
    assert lines == []
