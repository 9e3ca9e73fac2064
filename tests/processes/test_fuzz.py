"""A million fuzzed octets: whatever peers send, there is never a traceback, and the next peer is served."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator

import pytest

from tests.running import Program, ask, connect, read_all, running

SERVICES = (
    "--service echo --listen tcp:0 --listen udp:0",
    "--service upper --listen tcp:0",
    "--service upper --encoding utf-8 --listen tcp:0 --listen udp:0",
    "--service upper --encoding utf-16 --errors replace --listen tcp:0",
    "--service upper --encoding utf-7 --errors ignore --listen tcp:0",
    "--service upper --encoding iso2022_jp --errors backslashreplace --listen tcp:0",
    "--service upper --encoding gb18030 --once --listen tcp:0",
)
STREAMS = (0, 2, 3, 5, 6, 7, 8)
DATAGRAMS = (1, 4)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """Every transform there is."""
    with running("twistnet", *" ".join(SERVICES).split(), folder=tmp_path_factory.mktemp("node")) as program:
        program.addresses(9)
        yield program


@pytest.mark.parametrize("index", STREAMS)
def test_a_million_fuzzed_octets_over_streams(node: Program, index: int) -> None:
    address, chance = node.addresses(9)[index][1], random.Random(index)
    left = 1_000_000
    while left > 0:
        data = chance.randbytes(chance.choice([1, 10, 1000, 60_000]))
        if chance.random() < 0.3:
            data = b"+" + data.hex().encode()
        left -= len(data)
        with connect(address) as client:
            try:
                client.sendall(data)
                client.shutdown(socket.SHUT_WR)
                read_all(client)
            except OSError:
                continue  # a peer may be cut off, but never the service
    with connect(node.addresses(9)[0][1]) as client:
        assert ask(client, b"next") == b"next"
    assert "Traceback" not in node.output


@pytest.mark.parametrize("index", DATAGRAMS)
def test_a_million_fuzzed_octets_over_datagrams(node: Program, index: int) -> None:
    address, chance = node.addresses(9)[index][1], random.Random(index)
    with connect(address, socket.SOCK_DGRAM) as client:
        left = 1_000_000
        while left > 0:
            data = chance.randbytes(chance.choice([0, 1, 1000, 60_000]))
            left -= len(data) + 1
            client.send(data)
    with connect(address, socket.SOCK_DGRAM) as client:
        client.settimeout(1)
        for _ in range(10):
            client.send(b"NEXT")
            try:
                assert client.recv(100) == b"NEXT"
                break
            except TimeoutError:
                continue  # the kernel dropped it, full of the fuzz
        else:
            raise AssertionError("not served")
    assert "Traceback" not in node.output
