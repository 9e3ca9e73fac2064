"""SO_KEEPALIVE: how an idle program finds out that nobody is there any more (tcp(7))."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from tests.simulation.kernel.wires import Machines
from twistnet.simulation.packets import RST

IDLE, EVERY, PROBES = 7200, 75, 9


def idle_pair(**options: int) -> tuple[Machines, Any, Any]:
    """Two machines and the ends of a connection, of which the client's is kept alive."""
    machines = Machines(latency=0.01)
    one, other = machines.machine("one", "10.0.0.1"), machines.machine("other", "10.0.0.2")
    client, server = machines.pair(one, other)
    for name, value in options.items():
        client.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return machines, client, server


def cut(machines: Machines, blocks: int) -> None:
    for way in (("one", "other"), ("other", "one")):
        machines.links.direction(*way).block(blocks)


def probes(machines: Machines) -> list[Any]:
    """What the client sent when it had nothing to say."""
    return [packet for packet in machines.packets if packet.copy and packet.source.host == "one"]


def test_a_peer_that_answers_is_asked_every_two_hours() -> None:
    machines, client, _ = idle_pair()
    machines.run(10 * IDLE + 60)
    assert len(probes(machines)) == 10
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


@pytest.mark.parametrize(
    ("options", "idle", "every", "count"),
    [
        ({}, IDLE, EVERY, PROBES),
        ({"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}, 10, 2, 3),
    ],
)
def test_a_peer_that_does_not_answer_is_given_up(
    options: dict[str, int], idle: int, every: int, count: int
) -> None:
    machines, client, _ = idle_pair(**options)
    begun = machines.clock.now
    cut(machines, 1)
    machines.run(idle + count * every - 1)
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    machines.run(2)
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ETIMEDOUT
    sent = [packet.sent - begun for packet in probes(machines)]
    assert sent == pytest.approx([idle + every * n for n in range(count)], abs=0.1)
    assert machines.packets[-1].flags & RST


def test_one_answer_is_enough() -> None:
    machines, client, _ = idle_pair()
    cut(machines, 1)
    machines.run(IDLE + 7.5 * EVERY)
    cut(machines, -1)
    machines.run(IDLE)
    assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    assert len(probes(machines)) == PROBES


def test_whoever_hears_something_does_not_ask() -> None:
    machines, _, server = idle_pair()
    for _ in range(5):
        machines.run(IDLE / 2)
        server.send(b"still here")
    assert probes(machines) == []


def test_it_can_be_turned_off() -> None:
    machines, client, _ = idle_pair()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
    machines.run(3 * IDLE)
    assert probes(machines) == []


def test_a_connection_that_is_closed_is_left_alone() -> None:
    machines, client, server = idle_pair()
    client.close()
    server.close()
    machines.run(3 * IDLE)
    assert probes(machines) == []
