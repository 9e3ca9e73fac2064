"""Servers and clients of plain sockets, as somebody writes them who knows how, for what our own client calls by a string.

The rule of this module: one conversation, on the simplest way; every wait has an end.
"""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.running import PATIENCE, connect

__all__ = ["hear", "plain", "plain_datagrams", "plain_server", "say", "send_in_pieces", "target"]


def target(listener: tuple[str, str]) -> str:
    """The client's string for a kind and an address."""
    kind, address = listener
    host, _, port = address.rpartition(":")
    return f"{kind}:{host.strip('[]').replace(':', chr(92) + ':')}:{port}" if host else f"{kind}:{address}"


def plain(where: str, folder: Path) -> socket.socket:
    """A plain socket that is connected to what a client's string names."""
    kind, _, rest = where.partition(":")
    datagrams = kind.startswith("udp") or "datagram" in kind
    if "unix" in kind:
        return connect(str(folder / rest), socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM)
    host, _, port = rest.rpartition(":")
    return connect(
        (host.replace("\\", ""), int(port)), socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM
    )


def plain_datagrams(where: str, folder: Path) -> socket.socket:
    """A plain socket that can be answered: of UNIX, one with a path of its own."""
    if not where.startswith("unix"):
        return plain(where, folder)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    client.settimeout(PATIENCE)
    path = folder / "client.sock"
    path.unlink(missing_ok=True)
    client.bind(str(path))
    client.connect(str(folder / where.partition(":")[2]))
    return client


@contextmanager
def plain_server(like: str, serve: Callable[[socket.socket], None], folder: Path) -> Iterator[str]:
    """A server of plain sockets of the same kind: `serve` is given a connection, or a socket for datagrams, once."""
    kind = like.partition(":")[0]
    datagrams = kind.startswith("udp") or "datagram" in kind
    family = socket.AF_UNIX if "unix" in kind else socket.AF_INET6 if "6" in kind else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM if datagrams else socket.SOCK_STREAM) as server:
        path = folder / "plain.sock"
        path.unlink(missing_ok=True)
        addresses: dict[int, Any] = {
            socket.AF_INET: ("127.0.0.1", 0),
            socket.AF_INET6: ("::1", 0),
            socket.AF_UNIX: str(path),
        }
        server.bind(addresses[family])
        server.settimeout(PATIENCE)
        failed: list[BaseException] = []

        def run() -> None:
            try:
                if datagrams:
                    serve(server)
                    return
                peer, _ = server.accept()
                with peer:
                    peer.settimeout(PATIENCE)
                    serve(peer)
            except BaseException as problem:  # which the test shall show
                failed.append(problem)

        if not datagrams:
            server.listen()
        thread = threading.Thread(target=run)
        thread.start()
        name = server.getsockname()
        try:
            yield f"{kind}:{name}" if family == socket.AF_UNIX else target((kind, f"{name[0]}:{name[1]}"))
        finally:
            thread.join(PATIENCE)
        assert not failed, failed


def send_in_pieces(client: socket.socket, data: bytes) -> None:
    """Send, cut at random places."""
    chance, left = random.Random(len(data)), memoryview(data)
    while left:
        piece, left = left[: (cut := chance.randrange(1, 2000))], left[cut:]
        client.sendall(piece)


def say(peer: socket.socket, **message: Any) -> None:
    """Send one message of a conversation about files."""
    octets = json.dumps(message).encode()
    peer.sendall(len(octets).to_bytes(4, "big") + octets)


def hear(reader: Any, what: str) -> dict[str, Any]:
    """The next message, which must say that."""
    message = json.loads(reader.read(int.from_bytes(reader.read(4), "big")))
    assert message["say"] == what
    return dict(message)
