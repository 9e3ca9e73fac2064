"""`proxied:` before another client endpoint string; for programs as for `twistnet send`."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.endpoints import clientFromString, connectProtocol
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.internet.protocol import Factory
from twisted.plugin import getPlugins
from zope.interface.verify import verifyObject

from tests.peers import Peer
from tests.running import finished
from twisted.plugins.twistnet_plugins import proxied_endpoint
from twistnet import ProxyHeader, ProxyHeaderReader
from twistnet.client.targets import stream_target
from twistnet.simulation import Network

PORT = 7007
CLIENT, SITE = ("192.0.2.7", 40000), ("192.0.2.1", 80)
SOURCE, DESTINATION = r"source=192.0.2.7\:40000", r"destination=192.0.2.1\:80"

Read = Callable[[Any, str], Any]


def as_send_does(reactor: Any, text: str) -> Any:
    return stream_target(reactor, [text])


READERS: list[Read] = [clientFromString, as_send_does]

GOOD = {
    f"proxied:tcp:server:{PORT}:{SOURCE}:{DESTINATION}": ProxyHeader(
        version=2, source=CLIENT, destination=SITE
    ),
    f"proxied:{SOURCE}:tcp:{DESTINATION}:host=server:version=v1:port={PORT}:timeout=5": ProxyHeader(
        version=1, source=CLIENT, destination=SITE
    ),
    rf"proxied:tcp:server:{PORT}:version=v2:source=[2001\:DB8\:\:7]\:1:destination=[\:\:]\:0": ProxyHeader(
        version=2, source=("2001:db8::7", 1), destination=("::", 0)
    ),
    f"proxied:unix:/run/x\\:y.sock:{SOURCE}:{DESTINATION}": ProxyHeader(
        version=2, source=CLIENT, destination=SITE
    ),
    r"proxied:unix:path=/run/x\:y.sock": ProxyHeader(version=2, local=True),
    r"proxied:unix:/run/x\:y.sock:version=v1": ProxyHeader(version=1),
    r"proxied:unix:/run/x\:y.sock:source=@abstract=1:destination=/run/a\:b": ProxyHeader(
        version=2, source="\0abstract=1", destination="/run/a:b"
    ),
}


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize("text", GOOD)
def test_a_string_says_what_the_header_does(network: Network, text: str, read: Read) -> None:
    accepted = Peer()
    server = network.host("server")
    server.listenTCP(PORT, Factory.forProtocol(lambda: accepted))
    server.listenUNIX("/run/x:y.sock", Factory.forProtocol(lambda: accepted))
    with network.on(server):
        endpoint = read(server, text)
    network.run(connectProtocol(endpoint, Peer()))
    network.settle()
    assert ProxyHeaderReader("auto").feed(accepted.received) == (GOOD[text], b"")


def test_ipv6_has_its_prefix_in_send(network: Network) -> None:
    accepted = Peer()
    server = network.host("server")
    server.listenTCP(PORT, Factory.forProtocol(lambda: accepted), interface=server.addresses[1])
    address = server.addresses[1].replace(":", r"\:")
    network.run(connectProtocol(as_send_does(server, f"proxied:tcp6:{address}:{PORT}"), Peer()))
    network.settle()
    found = ProxyHeaderReader("v2").feed(accepted.received)
    assert found
    assert found[0].destination == (server.addresses[1], PORT)


BAD = [
    ("proxied:", r"proxied: stands before another endpoint \(proxied:tcp:192.0.2.1:80, "),
    ("proxied:version=v1", "proxied: stands before another endpoint"),
    ("proxied:tcp:a:1:version=v3", "the version, 'v3', is neither v1 nor v2"),
    ("proxied:tcp:a:1:version=", "the version, '', is neither v1 nor v2"),
    (
        "proxied:tcp:a:1:source=192.0.2.7",
        r"the source, '192.0.2.7', is not an address with a port \(192.0.2.7\\",
    ),
    (r"proxied:tcp:a:1:source=192.0.2.7\:x", "the source, '192.0.2.7:x', is not an address with a port"),
    (
        r"proxied:tcp:a:1:source=192.0.2.7\:65536",
        "the source, '192.0.2.7:65536', is not an address with a port",
    ),
    (r"proxied:tcp:a:1:source=\:\:1\:80", "the source, '::1:80', is not an address with a port"),
    (
        r"proxied:tcp:a:1:source=[192.0.2.7]\:80",
        r"'\[192.0.2.7\]:80', is not an address with a port",
    ),
    (
        r"proxied:tcp:a:1:destination=example\:80",
        "the destination, 'example:80', is not an address with a port",
    ),
    ("proxied:tcp:a:1:source=/run/a:version=v1", "need version 2 of the PROXY protocol"),
    (r"proxied:tcp:a:1:source=/run/a:destination=192.0.2.7\:80", "are not addresses of one kind"),
    ("proxied:proxied:tcp:a:1", "cannot stand before proxied: a connection has one header"),
    ("proxied:ssl:a:1", "cannot stand before ssl: the header would come after TLS; tls: sends it before"),
    ("proxied:udp:a:1", "cannot stand before udp: the header comes before a stream, not before datagrams"),
]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(("text", "problem"), BAD)
def test_a_string_that_is_not_right_is_told_what_would_be(text: str, problem: str, read: Read) -> None:
    with pytest.raises(ValueError, match=problem):
        read(None, text)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("proxied:tcpp:a:1", "'tcpp:a:1' begins with no known prefix"),
        ("proxied:tcp:a", "'tcp:a' is not tcp:HOST:PORT"),
        ("proxied:tcp:a:0", "'0' is not a port"),
        ("proxied:tcp:a:1:speed=2", "cannot be used: .*speed"),
        ("proxide:tcp:a:1", "did you mean proxied?"),
    ],
)
def test_what_is_wrapped_is_checked_as_it_is_alone(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        as_send_does(None, text)


def test_the_plugin_is_found() -> None:
    found = [p for p in getPlugins(IStreamClientEndpointStringParserWithReactor) if p.prefix == "proxied"]
    assert len(found) == 1
    assert verifyObject(IStreamClientEndpointStringParserWithReactor, proxied_endpoint)


@pytest.fixture
def mirror() -> Iterator[int]:
    """The port of a server that sends back all that it is sent by one peer, the header included."""

    def reflect() -> None:
        connection, _ = listener.accept()
        connection.settimeout(30)
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        thread = threading.Thread(target=reflect)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(30)


def test_send_introduces_itself(mirror: int, folder: Path) -> None:
    """Over real sockets, as a person runs it; the end of its input reaches the peer as an end."""
    text = rf"proxied:tcp:127.0.0.1:{mirror}:version=v1:{SOURCE}:{DESTINATION}"
    result = finished("twistnet", "send", text, folder=folder, stdin=b"hello\n")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 80\r\nhello\n"


def test_send_tells_of_a_string_that_is_not_right(folder: Path) -> None:
    result = finished("twistnet", "send", "proxied:tcp:127.0.0.1:7:version=v9", folder=folder, stdin=b"")
    assert (result.returncode, result.stdout) == (2, b"")
    assert b"the version, 'v9', is neither v1 nor v2" in result.stderr
