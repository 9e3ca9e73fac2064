"""UNIX sockets as a program sees them: the same on real ones and on simulated ones."""

from __future__ import annotations

import errno
import os
import select
import socket
import stat
from pathlib import Path

import pytest

from tests.simulation.kernel.props import base, listening_at, stream_pair
from tests.simulation.kernel.wires import Machines, SimulatedWorld, World, raises_errno, same_on_both
from twistnet.simulation.clock import Clock
from twistnet.simulation.kernel import FilePaths, Kernel

IN, OUT, ERR, HUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP


# Streams


@same_on_both
def test_a_fresh_stream(world: World) -> None:
    fresh = world.unix()
    world.polls(fresh)
    world.tries(fresh.getsockname)
    world.tries(fresh.getpeername)
    world.tries(fresh.send, b"x")
    world.tries(fresh.accept)
    world.error(fresh)


@same_on_both
def test_a_stream_that_has_no_name_does_not_listen(world: World) -> None:
    world.tries(world.unix().listen, 1)


@same_on_both
def test_names_of_both_ends(world: World) -> None:
    listening = listening_at(world)
    client = world.unix()
    world.tries(client.connect, world.path())
    server, peer = listening.accept()
    world.note(base(listening.getsockname()), base(server.getsockname()), base(client.getpeername()))
    world.note(client.getsockname(), server.getpeername(), peer)
    server.close()


@same_on_both
def test_a_client_with_a_name_shows_it(world: World) -> None:
    listening = listening_at(world)
    client = world.unix()
    client.bind(world.path("client"))
    client.connect(world.path())
    server, peer = listening.accept()
    world.note(base(peer), base(server.getpeername()), base(client.getsockname()))
    server.close()


@same_on_both
def test_what_cannot_be_connected_to(world: World) -> None:
    client = world.unix()
    world.tries(client.connect, world.path("nothing"))
    bound = world.unix()
    bound.bind(world.path("bound"))
    world.tries(client.connect, world.path("bound"))
    datagrams = world.unix(socket.SOCK_DGRAM)
    datagrams.bind(world.path("datagrams"))
    world.tries(client.connect, world.path("datagrams"))
    gone = listening_at(world, "gone")
    gone.close()
    world.tries(client.connect, world.path("gone"))
    listening_at(world, "there")
    world.tries(client.connect, world.path("there"))
    world.tries(client.connect, world.path("there"))


@same_on_both
def test_a_name_can_be_had_once(world: World) -> None:
    listening = listening_at(world)
    world.tries(world.unix().bind, world.path())
    world.tries(world.unix(socket.SOCK_DGRAM).bind, world.path())
    listening.close()
    world.tries(world.unix().bind, world.path())
    world.tries(listening.bind, world.path("other"))
    bound = world.unix()
    bound.bind(world.path("once"))
    world.tries(bound.bind, world.path("twice"))


@same_on_both
def test_what_is_no_path(world: World) -> None:
    fresh = world.unix()
    world.tries(fresh.bind, world.path("x" * 200))
    world.tries(fresh.bind, ("127.0.0.1", 1))
    world.tries(fresh.connect, 7)


@same_on_both
def test_a_path_may_be_octets(world: World) -> None:
    listening = world.unix()
    world.tries(listening.bind, os.fsencode(world.path()))
    listening.listen(1)
    world.tries(world.unix().connect, world.path())


@same_on_both
def test_an_abstract_name_goes_with_its_socket(world: World) -> None:
    name = b"\0twistnet-tests-" + os.fsencode(world.folder.name) + b"-%d" % os.getpid()
    client = world.unix()
    world.tries(client.connect, name)
    listening = world.unix()
    listening.bind(name)
    world.note(listening.getsockname() == name)
    listening.listen(1)
    world.tries(world.unix().bind, name)
    world.tries(client.connect, name)
    world.note(client.getpeername() == name)
    listening.close()
    world.tries(world.unix().connect, name)
    world.tries(world.unix().bind, name)


@same_on_both
def test_an_empty_backlog_takes_one(world: World) -> None:
    listening = listening_at(world, backlog=0)
    world.polls(listening)
    for _ in range(2):
        world.tries(world.unix().connect, world.path())
    world.polls(listening)
    listening.accept()[0].close()
    world.tries(world.unix().connect, world.path())


@same_on_both
def test_those_who_were_not_accepted_are_reset(world: World) -> None:
    listening = listening_at(world)
    client = world.unix()
    client.connect(world.path())
    listening.close()
    world.wait(client, HUP)
    world.polls(client)
    world.tries(client.recv, 1)
    world.tries(client.recv, 1)
    world.tries(client.send, b"x")


@same_on_both
def test_a_listening_stream_neither_sends_nor_receives(world: World) -> None:
    listening = listening_at(world)
    world.tries(listening.accept)
    world.tries(listening.send, b"x")
    world.tries(listening.getpeername)
    world.tries(listening.connect, world.path())


@same_on_both
def test_octets_both_ways(world: World) -> None:
    client, server = stream_pair(world)
    world.polls(client, server)
    world.tries(client.recv, 1)
    world.tries(client.send, b"hello ")
    world.tries(client.send, b"world")
    world.tries(client.send, b"")
    world.polls(server)
    world.tries(server.recv, 4, socket.MSG_PEEK)
    world.tries(server.recv, 8)
    world.tries(server.recvfrom, 100)
    world.tries(server.sendall, b"answer")
    world.tries(client.recv, 100)
    world.tries(client.recv, 0)
    world.tries(client.listen, 1)


@same_on_both
def test_the_end_of_a_stream(world: World) -> None:
    client, server = stream_pair(world)
    client.send(b"last")
    client.close()
    world.polls(server)
    world.tries(server.recv, 100)
    world.polls(server)
    world.tries(server.recv, 100)
    world.tries(server.send, b"x")
    world.tries(server.send, b"x")
    world.tries(server.shutdown, socket.SHUT_RDWR)
    world.tries(server.getpeername)
    world.error(server)


@same_on_both
def test_unread_input_makes_closing_a_reset(world: World) -> None:
    client, server = stream_pair(world)
    server.send(b"kept")
    client.send(b"unread")
    server.close()
    world.polls(client)
    world.tries(client.recv, 100)
    world.tries(client.recv, 100)
    world.tries(client.recv, 100)
    world.tries(client.send, b"x")


@same_on_both
def test_a_reset_is_told_to_send(world: World) -> None:
    client, server = stream_pair(world)
    client.send(b"unread")
    server.close()
    world.tries(client.send, b"x")
    world.tries(client.send, b"x")
    world.tries(client.recv, 1)


@same_on_both
def test_half_close(world: World) -> None:
    client, server = stream_pair(world)
    world.tries(client.shutdown, socket.SHUT_WR)
    world.polls(client, server)
    world.tries(client.send, b"x")
    world.tries(server.recv, 1)
    world.tries(server.send, b"answer")
    world.tries(client.recv, 10)
    world.tries(client.recv, 10)
    world.tries(server.shutdown, socket.SHUT_WR)
    world.polls(client, server)
    world.tries(client.recv, 10)
    world.tries(client.shutdown, socket.SHUT_RDWR)


@same_on_both
def test_shutting_down_the_input(world: World) -> None:
    client, server = stream_pair(world)
    client.send(b"early")
    world.tries(server.shutdown, socket.SHUT_RD)
    world.polls(client, server)
    world.tries(client.send, b"x")
    world.tries(server.recv, 10)
    world.tries(server.recv, 10)
    world.tries(server.send, b"still")
    world.tries(client.recv, 10)


@same_on_both
def test_a_writer_is_stopped_and_goes_on_when_it_is_read(world: World) -> None:
    client, server = stream_pair(world)
    sent = 0
    while isinstance(taken := world.attempt(client.send, b"x" * 4096), int):
        sent += taken
        assert sent < 1 << 24
    world.note(taken)
    world.polls(client)
    received = 0
    while isinstance(part := world.attempt(server.recv, 65536), bytes):
        received += len(part)
    world.note(received == sent)
    world.polls(client)


@same_on_both
def test_two_descriptors_of_one_end(world: World) -> None:
    client, server = stream_pair(world)
    second = client.dup()
    second.setblocking(False)
    client.close()
    world.polls(server)
    world.tries(second.send, b"x")
    world.tries(server.recv, 10)
    second.close()
    world.tries(server.recv, 10)


@same_on_both
def test_what_a_unix_socket_says_of_itself(world: World) -> None:
    listening = listening_at(world)
    for opened in (listening, world.unix(), world.unix(socket.SOCK_DGRAM)):
        world.note(opened.family, opened.type)
        for option in (socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_ACCEPTCONN):
            world.note(opened.getsockopt(socket.SOL_SOCKET, option))


# Names


def test_a_mode_that_does_not_allow_writing_refuses_everybody(tmp_path: Path) -> None:
    world = SimulatedWorld(tmp_path)
    listening_at(world)
    paths = world.kernel.paths
    paths.chmod(world.path(), 0o500)
    raises_errno(errno.EACCES, world.unix().connect, world.path())
    paths.chmod(world.path(), 0o600)
    assert world.unix().connect_ex(world.path()) == 0
    assert stat.S_ISSOCK(paths.stat(world.path()).st_mode)
    assert stat.S_IMODE(paths.stat(world.path()).st_mode) == 0o600
    paths.unlink(world.path())
    raises_errno(errno.ENOENT, world.unix().connect, world.path())
    for call in (paths.unlink, paths.stat):
        with pytest.raises(FileNotFoundError):
            call(world.path())


def test_each_machine_has_paths_of_its_own_in_memory(tmp_path: Path) -> None:
    machines = Machines()
    one, other = machines.machine("one"), machines.machine("other")
    path = str(tmp_path / "socket")
    listening = one.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(1)
    assert one.socket(socket.AF_UNIX).connect_ex(path) == 0
    assert other.socket(socket.AF_UNIX).connect_ex(path) == errno.ENOENT
    assert not list(tmp_path.iterdir())


def test_paths_that_are_real_are_seen_by_the_system(tmp_path: Path) -> None:
    machines = Machines()
    way = machines.links.direction("here", "here")
    kernel = Kernel(
        "here",
        (),
        clock=Clock(),
        wire=machines,
        loopback=way,
        record=machines.packets.append,
        ready={},
        paths=FilePaths(),
    )
    path = tmp_path / "socket"
    listening = kernel.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(1)
    assert path.is_socket()
    raises_errno(errno.EADDRINUSE, kernel.socket(socket.AF_UNIX).bind, str(path))
    assert kernel.socket(socket.AF_UNIX).connect_ex(str(path)) == 0
    listening.close()
    assert kernel.socket(socket.AF_UNIX).connect_ex(str(path)) == errno.ECONNREFUSED
    path.unlink()
    assert kernel.socket(socket.AF_UNIX).connect_ex(str(path)) == errno.ENOENT


def test_what_is_sent_between_two_ends_is_in_the_capture(tmp_path: Path) -> None:
    world = SimulatedWorld(tmp_path)
    client, server = stream_pair(world)
    client.send(b"hello")
    client.close()
    assert [packet.payload for packet in world.machines.packets] == [b"hello", b""]
    assert world.machines.packets[0].destination.address == world.path()
    server.close()
