"""Twisted's TLS, unmodified: endpoints by string, STARTTLS, certificates, ends that are and are not clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import (
    HostnameEndpoint,
    clientFromString,
    connectProtocol,
    serverFromString,
    wrapClientTLS,
)
from twisted.internet.error import ConnectionClosed, ConnectionDone, ConnectionLost
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS
from twisted.protocols.basic import LineReceiver

from twistnet.simulation import Host, Network, OneByte, Partition, RandomSizes, Reset

from .certificates import authority_pem, certificate, pem, trust_root

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""

ROUGH = {"latency": 0.02, "jitter": 0.005, "loss": 0.02, "slicing": RandomSizes(1, 1460)}
BY_OCTETS = {"latency": 0.02, "jitter": 0.005, "loss": 0.005, "slicing": OneByte()}


class Peer(Protocol):
    """Keeps what it receives.

    Attributes:
        complete: Fires when it has received as much as it wants.
        lost: Fires with the reason of the loss.
    """

    transport: Any

    def __init__(self, wanted: int = 0) -> None:
        self.wanted = wanted
        self.pieces: list[bytes] = []
        self.count = 0
        self.complete: Deferred[bytes] = Deferred()
        self.lost: Deferred[Any] = Deferred()

    @property
    def received(self) -> bytes:
        return b"".join(self.pieces)

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(data)
        self.count += len(data)
        if self.wanted and self.count >= self.wanted and not self.complete.called:
            self.complete.callback(self.received)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(reason.value)


class Accepting(Factory):
    """Keeps the protocols that it has made."""

    def __init__(self, make: Any = Peer) -> None:
        self.make = make
        self.made: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.made.append(self.make())
        return self.made[-1]


def folder_of(place: Path, **contents: bytes) -> Path:
    place.mkdir()
    for name, content in contents.items():
        (place / f"{name}.pem").write_bytes(content)
    return place


def secured(net: Network, make: Any = Peer, name: str = "server") -> tuple[Accepting, Host, Host]:
    """A server with a certificate, and a client's host."""
    server, client = net.host("server"), net.host("client")
    accepting = Accepting(make)
    server.listenSSL(443, accepting, certificate(name).options())
    return accepting, server, client


def connect(client: Host, peer: Peer, trust: str = "authority") -> Deferred[Peer]:
    endpoint = wrapClientTLS(
        optionsForClientTLS("server", trust_root(trust)), HostnameEndpoint(client, "server", 443)
    )
    connected: Deferred[Peer] = connectProtocol(endpoint, peer)
    return connected


@pytest.mark.parametrize("link", [ROUGH, BY_OCTETS], ids=["rough", "by octets"])
@pytest.mark.parametrize("kind", ["ssl", "tls"])
def test_endpoints_by_string(tmp_path: Path, kind: str, link: dict[str, Any]) -> None:
    """`ssl:` and `tls:` servers, and the `tls:` client, with their files: what one writes the other reads."""
    with Network(seed=71, link=link) as net:
        server, client = net.host("server"), net.host("client")
        keys = folder_of(tmp_path / "keys", server=pem("server"))
        trusted = folder_of(tmp_path / "trusted", authority=authority_pem())
        file = keys / "server.pem"
        described = f"ssl:443:privateKey={file}:certKey={file}" if kind == "ssl" else f"tls:{keys}:443"
        accepting = Accepting(lambda: Peer(5000))
        net.run(serverFromString(server, described).listen(accepting))
        peer = Peer(5000)
        net.run(connectProtocol(clientFromString(client, f"tls:server:443:trustRoots={trusted}"), peer))
        net.settle()
        there, back = net.random.randbytes(5000), net.random.randbytes(5000)
        peer.transport.write(there)
        accepting.made[0].transport.write(back)
        assert net.run(gatherResults([accepting.made[0].complete, peer.complete])) == [there, back]


def test_names_on_one_port(tmp_path: Path) -> None:
    """A `tls:` server shows each client the certificate of the name that it asked for."""
    with Network(seed=72, link=ROUGH) as net:
        server, client = net.host("server"), net.host("client")
        net.names.add("one", *server.addresses)
        net.names.add("two", *server.addresses)
        keys = folder_of(tmp_path / "keys", one=pem("one"), two=pem("two"))
        net.run(serverFromString(server, f"tls:{keys}:443").listen(Accepting()))
        for name in ("two", "one"):
            options = optionsForClientTLS(name, trust_root())
            peer = Peer()
            net.run(connectProtocol(wrapClientTLS(options, HostnameEndpoint(client, name, 443)), peer))
            net.settle()
            shown = Certificate.peerFromTransport(peer.transport)
            assert shown.getSubject().commonName == name.encode()


def test_large_payloads() -> None:
    """Megabytes in each direction at once."""
    with Network(seed=73, link=ROUGH) as net:
        size = 3_000_000
        accepting, _, client = secured(net, lambda: Peer(size))
        peer = Peer(size)
        net.run(connect(client, peer))
        net.settle()
        there, back = net.random.randbytes(size), net.random.randbytes(size)
        peer.transport.write(there)
        accepting.made[0].transport.write(back)
        arrived = net.run(gatherResults([accepting.made[0].complete, peer.complete]))
        assert arrived[0] == there
        assert arrived[1] == back


class Secret(LineReceiver):
    """Goes over to TLS when both have said so, then talks.

    Attributes:
        lines: What it has heard, and whether over TLS.
    """

    transport: Any

    def __init__(self, is_server: bool) -> None:
        self.is_server = is_server
        self.is_secure = False
        self.lines: list[tuple[bytes, bool]] = []
        self.done: Deferred[None] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        self.lines.append((line, self.is_secure))
        if line == b"STARTTLS":
            self.sendLine(b"READY")
            self.transport.startTLS(certificate("server").options())
            self.is_secure = True
        elif line == b"READY":
            self.transport.startTLS(optionsForClientTLS("server", trust_root()))
            self.is_secure = True
            for number in range(100):
                self.sendLine(b"%d " % number + b"x" * 200)
            self.sendLine(b"END")
        elif line == b"END":
            if self.is_server:
                self.sendLine(b"END")
            self.done.callback(None)


@pytest.mark.parametrize("link", [ROUGH, BY_OCTETS], ids=["rough", "by octets"])
def test_starttls(link: dict[str, Any]) -> None:
    """A connection begins in the clear and goes on over TLS; only what was meant to be is in the clear."""
    with Network(seed=74, link=link) as net:
        server, client = net.host("server"), net.host("client")
        accepting = Accepting(lambda: Secret(is_server=True))
        server.listenTCP(25, accepting)
        secret = Secret(is_server=False)
        net.run(connectProtocol(HostnameEndpoint(client, "server", 25), secret))
        secret.sendLine(b"hello")
        secret.sendLine(b"STARTTLS")
        net.run(secret.done)
        numbered = [(b"%d " % number + b"x" * 200, True) for number in range(100)]
        assert accepting.made[0].lines == [(b"hello", False), (b"STARTTLS", False), *numbered, (b"END", True)]
        assert secret.lines == [(b"READY", False), (b"END", True)]
        segments = {each.seq: each.payload for each in net.trace.packets if each.source.host == "client"}
        sent = b"".join(segments[seq] for seq in sorted(segments))
        assert sent.startswith(b"hello\r\nSTARTTLS\r\n\x16\x03")  # and then a record of the handshake
        assert b"x" * 10 not in sent


@pytest.mark.parametrize(
    ("shown", "trusted", "complaint"),
    [("server", "stranger", "certificate verify failed"), ("another", "authority", "VerificationError")],
    ids=["of a stranger", "for another name"],
)
def test_certificates_that_do_not_hold(shown: str, trusted: str, complaint: str) -> None:
    """Neither a stranger's certificate nor one for another name is taken; both ends lose the connection."""
    with Network(seed=75, link=ROUGH) as net:
        accepting, _, client = secured(net, name=shown)
        peer = Peer()
        net.run(connect(client, peer, trusted))
        peer.transport.write(b"a secret")
        reason = net.run(peer.lost)
        assert complaint in repr(reason)
        net.run(accepting.made[0].lost)
        assert accepting.made[0].received == b""


def test_a_clean_end() -> None:
    """`loseConnection` sends all that was written, and both ends know that it was the end."""
    with Network(seed=76, link=ROUGH) as net:
        accepting, _, client = secured(net)
        peer = Peer()
        net.run(connect(client, peer))
        peer.transport.write(bytes(200_000))
        peer.transport.loseConnection()
        reasons = net.run(gatherResults([peer.lost, _lost_at(net, accepting)]))
        assert [type(reason) for reason in reasons] == [ConnectionDone, ConnectionDone]
        assert accepting.made[0].received == bytes(200_000)


def _lost_at(net: Network, accepting: Accepting) -> Deferred[Any]:
    net.settle()
    lost: Deferred[Any] = accepting.made[0].lost
    return lost


def test_an_end_that_is_not_clean() -> None:
    """A reset in the middle is told as a loss at both ends."""
    with Network(seed=77, link=ROUGH) as net:
        accepting, _, client = secured(net)
        peer = Peer()
        net.run(connect(client, peer))
        peer.transport.write(b"something")
        net.settle()
        with net.fault(Reset("server", "client")):
            pass
        reasons = net.run(gatherResults([peer.lost, accepting.made[0].lost]))
        assert [type(reason) for reason in reasons] == [ConnectionLost, ConnectionLost]


def test_a_handshake_through_a_partition() -> None:
    """A handshake that is cut off in the middle goes on when the partition ends."""
    with Network(seed=78, link=ROUGH) as net:
        accepting, _, client = secured(net)
        peer = Peer()
        net.schedule(Partition("server", "client"), offset=100, between=("server", "client"), lasting=30)
        net.run(connect(client, peer))
        peer.transport.write(b"after all")
        net.advance(20)
        assert accepting.made[0].received == b""
        net.advance(60)
        assert accepting.made[0].received == b"after all"


def test_a_reader_that_pauses() -> None:
    """A reader that pauses holds the writer up, through TLS and the sockets, and loses nothing."""
    with Network(seed=79, link={**ROUGH, "coalescing": True}) as net:
        size = 5_000_000
        accepting, _, client = secured(net, lambda: Peer(size))
        peer = Peer()
        net.run(connect(client, peer))
        net.settle()
        reader = accepting.made[0]
        reader.transport.pauseProducing()
        pulled = Pulled(net.random.randbytes(size))
        pulled.feed(peer.transport)
        net.advance(60)
        assert reader.count == 0
        assert pulled.position < size // 2
        reader.transport.resumeProducing()
        assert net.run(reader.complete) == pulled.content


class Pulled:
    """A pull producer: a piece whenever the transport asks for one."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.position = 0

    def feed(self, transport: Any) -> None:
        self.transport = transport
        transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        piece = self.content[self.position : self.position + 50_000]
        self.position += len(piece)
        self.transport.write(piece)
        if self.position == len(self.content):
            self.transport.unregisterProducer()

    def stopProducing(self) -> None:
        """Nothing is left to do."""


def test_a_server_that_does_not_speak_tls() -> None:
    """A client that gets something else instead of a handshake gives up."""
    with Network(seed=80, link=ROUGH) as net:
        server, client = net.host("server"), net.host("client")

        class Greeting(Protocol):
            transport: Any

            def connectionMade(self) -> None:
                self.transport.write(b"220 not what you think\r\n" * 5)

        server.listenTCP(443, Factory.forProtocol(Greeting))
        peer = Peer()
        net.run(connect(client, peer))
        reason = net.run(peer.lost)
        assert isinstance(reason, ConnectionClosed) or "wrong version number" in repr(reason)
