"""Descriptors and datagrams over UNIX sockets: the same on real ones and on simulated ones."""

from __future__ import annotations

import array
import os
import select
import socket
from pathlib import Path
from typing import Any

from tests.simulation.kernel.props import base, listening_at, stream_pair
from tests.simulation.kernel.wires import SimulatedWorld, World, same_on_both

IN, OUT, ERR, HUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP


# Descriptors over streams


def rights(*opened: Any) -> list[tuple[int, int, bytes]]:
    """The ancillary data that carries descriptors."""
    return [
        (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one.fileno() for one in opened]).tobytes())
    ]


def count_rights(world: World, opened: Any, most: int, room: int) -> Any:
    """The octets of the next message, how many descriptors came, and the flags; real descriptors are closed."""
    message = world.attempt(opened.recvmsg, most, room)
    if isinstance(message, str):
        return message
    data, ancillary, flags, _ = message
    numbers = array.array("i")
    for _, _, packed in ancillary:
        numbers.frombytes(packed)
    for number in numbers:
        if number < 1 << 24:
            os.close(number)
    return data, len(numbers), flags & ~getattr(socket, "MSG_CMSG_CLOEXEC", 0)


@same_on_both
def test_descriptors_come_with_the_octets_that_they_were_sent_with(world: World) -> None:
    client, server = stream_pair(world)
    one, other = world.udp(), world.udp()
    world.tries(client.send, b"before")
    world.note(client.sendmsg([b"with"], rights(one, other)))
    world.tries(client.send, b"after")
    space = socket.CMSG_SPACE(16)
    world.note(count_rights(world, server, 6, space))
    world.note(count_rights(world, server, 100, space))
    world.note(count_rights(world, server, 100, space))


@same_on_both
def test_octets_before_descriptors_come_with_them(world: World) -> None:
    client, server = stream_pair(world)
    world.tries(client.send, b"before")
    client.sendmsg([b"with"], rights(world.udp()))
    world.note(count_rights(world, server, 100, socket.CMSG_SPACE(16)))
    world.note(count_rights(world, server, 100, socket.CMSG_SPACE(16)))


@same_on_both
def test_descriptors_that_nobody_asks_for_are_gone(world: World) -> None:
    client, server = stream_pair(world)
    client.sendmsg([b"with"], rights(world.udp()))
    client.sendmsg([b"more"], rights(world.udp()))
    world.tries(server.recv, 100)
    world.note(count_rights(world, server, 100, socket.CMSG_SPACE(16)))


@same_on_both
def test_descriptors_come_with_the_first_of_their_octets_and_hold_back_what_follows(world: World) -> None:
    client, server = stream_pair(world)
    client.sendmsg([b"with"], rights(world.udp()))
    client.send(b"after")
    world.note(count_rights(world, server, 2, socket.CMSG_SPACE(16)))
    world.note(count_rights(world, server, 100, socket.CMSG_SPACE(16)))
    client.sendmsg([b"with"], rights(world.udp()))
    client.send(b"after")
    world.tries(server.recv, 100)
    world.tries(server.recv, 100)


@same_on_both
def test_descriptors_without_room_for_them_are_gone_and_said_so(world: World) -> None:
    client, server = stream_pair(world)
    client.sendmsg([b"with"], rights(world.udp()))
    world.note(count_rights(world, server, 100, 0))


@same_on_both
def test_a_descriptor_that_is_none_is_not_sent(world: World) -> None:
    client, server = stream_pair(world)
    packed = array.array("i", [1 << 23]).tobytes()
    world.tries(client.sendmsg, [b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)])
    world.polls(server)


def test_a_descriptor_that_was_sent_is_the_same_socket(tmp_path: Path) -> None:
    world = SimulatedWorld(tmp_path)
    client, server = stream_pair(world)
    heard, said = world.bound_udp(), world.bound_udp()
    client.sendmsg([b"with"], rights(heard))
    name = heard.getsockname()
    heard.close()
    _, [(_, _, packed)], _, _ = server.recvmsg(100, 100)
    received = world.kernel.find(int.from_bytes(packed, "little"))
    assert received is not None
    assert received.getsockname() == name
    said.sendto(b"hello", name)
    world.wait(received)
    assert received.recv(10) == b"hello"


def test_descriptors_that_never_arrived_are_closed(tmp_path: Path) -> None:
    world = SimulatedWorld(tmp_path)
    client, server = stream_pair(world)
    listening = world.listener()
    name = listening.getsockname()
    client.sendmsg([b"with"], rights(listening))
    listening.close()
    held = len(world.kernel.open_sockets)
    server.close()
    assert len(world.kernel.open_sockets) == held - 2
    again = world.tcp()
    again.bind(name)


# Datagrams


def datagrams_at(world: World, name: str) -> Any:
    """A datagram socket with a path."""
    bound = world.unix(socket.SOCK_DGRAM)
    bound.bind(world.path(name))
    return bound


@same_on_both
def test_a_fresh_datagram_socket(world: World) -> None:
    fresh = world.unix(socket.SOCK_DGRAM)
    world.polls(fresh)
    world.tries(fresh.send, b"x")
    world.tries(fresh.recv, 1)
    world.tries(fresh.getsockname)
    world.tries(fresh.getpeername)
    world.tries(fresh.listen, 1)


@same_on_both
def test_datagrams_between_paths(world: World) -> None:
    one, other = datagrams_at(world, "one"), datagrams_at(world, "other")
    world.tries(one.sendto, b"hello", world.path("other"))
    world.tries(one.sendto, b"", world.path("other"))
    world.polls(other)
    data, source = other.recvfrom(3)
    world.note(data, base(source))
    world.tries(other.recv, 10)
    world.tries(other.recv, 10)


@same_on_both
def test_a_sender_without_a_name(world: World) -> None:
    other = datagrams_at(world, "other")
    world.unix(socket.SOCK_DGRAM).sendto(b"hello", world.path("other"))
    world.note(other.recvfrom(10))


@same_on_both
def test_where_datagrams_cannot_be_sent(world: World) -> None:
    one = world.unix(socket.SOCK_DGRAM)
    world.tries(one.sendto, b"x", world.path("nothing"))
    listening_at(world, "stream")
    world.tries(one.sendto, b"x", world.path("stream"))
    gone = datagrams_at(world, "gone")
    gone.close()
    world.tries(one.sendto, b"x", world.path("gone"))
    world.tries(one.connect, world.path("gone"))
    world.tries(one.connect, world.path("nothing"))
    there = datagrams_at(world, "there")
    world.tries(one.sendto, b"x" * 300_000, world.path("there"))
    world.tries(there.recv, 10)


@same_on_both
def test_a_peer_that_has_gone(world: World) -> None:
    one, other = datagrams_at(world, "one"), datagrams_at(world, "other")
    one.connect(world.path("other"))
    world.note(base(one.getpeername()))
    world.tries(one.send, b"x")
    other.close()
    world.tries(one.send, b"x")
    world.tries(one.send, b"x")
    world.error(one)


@same_on_both
def test_a_connected_datagram_socket_hears_its_peer_alone(world: World) -> None:
    one, other = datagrams_at(world, "one"), datagrams_at(world, "other")
    stranger = world.unix(socket.SOCK_DGRAM)
    one.connect(world.path("other"))
    world.tries(stranger.sendto, b"x", world.path("one"))
    world.tries(other.sendto, b"y", world.path("one"))
    world.tries(one.recv, 10)
    world.tries(one.recv, 10)


@same_on_both
def test_a_queue_of_datagrams_that_nobody_reads_is_full_at_last(world: World) -> None:
    one, other = world.unix(socket.SOCK_DGRAM), datagrams_at(world, "other")
    one.connect(world.path("other"))
    sent = 0
    while isinstance(taken := world.attempt(one.send, b"x"), int):
        sent += taken
        assert sent < 100_000
    world.note(taken, sent > 5)
    for _ in range(sent):
        other.recv(10)
    world.polls(one)
    world.tries(other.recv, 10)
    world.tries(one.send, b"x")


@same_on_both
def test_a_long_datagram_comes_whole_or_cut_off(world: World) -> None:
    one, other = world.unix(socket.SOCK_DGRAM), datagrams_at(world, "other")
    world.tries(one.sendto, b"x" * 100_000, world.path("other"))
    world.note(len(other.recv(200_000)))
    one.sendto(b"x" * 100_000, world.path("other"))
    world.tries(other.recv, 10)
    world.tries(other.recv, 10)
