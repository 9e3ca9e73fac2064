"""The header of the PROXY protocol and TLS: before it, within it, and with TLS that is started later."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, clientFromString, connectProtocol, wrapClientTLS
from twisted.internet.interfaces import IHandshakeListener, IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from zope.interface import implementer

from tests.simulation.other_code.certificates import authority_pem, certificate, trust_root
from twistnet import ProxiedClientEndpoint, ProxyHeader, ProxyHeaderReader
from twistnet.client.targets import stream_target
from twistnet.simulation import Host, Network

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""

CLIENT, SITE = ("192.0.2.7", 40000), ("192.0.2.1", 443)
WORDS = r"version=v1:source=192.0.2.7\:40000:destination=192.0.2.1\:443"


class Behind(Protocol):
    """Reads the header in the clear, answers all that comes after, and starts TLS when it is told to."""

    transport: Any

    def __init__(self, *, tls_at_once: bool) -> None:
        self.header: ProxyHeader | None = None
        self._reader = ProxyHeaderReader("auto")
        self._tls_at_once = tls_at_once

    def dataReceived(self, data: bytes) -> None:
        if self.header is None:
            if not (found := self._reader.feed(data)):
                return
            self.header, data = found
            if self._tls_at_once:
                self.transport.startTLS(certificate("server").options())
                self.transport.protocol.dataReceived(data)
                return
        if data == b"starttls":
            self.transport.write(b"go")
            self.transport.startTLS(certificate("server").options())
        elif data:
            self.transport.write(data.upper())


def serve(network: Network, *, tls_at_once: bool = True) -> list[Behind]:
    """A server on port 443, and the connections that it will have."""
    made: list[Behind] = []

    class Accepting(Factory):
        def buildProtocol(self, addr: Any) -> Behind:
            made.append(Behind(tls_at_once=tls_at_once))
            return made[-1]

    network.host("server").listenTCP(443, Accepting())
    return made


@implementer(IHandshakeListener)
class Client(Protocol):
    """Says something at once, and keeps the answer."""

    transport: Any

    def __init__(self) -> None:
        self.shaken: Deferred[None] = Deferred()
        self.answer: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        self.transport.write(b"hello")

    def handshakeCompleted(self) -> None:
        self.shaken.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.answer.callback(data)


def trusting(endpoint: Any) -> Any:
    return wrapClientTLS(optionsForClientTLS("server", trust_root()), endpoint)


def test_the_header_goes_before_tls(network: Network) -> None:
    made = serve(network)
    endpoint = ProxiedClientEndpoint(
        HostnameEndpoint(network.host("client"), "server", 443), "v2", CLIENT, SITE
    )
    client = network.run(connectProtocol(trusting(endpoint), Client()))
    assert isinstance(client, Client)
    network.run(client.shaken)
    assert network.run(client.answer) == b"HELLO"
    assert made[0].header == ProxyHeader(version=2, source=CLIENT, destination=SITE)


@pytest.fixture
def roots(tmp_path: Path) -> str:
    (tmp_path / "authority.pem").write_bytes(authority_pem())
    return str(tmp_path)


@pytest.mark.parametrize("read", [clientFromString, lambda host, text: stream_target(host, [text])])
@pytest.mark.parametrize("inner", ["tls:server:443", r"tls:server:443:endpoint=tcp\:server\:443"])
def test_a_string_puts_the_header_before_tls(network: Network, read: Any, inner: str, roots: str) -> None:
    made = serve(network)
    client: Host = network.host("client")
    with network.on(client):
        endpoint = read(client, f"proxied:{inner}:{WORDS}:trustRoots={roots}")
    said: Client = network.run(connectProtocol(endpoint, Client()))
    assert network.run(said.answer) == b"HELLO"
    assert said.transport.getPeerCertificate()
    assert made[0].header == ProxyHeader(version=1, source=CLIENT, destination=SITE)


class Upgrading(Client):
    """Says a word in the clear, and then starts TLS."""

    def connectionMade(self) -> None:
        self.transport.write(b"starttls")

    def dataReceived(self, data: bytes) -> None:
        if data == b"go":
            self.transport.startTLS(optionsForClientTLS("server", trust_root()))
            self.transport.write(b"hello")
        else:
            super().dataReceived(data)


def test_tls_can_be_started_later(network: Network) -> None:
    """And the header is not sent again."""
    made = serve(network, tls_at_once=False)
    endpoint = ProxiedClientEndpoint(
        HostnameEndpoint(network.host("client"), "server", 443), "v1", CLIENT, SITE
    )
    client: Upgrading = network.run(connectProtocol(endpoint, Upgrading()))
    assert network.run(client.answer) == b"HELLO"
    network.run(client.shaken)
    assert made[0].header == ProxyHeader(version=1, source=CLIENT, destination=SITE)


@implementer(IProtocolNegotiationFactory)
class Negotiating(Factory):
    """Offers HTTP/2."""

    def __init__(self, make: Any) -> None:
        self.make = make

    def acceptableProtocols(self) -> list[bytes]:
        return [b"h2"]

    def buildProtocol(self, addr: Any) -> Any:
        return self.make()


def test_within_tls_the_protocols_are_negotiated_as_without_it(network: Network) -> None:
    """An endpoint of TLS within: the header is the first thing that is said in it."""
    made: list[Behind] = []

    def accept() -> Behind:
        made.append(Behind(tls_at_once=False))
        return made[-1]

    network.host("server").listenSSL(443, Negotiating(accept), certificate("server").options())
    tls = trusting(HostnameEndpoint(network.host("client"), "server", 443))
    client = network.run(ProxiedClientEndpoint(tls, "v2", CLIENT, SITE).connect(Negotiating(Client)))
    assert network.run(client.answer) == b"HELLO"
    network.run(client.shaken)
    assert client.transport.negotiatedProtocol == b"h2"
    assert made[0].header == ProxyHeader(version=2, source=CLIENT, destination=SITE)
