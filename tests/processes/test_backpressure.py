"""Peers that do not read, and many peers at once."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.running import ask, connect, read_all, running

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory in /proc")

MIB = 2**20


@pytest.mark.parametrize("service", ["echo", "upper"])
def test_a_peer_that_sends_512_mib_and_reads_nothing(tmp_path: Path, service: str) -> None:
    """The server's memory grows by less than 8 MiB, and other peers are served meanwhile."""
    with running(f"twistnet-{service}", "--listen", "tcp:0", folder=tmp_path) as program:
        address = program.addresses(1)[0][1]
        with connect(address) as warm:
            assert ask(warm, b"X" * MIB) == b"X" * MIB
        before = program.memory()
        with connect(address) as greedy, connect(address) as other:
            greedy.settimeout(0.1)
            sent, stalls, block = 0, 0, b"X" * MIB
            while sent < 512 * MIB and stalls < 5:
                try:
                    sent += greedy.send(block)
                except TimeoutError:
                    stalls += 1
                    assert ask(other, b"SERVED") == b"SERVED"
            assert stalls == 5, "everything was taken from a peer that reads nothing"
            assert program.memory() - before < 8 * MIB
            greedy.settimeout(20)
            greedy.shutdown(socket.SHUT_WR)
            assert len(read_all(greedy)) == sent, "and once it reads, nothing is lost"


def test_many_peers_at_once(tmp_path: Path) -> None:
    """Two hundred connections, each in the middle of its own conversation."""
    with running("twistnet-echo", "--listen", "tcp:0", folder=tmp_path) as program:
        address = program.addresses(1)[0][1]
        clients = [connect(address) for _ in range(200)]
        try:
            for turn in range(5):
                for number, client in enumerate(clients):
                    client.sendall(b"%d of %d" % (turn, number))
                for number, client in enumerate(clients):
                    assert client.recv(100) == b"%d of %d" % (turn, number)
        finally:
            for client in clients:
                client.close()
