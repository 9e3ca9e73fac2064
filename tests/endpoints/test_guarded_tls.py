"""Policies, TLS and the PROXY header: the header comes first and in the clear, and the rest is within TLS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS

from tests.simulation.other_code.certificates import pem, trust_root
from twistnet import ConnectionConfig, ProxyHeader, encode_proxy_header
from twistnet.services.listening import ListeningService
from twistnet.simulation import Host, Network

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""

HEADER = encode_proxy_header(
    ProxyHeader(version=2, source=("192.0.2.7", 40000), destination=("192.0.2.1", 443))
)


class Tells(Protocol):
    """Says who its peer is, and whether it is within TLS."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        secure = b"TLS" if ISSLTransport.providedBy(self.transport) else b"clear"
        self.transport.write(b"%b over %b" % (self.transport.getPeer().host.encode(), secure))
        self.transport.loseConnection()


class Asks(Protocol):
    """Sends the header, starts TLS, and asks."""

    transport: Any

    def __init__(self) -> None:
        self.answer = b""
        self.over: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(HEADER)
        self.transport.startTLS(optionsForClientTLS("server", trustRoot=trust_root()))
        self.transport.write(b"?")

    def dataReceived(self, data: bytes) -> None:
        self.answer += data

    def connectionLost(self, reason: object = None) -> None:
        self.over.callback(self.answer)


async def ask(client: Host) -> bytes:
    """What a client is told on port 443."""
    asking = await connectProtocol(clientFromString(client, "tcp:server:443"), Asks())
    return await asking.over  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a certificate for `server`."""
    (tmp_path / "server.pem").write_bytes(pem("server"))
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "guarded:tls:{folder}:443:proxy_protocol=v2:idle_timeout=9",
        "guarded:ssl:443:privateKey={folder}/server.pem:certKey={folder}/server.pem:proxy_protocol=auto",
        "guarded:guarded:tls:{folder}:443:proxy_protocol=v2:per_source=1",
    ],
)
def test_the_header_stands_before_tls(network: Network, folder: Path, text: str) -> None:
    server, client = network.host("server"), network.host("client")
    serverFromString(server, text.format(folder=folder)).listen(Factory.forProtocol(Tells))
    assert network.run(ask(client)) == b"192.0.2.7 over TLS"


@pytest.mark.parametrize("text", ["tls:{folder}:443", "guarded:tls:{folder}:443:idle_timeout=9"])
def test_a_service_too(network: Network, folder: Path, text: str) -> None:
    server, client = network.host("server"), network.host("client")
    service = ListeningService(
        server,
        "tells",
        [text.format(folder=folder) + ":interface=0.0.0.0"],
        stream=Factory.forProtocol(Tells),
        connections=ConnectionConfig(proxy_protocol="v2"),
    )
    service.startService()
    assert network.run(ask(client)) == b"192.0.2.7 over TLS"
    network.run(service.stopService())


class AnswersLate(Protocol):
    """Takes so many seconds for an answer."""

    transport: Any

    def __init__(self, clock: Any, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    def dataReceived(self, data: bytes) -> None:
        self._clock.callLater(self._seconds, self._answer)

    def _answer(self) -> None:
        self.transport.write(b"answer")
        self.transport.loseConnection()


@pytest.mark.parametrize("text", ["tls:{folder}:443", "guarded:tls:{folder}:443:idle_timeout=60"])
def test_tls_is_not_half_closed_at_a_stop(network: Network, folder: Path, text: str) -> None:
    """What is answered in the last second arrives, though it is the connection under TLS that is known to the service."""
    server, client = network.host("server"), network.host("client")
    service = ListeningService(
        server,
        "late",
        [text.format(folder=folder) + ":interface=0.0.0.0"],
        stream=Factory.forProtocol(lambda: AnswersLate(server, 9.5)),
        connections=ConnectionConfig(proxy_protocol="v2", graceful_timeout=10),
    )
    service.startService()
    asking = network.start(ask(client))
    network.advance(0.2)
    network.start(service.stopService())
    assert network.run(asking) == b"answer"
