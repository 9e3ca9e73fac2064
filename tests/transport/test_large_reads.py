"""How much is read at once: more from a peer that sends much, but only while nobody else has to wait for it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from twisted.internet.protocol import Factory, Protocol

from twistnet.transport import reactor_factory

BLOCK = b"x" * (1 << 20)
STOCK = 65536


class Measuring(Protocol):
    """Remembers how large each piece was."""

    pieces: list[int]

    def connectionMade(self) -> None:
        self.pieces = []

    def dataReceived(self, data: bytes) -> None:
        self.pieces.append(len(data))


class Served:
    """A server, and plain sockets that are connected to it."""

    def __init__(self) -> None:
        self.reactor: Any = reactor_factory()
        self.made: list[Measuring] = []
        factory = Factory.forProtocol(self._build)
        self.port = self.reactor.listenTCP(0, factory, interface="127.0.0.1")
        self.port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # room for more than a read
        self.sockets: list[socket.socket] = []

    def _build(self) -> Measuring:
        self.made.append(Measuring())
        return self.made[-1]

    def connect(self) -> tuple[socket.socket, Measuring]:
        """A peer, and what serves it."""
        peer = socket.create_connection(("127.0.0.1", self.port.getHost().port))
        peer.setblocking(False)
        self.sockets.append(peer)
        wanted = len(self.made) + 1
        for _ in range(100):
            self.reactor.iterate(0.01)
            if len(self.made) == wanted:
                return peer, self.made[-1]
        raise AssertionError("it was not accepted")

    def close(self) -> None:
        """Close everything."""
        for peer in self.sockets:
            peer.close()
        self.reactor.disconnectAll()
        self.reactor.removeReader(self.reactor.waker)
        self.reactor.waker.connectionLost(None)


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    yield made
    made.close()


def fill(peer: socket.socket) -> None:
    """Send as much as the kernel takes."""
    try:
        while True:
            peer.send(BLOCK)
    except BlockingIOError:
        pass


def test_a_peer_alone_is_read_in_larger_pieces(served: Served) -> None:
    peer, measuring = served.connect()
    for _ in range(100):
        fill(peer)
        served.reactor.iterate(0.01)
    assert max(measuring.pieces) > STOCK
    assert max(measuring.pieces) <= 4 * STOCK


def test_nobody_waits_for_a_larger_piece(served: Served) -> None:
    greedy, measuring = served.connect()
    modest, _ = served.connect()
    for _ in range(100):
        fill(greedy)
        modest.send(b"x")
        served.reactor.iterate(0.01)
    assert sum(measuring.pieces) > 20 * STOCK
    assert max(measuring.pieces) <= STOCK


def test_several_that_send_much_do_not_hold_each_other_down(served: Served) -> None:
    peers = [served.connect() for _ in range(4)]
    for _ in range(200):
        for peer, _measuring in peers:
            fill(peer)
        served.reactor.iterate(0.01)
    transports: list[Any] = [measuring.transport for _, measuring in peers]
    assert [transport._patience for transport in transports] == [
        0
    ] * 4  # whether there is more is the kernel's affair


def test_who_sends_less_is_read_in_smaller_pieces_again(served: Served) -> None:
    peer, measuring = served.connect()
    transport: Any = measuring.transport
    for _ in range(100):
        fill(peer)
        served.reactor.iterate(0.01)
    for _ in range(500):
        served.reactor.iterate(0.001)
        if transport._read_size == STOCK:
            break
        with suppress(BlockingIOError):
            peer.send(b"x" * 40_000)
    assert transport._read_size == transport.bufferSize == STOCK


def test_bufferSize_is_the_measure(served: Served) -> None:
    peer, measuring = served.connect()
    transport: Any = measuring.transport
    transport.bufferSize = 1000
    for _ in range(50):
        fill(peer)
        served.reactor.iterate(0.01)
    assert max(measuring.pieces) <= 4000
