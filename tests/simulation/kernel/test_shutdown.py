"""shutdown(2) and calls on sockets that are at an end, compared with the real kernel: found by comparing random programs."""

from __future__ import annotations

import socket

from .wires import World, same_on_both


@same_on_both
def test_octets_that_come_after_shut_rd_are_read(world: World) -> None:
    one, other = world.pair()
    other.shutdown(socket.SHUT_RD)
    world.tries(one.send, b"late")
    world.polls(one, other)
    world.tries(other.recv, 10)
    world.tries(other.recv, 10)


@same_on_both
def test_octets_that_come_after_shut_rdwr_reset_both_ends(world: World) -> None:
    one, other = world.pair()
    other.shutdown(socket.SHUT_RDWR)
    world.tries(one.send, b"unwanted")
    world.polls(one, other)
    world.tries(other.recv, 10)
    world.tries(other.recv, 10)
    world.tries(other.listen, 5)


@same_on_both
def test_connecting_what_was_accepted_says_that_it_is_connected(world: World) -> None:
    one, other = world.pair()
    somewhere = world.listener().getsockname()
    world.connects(other, somewhere)
    one.shutdown(socket.SHUT_RD)
    world.connects(one, somewhere)
    world.note(other.shutdown(socket.SHUT_RDWR), one.close())
    world.connects(other, somewhere)


@same_on_both
def test_a_unix_stream_is_shut_for_its_peer_too(world: World) -> None:
    for first, second in ((socket.SHUT_RDWR, None), (socket.SHUT_RD, socket.SHUT_RD), (socket.SHUT_RD, None)):
        listener = world.unix()
        listener.bind(world.path(f"{first} {second}"))
        listener.listen(1)
        one = world.unix()
        one.connect(world.path(f"{first} {second}"))
        other = world.accept(listener)
        one.shutdown(first)
        if second is not None:
            other.shutdown(second)
        world.polls(one, other)
        world.tries(other.send, b"x")


@same_on_both
def test_a_connected_unix_stream_that_connects_to_a_dead_path_is_refused(world: World) -> None:
    listener, other = world.unix(), world.unix()
    for opened, name in ((listener, "live"), (other, "dead")):
        opened.bind(world.path(name))
        opened.listen(1)
    other.close()
    client = world.unix()
    for name in ("live", "live", "dead"):
        world.connects(client, world.path(name))


@same_on_both
def test_an_unconnected_udp_socket_is_shut_though_that_fails(world: World) -> None:
    there = world.bound_udp().getsockname()
    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        opened = world.bound_udp()
        world.tries(opened.shutdown, how)
        world.polls(opened)
        world.tries(opened.sendto, b"x", there)
        world.tries(opened.recv, 10)


@same_on_both
def test_a_unix_datagram_socket_can_be_shut(world: World) -> None:
    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        one, other = world.unix(socket.SOCK_DGRAM), world.unix(socket.SOCK_DGRAM)
        for number, opened in enumerate((one, other)):
            opened.bind(world.path(f"{how} {number}"))
        world.tries(one.shutdown, how)
        world.polls(one, other)
        world.tries(one.sendto, b"x", world.path(f"{how} 1"))
        world.tries(other.sendto, b"x", world.path(f"{how} 0"))
        world.tries(one.sendto, b"x" * 300_000, world.path("nowhere"))
        world.tries(one.recv, 10)


@same_on_both
def test_a_refusal_is_for_who_is_connected_there_and_comes_at_once(world: World) -> None:
    one, two = world.bound_udp(), world.bound_udp()
    dead = "127.0.0.1", world.dead_port(socket.SOCK_DGRAM)
    one.sendto(b"x", dead)
    one.connect(two.getsockname())
    world.error(one)
    two.connect(dead)
    two.send(b"x")
    world.poll(two)
    world.tries(two.send, b"x")


@same_on_both
def test_no_octets_are_read_from_anything(world: World) -> None:
    one, _other = world.pair()
    for opened in (one, world.bound_udp(), world.unix(socket.SOCK_DGRAM)):
        world.tries(opened.recv, 0)
    one.close()
    world.tries(one.recv, 0)
    world.tries(one.listen, 1)
    world.tries(one.recv, 1)
