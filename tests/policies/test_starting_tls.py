"""TLS that a protocol starts on a connection that policies hold back."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import deferLater

from tests.peers import Peer, connect
from tests.policies.serving import PORT, Served, Told, settings
from tests.simulation.other_code.certificates import certificate, trust_root
from twistnet.simulation import Fixed, KernelConfig, Network

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""

GUARDS: list[tuple[dict[str, Any], ...]] = [
    (),
    ({"idle_timeout": 60},),
    ({"rate": 5000},),
    ({"high_water_mark": 100},),
    ({"rate": 5000}, {"rate": 3000}),
    ({"rate": 3000}, {"rate": 5000}),
    ({"rate": 3000}, {"idle_timeout": 60}, {"rate": 5000}),
]
"""From the inside out; the first is nothing at all."""
TEXT = b"all of it " * 2000


def serve(network: Network, guards: tuple[dict[str, Any], ...], received: Any) -> Served:
    served = Served(network.host("server"), lambda: Told(received=received), *(settings(**g) for g in guards))
    network.run(served.listen())
    return served


def start_tls(protocol: Told) -> None:
    protocol.transport.startTLS(certificate("server").options())


def ask_for_tls(peer: Peer) -> None:
    peer.transport.startTLS(optionsForClientTLS("server", trust_root()))


@pytest.mark.parametrize("guards", GUARDS)
def test_what_is_said_before_and_after(network: Network, guards: Any) -> None:
    def received(protocol: Told, data: bytes) -> None:
        if protocol.data == b"starttls":
            protocol.transport.write(b"go")
            start_tls(protocol)
        elif len(protocol.data) == len(b"starttls" + TEXT):
            assert ISSLTransport.providedBy(protocol.transport)
            protocol.transport.write(TEXT)

    served = serve(network, guards, received)
    peer = connect(network, network.host("client"), "server", PORT)
    peer.say(b"starttls")
    network.advance(1)
    assert peer.received == b"go"
    ask_for_tls(peer)
    peer.say(TEXT)
    network.advance(50)
    assert (served.made[0].data, peer.received) == (b"starttls" + TEXT, b"go" + TEXT)
    served.made[0].transport.loseConnection()
    network.advance(1)
    assert served.made[0].is_lost
    assert served.server.getDelayedCalls() == []


@pytest.mark.parametrize(
    "guards", [*GUARDS, ({"rate": 5000, "burst": 1},), ({"rate": 99, "burst": 1}, {"rate": 98})]
)
@pytest.mark.parametrize("link", [{}, {"slicing": Fixed(50)}], ids=["plain", "in pieces"])
@pytest.mark.parametrize("pauses", [False, True])
@pytest.mark.parametrize("seconds", [0, 0.5])
def test_a_peer_that_does_not_wait_for_the_answer(
    network: Network, guards: Any, link: Any, pauses: bool, seconds: float
) -> None:
    """Some of its handshake has been delivered when TLS is started, some is held, and some was not read yet."""
    rest = []

    def received(protocol: Told, data: bytes) -> None:
        if ISSLTransport.providedBy(protocol.transport):
            return
        rest.append(protocol.events.pop())
        protocol.events.append(b"")
        if len(rest) == 1:
            if pauses:
                protocol.transport.pauseProducing()
            deferLater(served.server, seconds, begin, protocol)

    def begin(protocol: Told) -> None:
        start_tls(protocol)
        if handed_on := b"".join(rest).removeprefix(b"s"):
            protocol.transport.protocol.dataReceived(handed_on)
        if pauses:
            protocol.transport.resumeProducing()

    network.default_link(**link)
    served = serve(network, guards, received)
    peer = connect(network, network.host("client"), "server", PORT)
    peer.say(b"s")
    ask_for_tls(peer)
    peer.say(b"hello")
    network.advance(100)
    assert served.made[0].data == b"hello"


@pytest.mark.parametrize("guards", GUARDS)
def test_a_protocol_that_hands_on_what_it_had_read(network: Network, guards: Any) -> None:
    """As on a bare transport, `transport.protocol` is TLS from then on."""

    def received(protocol: Told, data: bytes) -> None:
        if not ISSLTransport.providedBy(protocol.transport):
            protocol.events[-1] = b""
            protocol.transport.startTLS(certificate("server").options())
            protocol.transport.protocol.dataReceived(data)
        elif protocol.data == b"hello":
            protocol.transport.write(b"hello to you")

    served = serve(network, guards, received)
    peer = connect(network, network.host("client"), "server", PORT)
    ask_for_tls(peer)
    peer.say(b"hello")
    network.advance(10)
    assert (served.made[0].data, peer.received) == (b"hello", b"hello to you")


@pytest.mark.parametrize("more", [{}, {"rate": 5000}])
def test_tls_that_is_started_while_a_policy_closes_does_not_keep_it_open(network: Network, more: Any) -> None:
    """A peer that does not read is aborted when it has been given its time, whatever the protocol does meanwhile."""
    guards = ({"lifetime": 10, "graceful_timeout": 2, "handshake_timeout": 100, **more},)
    served = serve(network, guards, None)
    peer = connect(
        network, network.host("client", config=KernelConfig(receive_buffer=1000)), "server", PORT, reads=False
    )
    network.advance(1)
    served.made[0].transport.write(b"x" * 1_000_000)
    network.advance(10)
    assert not served.made[0].is_lost
    start_tls(served.made[0])
    network.advance(1.1)
    assert served.made[0].is_lost
    assert served.server.getDelayedCalls() == []
    assert peer.received == b""
