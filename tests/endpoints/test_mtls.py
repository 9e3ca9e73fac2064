"""`mtls:` on a simulated network: a client without a certificate of the right authority gets no further than the handshake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.protocol import Factory

from tests.peers import Peer
from twistnet import EchoFactory, guard
from twistnet.config import ConnectionConfig
from twistnet.endpoints.descriptions import Description
from twistnet.endpoints.mtls import parse_mtls_client, parse_mtls_server
from twistnet.simulation import Network

pytest.importorskip("OpenSSL", reason="needs twistnet[tls]")
certificates = pytest.importorskip("tests.simulation.other_code.certificates", reason="needs twistnet[tls]")

pytestmark = [  # Twisted's CertificateOptions does so
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]


@pytest.fixture
def pems(tmp_path: Path) -> Path:
    """A folder with an authority, another that nobody knows, and certificates of both."""
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "server.pem").write_bytes(certificates.pem("server"))
    (tmp_path / "client.pem").write_bytes(certificates.pem("client"))
    (tmp_path / "stranger.pem").write_bytes(certificates.pem("client", "stranger"))
    (tmp_path / "ca.pem").write_bytes(certificates.authority_pem())
    return tmp_path


def serve(
    network: Network, pems: Path, what: str = "mtls:{0}/server:7:ca={0}/ca.pem:interface=0.0.0.0"
) -> None:
    """Echo for those who show a certificate."""
    server = network.host("server")
    factory = guard(EchoFactory(), ConnectionConfig(max_connections=3), clock=server)
    network.run(serverFromString(server, what.format(pems)).listen(factory))


def echoed(network: Network, client: str) -> bytes:
    """What is answered to a client, until it is closed."""
    host = network.host(f"client{len(network.hosts)}")
    peer: Any = network.run(clientFromString(host, client).connect(Factory.forProtocol(Peer)))
    peer.say(b"hello")
    network.advance(2)
    if not peer.lost.called:
        peer.transport.abortConnection()
        network.run(peer.lost)
    received: bytes = peer.received
    return received


@pytest.mark.parametrize("folder", ["server", "server/server.pem"])
def test_who_shows_a_certificate_is_served(network: Network, pems: Path, folder: str) -> None:
    serve(network, pems, f"mtls:{{0}}/{folder}:7:ca={{0}}/ca.pem:interface=0.0.0.0")
    assert echoed(network, f"mtls:server:7:certificate={pems}/client.pem:ca={pems}/ca.pem") == b"hello"


@pytest.mark.parametrize(
    "client",
    [
        "tls:server:7:trustRoots={0}/roots",
        "mtls:server:7:certificate={0}/stranger.pem:ca={0}/ca.pem",
        "tcp:server:7",
    ],
)
def test_who_shows_none_of_the_right_authority_is_not(network: Network, pems: Path, client: str) -> None:
    (pems / "roots").mkdir()
    (pems / "roots" / "ca.pem").write_bytes(certificates.authority_pem())
    serve(network, pems)
    assert echoed(network, client.format(pems)) == b""


def test_a_client_looks_at_the_server_too(network: Network, pems: Path) -> None:
    serve(network, pems)
    known = f"certificate={pems}/client.pem:ca={pems}/ca.pem"
    assert echoed(network, f"mtls:server:7:{known}:name=another") == b""
    assert echoed(network, f"mtls:server:7:certificate={pems}/client.pem") == b""
    assert echoed(network, f"mtls:{network.hosts['server'].addresses[0]}:7:{known}:name=server") == b"hello"


@pytest.mark.parametrize(
    ("path", "ca", "problem"),
    [
        ("nothing", "ca.pem", "No such file"),
        ("ca.pem", "ca.pem", "0 keys"),
        ("two", "ca.pem", "2 keys"),
        ("bare.pem", "ca.pem", "no certificate in .*bare.pem' for the key"),
        ("client.pem", "bare.pem", "no certificate in .*bare.pem"),
        ("client.pem", "nothing", "No such file"),
        ("client.pem", "broken.pem", "cannot be read"),
    ],
)
def test_what_is_wrong_with_the_files_is_said_at_once(pems: Path, path: str, ca: str, problem: str) -> None:
    (pems / "two").mkdir()
    (pems / "two" / "one.pem").write_bytes(certificates.pem("client"))
    (pems / "two" / "other.pem").write_bytes(certificates.pem("server"))
    block = b"-----BEGIN CERTIFICATE-----"
    (pems / "bare.pem").write_bytes(certificates.pem("client").partition(b"-----END CERTIFICATE-----")[2])
    (pems / "broken.pem").write_bytes(block + b"\nAAAA\n" + block.replace(b"BEGIN", b"END"))
    with pytest.raises(ValueError, match=problem):
        parse_mtls_server(None, str(pems / path), "7", str(pems / ca))
    with pytest.raises(ValueError, match=problem):
        parse_mtls_client(None, "server", "7", str(pems / path), str(pems / ca))


def test_a_header_of_the_proxy_protocol_comes_before_tls(network: Network, pems: Path) -> None:
    options = "interface=0.0.0.0:proxy_protocol=v2:proxy_allow_from=0.0.0.0/0"
    serve(network, pems, f"guarded:mtls:{{0}}/server:7:ca={{0}}/ca.pem:{options}")
    known = f"certificate={pems}/client.pem:ca={pems}/ca.pem"
    assert echoed(network, f"proxied:mtls:server:7:{known}") == b"hello"
    assert echoed(network, f"mtls:server:7:{known}") == b""


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("tcp:7", True),
        ("tcp:7:interface=127.0.0.9", True),
        ("tcp:7:interface=0.0.0.0", False),
        ("tcp6:7", True),
        (r"tcp6:7:interface=\:\:", False),
        ("tls:pem:7:interface=192.0.2.1", False),
        ("mtls:pem:7:ca=ca.pem", True),
        ("guarded:mtls:pem:7:ca=ca.pem:interface=0.0.0.0", False),
        ("unix:/run/x", True),
        ("guarded:unix:/run/x", True),
        ("systemd:domain=INET:index=0", False),
    ],
)
def test_what_only_this_machine_reaches(text: str, local: bool) -> None:
    assert Description.parse(text).on_loopback().is_local is local
