"""The clock of one connection: what counts as silence."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, serverFromString, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import LoopingCall
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.peers import Peer
from tests.simulation.other_code.certificates import certificate, trust_root
from twistnet import ConnectionConfig, PolicyCounters, guard
from twistnet.simulation import Network

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""


class Ticks(Protocol):
    """Writes an octet a second once it is asked, and first of all more than goes to a peer that does not read."""

    transport: Any

    def __init__(self, clock: Any) -> None:
        self._next = b"x" * 2**20
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = clock

    def _tick(self) -> None:
        self.transport.write(self._next)
        self._next = b"."

    def dataReceived(self, data: bytes) -> None:
        self._ticking.start(1.0, now=False)

    def connectionLost(self, reason: object = None) -> None:
        self._ticking.stop()


@pytest.mark.parametrize("reads", [False, True])
@pytest.mark.parametrize("secure", [False, True])
def test_what_is_written_to_a_peer_that_takes_nothing_breaks_no_silence(
    network: Network, secure: bool, reads: bool
) -> None:
    """Nor do the octets that TLS adds to it; and one who takes it is not silent."""
    server, client = network.host("server"), network.host("client")
    counters = PolicyCounters()
    config = ConnectionConfig(idle_timeout=30, graceful_timeout=1)
    factory = guard(Factory.forProtocol(lambda: Ticks(server)), config, clock=server, counters=counters)
    endpoint: Any = HostnameEndpoint(client, "server", 7)
    if secure:
        factory = TLSMemoryBIOFactory(certificate("server").options(), False, factory, clock=server)
        endpoint = wrapClientTLS(optionsForClientTLS("server", trustRoot=trust_root()), endpoint)
    network.run(serverFromString(server, "tcp:7").listen(factory))
    peer = network.run(connectProtocol(endpoint, Peer()))
    peer.say(b"?")
    network.advance(0.5)
    if not reads:  # the handshake is over
        peer.transport.pauseProducing()
    network.advance(120)
    assert counters["idle_timeout", "closed"] == (not reads)
