"""Ports on real sockets: what becomes of those who connect when something is wrong with it."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .live_streams import KINDS, Live, live

ROOT = Path(__file__).parents[2]
MANY = 30
"""More connections than a server with few descriptors has room for."""


@pytest.fixture(params=KINDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Live]:
    """A reactor: Twisted's own, and every fast one."""
    with live(request.param, tmp_path / "run") as found:
        yield found


def answers(client: socket.socket) -> bool:
    """Whether the server has a connection for it, or has closed it unheard."""
    try:
        client.sendall(b"x")
        return client.recv(1) == b"x"
    except ConnectionError:
        return False


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_without_descriptors_refuses_and_serves_again_when_it_has_some(kind: str) -> None:
    command = [sys.executable, "-m", f"{__package__}.few_descriptors", kind]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            lines = iter(server.stdout.readline, "")
            address = ("127.0.0.1", int(next(line for line in lines if line.strip().isdigit())))
            clients = [socket.create_connection(address, 5) for _ in range(MANY)]
            served = [client for client in clients if answers(client)]
            assert 0 < len(served) < MANY
            assert answers(served[-1]), "they are served still"
            for client in clients:
                client.close()
            assert any(_is_served(address) for _ in range(100))
            with socket.create_connection(address, 5) as last:
                last.sendall(b"stop")
            output, _ = server.communicate(timeout=10)
        finally:
            server.kill()
    assert "EMFILE encountered; releasing reserved file descriptor." in output


def _is_served(address: tuple[str, int]) -> bool:
    with socket.create_connection(address, 5) as client:
        return answers(client)


@pytest.mark.parametrize("family", ["tcp", "unix"])
def test_who_is_refused_is_closed_and_the_next_is_served(world: Live, family: str) -> None:
    refused, served = callers(world, family, lambda: None)
    assert world.hears(served, 1) == b"x"
    assert world.heard(refused) is None
    assert world.errors == []


@pytest.mark.parametrize("family", ["tcp", "unix"])
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "stock"])
def test_who_gets_an_exception_is_closed_and_the_next_is_served(
    kind: str, family: str, tmp_path: Path
) -> None:
    """Twisted leaves closing to the collector."""
    with live(kind, tmp_path / "run") as world:
        failed, served = callers(world, family, lambda: 1 / 0)
        assert world.hears(served, 1) == b"x"
        assert world.heard(failed) is None
        assert world.errors == [ZeroDivisionError]


def callers(world: Live, family: str, build_first: Callable[[], Any]) -> list[socket.socket]:
    """Two that have called an echo server, which builds the first one's protocol in another way."""
    port = world.listen(lambda protocol, data: protocol.transport.write(data), family)
    build, first = port.factory.buildProtocol, iter([True])
    port.factory.buildProtocol = lambda address: build_first() if next(first, False) else build(address)
    found = [world.caller(port) for _ in range(2)]
    world.until(lambda: world.connected)
    found[1].sendall(b"x")
    return found


def test_a_port_that_stops_while_it_accepts_has_accepted_those(world: Live) -> None:
    port = world.listen()
    build = port.factory.buildProtocol
    stopped: list[Any] = []

    def build_and_stop(address: Any) -> Any:
        if not stopped:
            stopped.append(port.stopListening())
        return build(address)

    port.factory.buildProtocol = build_and_stop
    clients = [world.caller(port) for _ in range(2)]
    world.until(lambda: stopped and not port.connected)
    world.settle()
    assert world.connected
    for protocol in world.connected:
        protocol.transport.write(b"hello")
    heard = [world.hears(client, 5) for client in clients]
    assert heard.count(b"hello") == len(world.connected)
