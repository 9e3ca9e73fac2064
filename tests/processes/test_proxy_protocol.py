"""The PROXY protocol's header as HAProxy writes and reads it: the ones who specified it, with a program of their own."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import pytest
from attrs import frozen

from tests.running import finished
from twistnet import ProxyHeader, ProxyHeaderReader, encode_proxy_header

pytestmark = pytest.mark.needs("haproxy")

PATIENCE = 20
CLIENT, SITE = ("192.0.2.7", 40000), ("192.0.2.1", 80)
CLIENT6, SITE6 = ("2001:db8::7", 40000), ("2001:db8::1", 80)
CHECKED = ((0xE0, b"x"), (3, bytes(4)), (1, b"h2"))

CONFIGURATION = """
defaults
  mode tcp
  timeout connect {patience}s
  timeout client {patience}s
  timeout server {patience}s
frontend writes_v1
  bind fd@{writes_v1}
  default_backend v1
frontend writes_v2
  bind fd@{writes_v2}
  unique-id-format %ci
  default_backend v2
frontend reads
  bind fd@{reads} accept-proxy
  default_backend v1
backend v1
  server backend {backend} send-proxy
backend v2
  server backend {backend} send-proxy-v2 proxy-v2-options crc32c,unique-id
"""

Address: TypeAlias = tuple[str, int]


@frozen
class Balancer:
    """A HAProxy in front of a socket of ours.

    Attributes:
        listening: Where it listens, by what it does there. HAProxy inherits these sockets, so no port is fixed.
        backend: What it connects to.
    """

    listening: dict[str, socket.socket]
    backend: socket.socket

    def address(self, frontend: str) -> Address:
        """Where one of its frontends listens."""
        host, port = self.listening[frontend].getsockname()
        return host, port

    def connect(self, frontend: str, data: bytes) -> socket.socket:
        """A client that has said something."""
        client = socket.create_connection(self.address(frontend), PATIENCE)
        client.sendall(data)
        return client

    def hears(self) -> tuple[ProxyHeader, bytes]:
        """What the backend is told of its next connection, and the octets after that, of which there are five."""
        connection, _ = self.backend.accept()
        connection.settimeout(PATIENCE)
        reader = ProxyHeaderReader("auto")
        with connection:
            while data := connection.recv(7):
                if found := reader.feed(data):
                    rest = found[1]
                    while len(rest) < 5:
                        rest += connection.recv(5 - len(rest))
                    return found[0], rest
        raise AssertionError("closed before the end of its header")


@pytest.fixture(scope="module")
def balancer(folder: Path) -> Iterator[Balancer]:
    """The one HAProxy of this module; it takes what connects before it is up, for its sockets listen already."""
    listening = {name: socket.create_server(("127.0.0.1", 0)) for name in ("writes_v1", "writes_v2", "reads")}
    with socket.create_server(("127.0.0.1", 0)) as backend:
        backend.settimeout(PATIENCE)
        descriptors = {name: listener.fileno() for name, listener in listening.items()}
        where = f"127.0.0.1:{backend.getsockname()[1]}"
        configuration = folder / "haproxy.cfg"
        configuration.write_text(CONFIGURATION.format(**descriptors, backend=where, patience=PATIENCE))
        with (folder / "haproxy.log").open("wb") as log:
            process = subprocess.Popen(
                ["haproxy", "-db", "-f", str(configuration)],
                pass_fds=list(descriptors.values()),
                stdout=log,
                stderr=log,
            )
        try:
            yield Balancer(listening, backend)
        finally:
            process.kill()
            process.wait(PATIENCE)
            for listener in listening.values():
                listener.close()


def test_what_haproxy_writes_is_read(balancer: Balancer) -> None:
    with balancer.connect("writes_v1", b"hello") as client:
        header, rest = balancer.hears()
        source, destination = client.getsockname(), balancer.address("writes_v1")
        assert header == ProxyHeader(version=1, source=source, destination=destination)
        assert rest == b"hello"


def test_the_checksum_of_haproxy_is_the_same(balancer: Balancer) -> None:
    with balancer.connect("writes_v2", b"hello") as client:
        header, rest = balancer.hears()
        assert (header.version, header.source) == (2, client.getsockname())
        assert header.destination == balancer.address("writes_v2")
        assert {type_ for type_, _ in header.tlvs} == {3, 5}, "a checksum, which has been verified, and an id"
        assert dict(header.tlvs)[5] == b"127.0.0.1"
        assert rest == b"hello"


WRITTEN = [
    ProxyHeader(version=1, source=CLIENT, destination=SITE),
    ProxyHeader(version=1, source=CLIENT6, destination=SITE6),
    ProxyHeader(version=2, source=CLIENT, destination=SITE),
    ProxyHeader(version=2, source=CLIENT6, destination=SITE6, tlvs=CHECKED),
    ProxyHeader(version=1),
    ProxyHeader(version=2, local=True),
    ProxyHeader(version=2, local=True, tlvs=CHECKED),
]


@pytest.mark.parametrize("written", WRITTEN)
def test_haproxy_reads_what_is_written(balancer: Balancer, written: ProxyHeader) -> None:
    """And passes it on; what has no addresses is the client itself."""
    with balancer.connect("reads", encode_proxy_header(written) + b"hello") as client:
        header, rest = balancer.hears()
        itself = (client.getsockname(), balancer.address("reads"))
        expected = (written.source, written.destination) if written.source else itself
        assert (header.source, header.destination, rest) == (*expected, b"hello")


def test_haproxy_refuses_a_wrong_checksum(balancer: Balancer) -> None:
    """So that a right one is known to be looked at."""
    octets = encode_proxy_header(ProxyHeader(version=2, source=CLIENT, destination=SITE, tlvs=CHECKED))
    with balancer.connect("reads", octets.replace(b"h2", b"h3") + b"hello") as client:
        with suppress(ConnectionResetError):
            assert client.recv(1) == b""


def test_haproxy_believes_twistnet_send(balancer: Balancer, folder: Path) -> None:
    host, port = balancer.address("reads")
    text = rf"proxied:tcp:{host}:{port}:source=192.0.2.7\:40000:destination=192.0.2.1\:80"
    with ThreadPoolExecutor(1) as backend:
        heard = backend.submit(balancer.hears)
        result = finished("twistnet", "send", text, folder=folder, stdin=b"hello")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert heard.result() == (ProxyHeader(version=1, source=CLIENT, destination=SITE), b"hello")
