"""TCP as a program sees it: the same on real sockets and on simulated ones; and what only virtual time shows."""

from __future__ import annotations

import errno
import select
import socket
import struct
from typing import Any

import pytest

from tests.simulation.kernel.wires import Machines, World, raises_errno, same_on_both, shown_mask
from twistnet.simulation.packets import ACK, FIN, RST, SYN, Fate, Transport

IN, OUT, ERR, HUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP
LINGER_ZERO = struct.pack("ii", 1, 0)


def reset(opened: Any) -> None:
    """Close a socket with a reset."""
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    opened.close()


# A socket that is not connected


@same_on_both
def test_a_fresh_socket_is_not_connected(world: World) -> None:
    fresh = world.tcp()
    world.polls(fresh)
    world.tries(fresh.recv, 10)
    world.tries(fresh.send, b"x")
    world.tries(fresh.getpeername)
    world.tries(fresh.getsockname)
    world.tries(fresh.shutdown, socket.SHUT_RDWR)
    world.tries(fresh.accept)
    world.error(fresh)


@same_on_both
def test_a_fresh_socket_of_ipv6(world: World) -> None:
    fresh = world.tcp(socket.AF_INET6)
    world.tries(fresh.getsockname)
    world.tries(fresh.getpeername)
    world.tries(fresh.bind, ("::1", 0))
    world.note(fresh.getsockname()[0], fresh.getsockname()[2:])


@same_on_both
def test_what_cannot_be_an_address(world: World) -> None:
    fresh = world.tcp()
    for address in [("127.0.0.1",), "127.0.0.1", ("127.0.0.1", 70000), ("127.0.0.1", -1), ("127.0.0.1", "80")]:
        world.tries(fresh.bind, address)
    world.tries(fresh.bind, ("::1", 0))
    world.tries(fresh.bind, (7, 0))


@same_on_both
def test_a_closed_descriptor(world: World) -> None:
    fresh = world.tcp()
    fresh.close()
    fresh.close()
    world.note(fresh.fileno())
    world.tries(fresh.recv, 1)
    world.tries(fresh.send, b"x")
    world.tries(fresh.getsockname)
    world.tries(fresh.listen, 1)
    world.tries(fresh.bind, ("127.0.0.1", 0))
    world.tries(fresh.setsockopt, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    world.tries(fresh.shutdown, socket.SHUT_WR)
    world.tries(fresh.dup)
    world.tries(fresh.recv_into, bytearray(1))


@same_on_both
def test_a_closed_descriptor_does_not_connect(world: World) -> None:
    fresh = world.tcp()
    fresh.close()
    world.tries(fresh.connect, ("127.0.0.1", 9))


@same_on_both
def test_what_a_socket_says_of_itself(world: World) -> None:
    listening = world.listener()
    client, server = world.connected(listening)
    for opened in (listening, client, server, world.udp()):
        world.note(opened.family, opened.type)
        for option in (socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_ACCEPTCONN, socket.SO_ERROR):
            world.note(opened.getsockopt(socket.SOL_SOCKET, option))


@same_on_both
def test_options_that_are_set_are_on(world: World) -> None:
    fresh = world.tcp()
    for level, option in [
        (socket.SOL_SOCKET, socket.SO_REUSEADDR),
        (socket.SOL_SOCKET, socket.SO_REUSEPORT),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
        (socket.IPPROTO_TCP, socket.TCP_NODELAY),
    ]:
        world.note(fresh.getsockopt(level, option))
        fresh.setsockopt(level, option, 1)
        world.note(fresh.getsockopt(level, option))
    fresh.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_ZERO)
    world.note(fresh.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8))


@same_on_both
def test_the_kernel_doubles_a_buffer(world: World) -> None:
    fresh = world.tcp()
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        fresh.setsockopt(socket.SOL_SOCKET, option, 50_000)
        world.note(fresh.getsockopt(socket.SOL_SOCKET, option))


# Connecting


@same_on_both
def test_connecting_says_in_progress_then_nothing_then_connected(world: World) -> None:
    listening = world.listener()
    client = world.tcp()
    world.connects(client, listening.getsockname())
    world.wait(client, OUT)
    world.polls(client)
    world.connects(client, listening.getsockname())
    world.connects(client, listening.getsockname())
    world.error(client)


@same_on_both
def test_both_ends_know_both_names(world: World) -> None:
    listening = world.listener()
    client, server = world.connected(listening)
    world.note(client.getpeername() == listening.getsockname() == server.getsockname())
    world.note(client.getsockname() == server.getpeername(), client.getsockname()[0])


@same_on_both
def test_a_refused_connection_says_so_once(world: World) -> None:
    client = world.tcp()
    world.connects(client, ("127.0.0.1", world.dead_port()))
    world.wait(client, ERR | HUP)
    world.polls(client)
    world.error(client)
    world.error(client)
    world.polls(client)
    world.tries(client.recv, 1)
    world.tries(client.send, b"x")
    world.tries(client.getpeername)


@same_on_both
def test_a_refused_connection_says_so_to_recv(world: World) -> None:
    client = world.tcp()
    world.connects(client, ("127.0.0.1", world.dead_port()))
    world.wait(client, ERR | HUP)
    world.tries(client.recv, 1)
    world.tries(client.recv, 1)
    world.tries(client.send, b"x")


@same_on_both
def test_a_refused_connection_says_so_to_send(world: World) -> None:
    client = world.tcp()
    world.connects(client, ("127.0.0.1", world.dead_port()))
    world.wait(client, ERR | HUP)
    world.tries(client.send, b"x")
    world.tries(client.send, b"x")
    world.tries(client.recv, 1)


@same_on_both
def test_a_refused_connection_says_so_to_connect_and_may_be_tried_again(world: World) -> None:
    listening = world.listener()
    client = world.tcp()
    world.connects(client, ("127.0.0.1", world.dead_port()))
    world.wait(client, ERR | HUP)
    world.connects(client, listening.getsockname())
    world.connects(client, listening.getsockname())
    world.wait(client, OUT)
    world.polls(client)
    world.tries(client.send, b"again")
    server = world.accept(listening)
    world.wait(server)
    world.tries(server.recv, 10)


@same_on_both
def test_a_refusal_that_was_read_is_an_abort_to_connect(world: World) -> None:
    listening = world.listener()
    client = world.tcp()
    world.connects(client, ("127.0.0.1", world.dead_port()))
    world.wait(client, ERR | HUP)
    world.error(client)
    world.connects(client, listening.getsockname())
    world.connects(client, listening.getsockname())


@same_on_both
def test_port_zero_refuses(world: World) -> None:
    client = world.tcp()
    world.connects(client, ("127.0.0.1", 0))
    world.wait(client, ERR | HUP)
    world.error(client)


@same_on_both
def test_the_wildcard_leads_home(world: World) -> None:
    listening = world.listener()
    client = world.tcp()
    world.connects(client, ("0.0.0.0", listening.getsockname()[1]))
    world.wait(client, OUT)
    server = world.accept(listening)
    world.note(client.getpeername()[0], client.getsockname()[0], server.getsockname()[0], server.getpeername()[0])


@same_on_both
def test_a_name_before_connecting_is_kept(world: World) -> None:
    listening = world.listener()
    client = world.tcp()
    client.bind(("127.0.0.2", 0))
    port = client.getsockname()[1]
    world.connects(client, listening.getsockname())
    world.wait(client, OUT)
    world.note(client.getsockname() == ("127.0.0.2", port))
    world.note(world.accept(listening).getpeername() == ("127.0.0.2", port))


@same_on_both
def test_bound_to_every_address_a_client_leaves_from_one(world: World) -> None:
    listening = world.listener()
    client = world.tcp()
    client.bind(("0.0.0.0", 0))
    port = client.getsockname()[1]
    world.connects(client, listening.getsockname())
    world.wait(client, OUT)
    world.note(client.getsockname() == ("127.0.0.1", port))


@same_on_both
def test_a_connected_socket_neither_listens_nor_is_bound(world: World) -> None:
    client, _ = world.pair()
    world.tries(client.listen, 1)
    world.tries(client.bind, ("127.0.0.1", 0))
    world.tries(client.accept)


@same_on_both
def test_a_connection_that_is_not_there_yet(world: World) -> None:
    listening = world.listener(backlog=0)
    first, second = world.tcp(), world.tcp()
    world.connects(first, listening.getsockname())
    world.wait(first, OUT)
    world.connects(second, listening.getsockname())
    world.polls(second)
    world.connects(second, listening.getsockname())
    world.tries(second.recv, 1)
    world.tries(second.send, b"x")
    world.tries(second.getpeername)
    world.note(second.getsockname()[0])
    world.error(second)


@same_on_both
def test_a_connection_is_given_up_by_shutdown(world: World) -> None:
    listening = world.listener(backlog=0)
    first, second = world.tcp(), world.tcp()
    world.connects(first, listening.getsockname())
    world.wait(first, OUT)
    world.connects(second, listening.getsockname())
    world.tries(second.shutdown, socket.SHUT_RDWR)
    world.polls(second)
    world.tries(second.shutdown, socket.SHUT_RDWR)
    world.tries(second.recv, 1)


@same_on_both
def test_a_backlog_of_zero_takes_one_and_of_two_takes_three(world: World) -> None:
    for backlog in (0, 2):
        listening = world.listener(backlog=backlog)
        clients = [world.tcp() for _ in range(backlog + 3)]
        for client in clients:
            client.connect_ex(listening.getsockname())
        world.wait(clients[backlog], OUT)
        world.polls(*clients)


@same_on_both
def test_the_first_to_connect_is_the_first_to_be_accepted(world: World) -> None:
    listening = world.listener()
    clients = [world.tcp() for _ in range(4)]
    for client in clients:
        client.connect_ex(listening.getsockname())
        world.wait(client, OUT)
    names = [client.getsockname() for client in clients]
    world.note(*(names.index(world.accept(listening).getpeername()) for _ in clients))
    world.tries(listening.accept)


# Listening


@same_on_both
def test_a_listening_socket_neither_sends_nor_receives(world: World) -> None:
    listening = world.listener()
    world.polls(listening)
    world.tries(listening.recv, 1)
    world.tries(listening.send, b"x")
    world.tries(listening.getpeername)
    world.tries(listening.accept)
    world.tries(listening.listen, 10)
    world.tries(listening.bind, ("127.0.0.1", 0))


@same_on_both
def test_a_listening_socket_does_not_connect(world: World) -> None:
    listening = world.listener()
    world.connects(listening, ("127.0.0.1", listening.getsockname()[1]))


@same_on_both
def test_listening_without_a_name_gets_one(world: World) -> None:
    listening = world.tcp()
    listening.listen(1)
    world.note(listening.getsockname()[0], listening.getsockname()[1] > 0)
    client = world.tcp()
    world.connects(client, ("127.0.0.1", listening.getsockname()[1]))
    world.wait(client, OUT)
    world.note(world.accept(listening).getsockname()[0])


@same_on_both
def test_those_who_were_not_accepted_are_reset(world: World) -> None:
    listening = world.listener()
    client = world.tcp()
    client.connect_ex(listening.getsockname())
    world.wait(client, OUT)
    listening.close()
    world.wait(client, ERR | HUP)
    world.polls(client)
    world.tries(client.recv, 1)
    world.tries(client.recv, 1)
    world.tries(client.send, b"x")


@same_on_both
def test_a_listening_socket_that_is_shut_down(world: World) -> None:
    listening = world.listener()
    name = listening.getsockname()
    waiting = world.tcp()
    waiting.connect_ex(name)
    world.wait(waiting, OUT)
    world.tries(listening.shutdown, socket.SHUT_RD)
    world.wait(waiting, ERR | HUP)
    world.error(waiting)
    world.polls(listening)
    world.tries(listening.accept)
    client = world.tcp()
    world.connects(client, name)
    world.wait(client, ERR | HUP)
    world.error(client)


@same_on_both
def test_shutting_down_the_output_of_a_listening_socket_is_nothing(world: World) -> None:
    listening = world.listener()
    world.tries(listening.shutdown, socket.SHUT_WR)
    client, server = world.connected(listening)
    client.send(b"still")
    world.wait(server)
    world.tries(server.recv, 10)


@same_on_both
def test_accepting_a_connection_that_has_ended(world: World) -> None:
    listening = world.listener()
    client = world.tcp()
    client.connect_ex(listening.getsockname())
    world.wait(client, OUT)
    client.send(b"hello")
    client.close()
    server = world.accept(listening)
    world.wait(server)
    world.tries(server.recv, 10)
    world.tries(server.recv, 10)
    world.note(server.getpeername()[0])


@same_on_both
def test_accepting_a_connection_that_was_reset(world: World) -> None:
    listening = world.listener()
    client = world.tcp()
    client.connect_ex(listening.getsockname())
    world.wait(client, OUT)
    name = client.getsockname()
    world.wait(listening)
    reset(client)
    world.polls(listening)
    server, peer = listening.accept()
    server.setblocking(False)
    world.note(peer == name)
    world.polls(server)
    world.tries(server.getpeername)
    world.tries(server.recv, 1)
    world.tries(server.recv, 1)
    server.close()


@same_on_both
def test_options_of_the_listener_are_inherited(world: World) -> None:
    listening = world.listener(options=[socket.SO_KEEPALIVE])
    _, server = world.connected(listening)
    world.note(server.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))
    world.note(server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


# Octets


@same_on_both
def test_an_idle_connection(world: World) -> None:
    client, server = world.pair()
    world.polls(client, server)
    world.tries(client.recv, 1)
    world.tries(server.recv, 1)
    world.tries(client.recv, 0)
    world.tries(client.send, b"")
    world.polls(server)


@same_on_both
def test_octets_are_joined_cut_and_peeked_at(world: World) -> None:
    client, server = world.pair()
    world.tries(client.send, b"hello ")
    world.tries(client.send, memoryview(b"world"))
    world.wait(server)
    world.polls(server)
    world.tries(server.recv, 4, socket.MSG_PEEK)
    world.tries(server.recv, 4, socket.MSG_PEEK)
    world.tries(server.recv, 0)
    world.tries(server.recv, 4)
    world.tries(server.recvfrom, 2)
    world.tries(server.recv, 100)
    world.tries(server.recv, 100)
    world.tries(server.recv, -1)


@same_on_both
def test_a_buffer_is_filled(world: World) -> None:
    client, server = world.pair()
    client.send(b"abcdefgh")
    world.wait(server)
    buffer = bytearray(b"........")
    world.tries(server.recv_into, buffer, 3)
    world.tries(server.recv_into, memoryview(buffer)[4:6])
    world.note(bytes(buffer))
    world.tries(server.recv_into, buffer)
    world.note(bytes(buffer))
    world.tries(server.recv_into, buffer)
    world.tries(server.recv_into, bytearray(2), 3)


@same_on_both
def test_several_buffers_are_one_message(world: World) -> None:
    client, server = world.pair()
    world.tries(client.sendmsg, [b"one ", bytearray(b"two "), memoryview(b"three")])
    world.wait(server)
    world.tries(server.recvmsg, 8)
    world.tries(server.recv, 100)


@same_on_both
def test_sendto_on_a_stream_ignores_the_address(world: World) -> None:
    client, server = world.pair()
    world.tries(client.sendto, b"x", ("127.0.0.1", 9))
    world.tries(world.tcp().sendto, b"x", ("127.0.0.1", 9))
    world.polls(server)


@same_on_both
def test_a_writer_is_stopped_and_goes_on_when_it_is_read(world: World) -> None:
    client, server = world.pair()
    sent = 0
    while not isinstance(world.attempt(client.sendall, b""), str) and world.poll(client) & OUT:
        taken = world.attempt(client.send, b"x" * 65536)
        if isinstance(taken, str):
            break
        sent += taken
        assert sent < 1 << 26
    while isinstance(taken := world.attempt(client.send, b"x" * 65536), int):
        sent += taken
    world.note(taken, sent > 65536)
    world.polls(client)
    received = 0
    while received < sent:
        world.wait(server)
        received += len(server.recv(1 << 20))
    world.note(received == sent)
    world.wait(client, OUT)
    world.polls(client)
    world.note(world.attempt(client.send, b"again"))


@same_on_both
def test_sendall_raises_when_there_is_no_room(world: World) -> None:
    client, _ = world.pair()
    world.tries(client.sendall, b"x" * (1 << 25))


# Ends


@same_on_both
def test_data_then_the_end(world: World) -> None:
    client, server = world.pair()
    client.send(b"last words")
    client.close()
    world.wait(server)
    world.polls(server)
    world.tries(server.recv, 4)
    world.polls(server)
    world.tries(server.recv, 100)
    world.polls(server)
    world.tries(server.recv, 100)
    world.tries(server.recv, 100)
    world.error(server)


@same_on_both
def test_half_close_leaves_the_other_half(world: World) -> None:
    client, server = world.pair()
    client.send(b"question")
    world.tries(client.shutdown, socket.SHUT_WR)
    world.polls(client)
    world.tries(client.send, b"x")
    world.tries(client.shutdown, socket.SHUT_WR)
    world.note(world.read_all(server))
    world.tries(server.send, b"answer")
    server.close()
    world.note(world.read_all(client))
    world.polls(client)


@same_on_both
def test_when_both_have_shut_down_nobody_is_there(world: World) -> None:
    client, server = world.pair()
    client.shutdown(socket.SHUT_WR)
    world.wait(server)
    world.tries(server.recv, 1)
    server.shutdown(socket.SHUT_WR)
    world.wait(client, HUP)
    for opened in (client, server):
        world.polls(opened)
        world.tries(opened.getpeername)
        world.tries(opened.recv, 1)
        world.tries(opened.send, b"x")
        world.tries(opened.shutdown, socket.SHUT_RDWR)
        world.error(opened)


@same_on_both
def test_shutting_down_the_input_reads_the_end_but_what_comes_is_there(world: World) -> None:
    client, server = world.pair()
    world.tries(server.shutdown, socket.SHUT_RD)
    world.polls(server)
    world.tries(server.recv, 10)
    world.tries(client.send, b"late")
    world.polls(server)
    world.tries(server.recv, 10)
    world.tries(server.recv, 10)
    world.tries(server.send, b"still")
    world.wait(client)
    world.tries(client.recv, 10)


@same_on_both
def test_data_for_one_who_has_shut_down_both_ways_resets(world: World) -> None:
    client, server = world.pair()
    server.shutdown(socket.SHUT_RDWR)
    world.wait(client)
    world.polls(server, client)
    world.tries(client.recv, 1)
    world.tries(client.send, b"x")
    world.wait(client, ERR | HUP)
    world.polls(client, server)
    world.error(client)
    world.error(server)
    world.tries(client.send, b"x")
    world.tries(server.recv, 1)


@same_on_both
def test_data_before_shutting_down_both_ways_is_still_read(world: World) -> None:
    client, server = world.pair()
    client.send(b"early")
    world.wait(server)
    server.shutdown(socket.SHUT_RDWR)
    world.polls(server)
    world.tries(server.recv, 10)
    world.tries(server.recv, 10)
    world.tries(server.send, b"x")
    world.note(world.read_all(client))


@same_on_both
def test_unread_data_makes_closing_a_reset(world: World) -> None:
    client, server = world.pair()
    client.send(b"unread")
    world.wait(server)
    server.close()
    world.wait(client, ERR | HUP)
    world.polls(client)
    world.tries(client.recv, 1)
    world.tries(client.recv, 1)
    world.tries(client.send, b"x")
    world.tries(client.shutdown, socket.SHUT_WR)
    world.tries(client.getpeername)


@same_on_both
def test_a_linger_of_zero_makes_closing_a_reset(world: World) -> None:
    client, server = world.pair()
    reset(server)
    world.wait(client, ERR | HUP)
    world.polls(client)
    world.error(client)
    world.polls(client)
    world.tries(client.recv, 1)
    world.tries(client.send, b"x")
    world.error(client)


@same_on_both
def test_data_before_a_reset(world: World) -> None:
    client, server = world.pair()
    server.send(b"last words")
    world.wait(client)
    reset(server)
    world.wait(client, ERR | HUP)
    world.polls(client)
    world.tries(client.recv, 4)
    world.tries(client.recv, 100)
    world.tries(client.recv, 100)
    world.tries(client.recv, 100)


@same_on_both
def test_a_reset_is_told_to_send_once(world: World) -> None:
    client, server = world.pair()
    reset(server)
    world.wait(client, ERR | HUP)
    world.tries(client.send, b"x")
    world.tries(client.send, b"x")
    world.tries(client.recv, 1)


@same_on_both
def test_sending_to_one_who_has_closed(world: World) -> None:
    client, server = world.pair()
    server.close()
    world.wait(client)
    world.tries(client.send, b"first")
    world.wait(client, ERR | HUP)
    world.polls(client)
    world.tries(client.send, b"second")
    world.tries(client.send, b"third")
    world.tries(client.recv, 1)


@same_on_both
def test_the_error_after_sending_to_one_who_has_closed(world: World) -> None:
    client, server = world.pair()
    server.close()
    world.wait(client)
    client.send(b"first")
    world.wait(client, ERR | HUP)
    world.tries(client.recv, 1)
    world.error(client)
    world.tries(client.send, b"second")


@same_on_both
def test_sending_before_reading_the_end_of_one_who_has_closed(world: World) -> None:
    client, server = world.pair()
    server.send(b"bye")
    server.close()
    world.wait(client)
    client.send(b"first")
    world.wait(client, ERR | HUP)
    world.polls(client)
    world.tries(client.recv, 10)
    world.tries(client.recv, 10)
    world.tries(client.send, b"second")


@same_on_both
def test_closing_after_the_peer_has_ended_tells_it_nothing_more(world: World) -> None:
    client, server = world.pair()
    client.shutdown(socket.SHUT_WR)
    world.wait(server)
    server.close()
    world.wait(client, HUP)
    world.polls(client)
    world.tries(client.recv, 1)
    world.error(client)


@same_on_both
def test_all_that_was_written_arrives_after_closing(world: World) -> None:
    client, server = world.pair()
    client.send(b"x" * 60_000)
    client.close()
    world.note(world.read_all(server) == b"x" * 60_000)


@same_on_both
def test_a_reset_while_the_peer_has_more_than_the_window_to_send(world: World) -> None:
    client, server = world.pair()
    while isinstance(world.attempt(client.send, b"x" * 65536), int):
        pass
    world.wait(server)
    server.close()
    world.wait(client, ERR | HUP)
    world.polls(client)
    world.tries(client.send, b"x")
    world.tries(client.send, b"x")


@same_on_both
def test_the_last_of_two_descriptors_ends_the_connection(world: World) -> None:
    client, server = world.pair()
    second = client.dup()
    second.setblocking(False)
    world.note(second.fileno() != client.fileno())
    client.close()
    world.polls(server)
    world.tries(second.send, b"still here")
    world.wait(server)
    world.tries(server.recv, 100)
    second.close()
    world.wait(server)
    world.tries(server.recv, 100)


@same_on_both
def test_shutdown_concerns_every_descriptor(world: World) -> None:
    client, server = world.pair()
    second = client.dup()
    second.setblocking(False)
    client.shutdown(socket.SHUT_WR)
    world.tries(second.send, b"x")
    world.wait(server)
    world.tries(server.recv, 1)
    second.close()


@same_on_both
def test_a_block_closes_its_socket(world: World) -> None:
    client, server = world.pair()
    with client as same:
        world.note(same is client)
    world.note(client.fileno())
    world.note(world.read_all(server))


# Two families


@same_on_both
def test_a_socket_for_both_families(world: World) -> None:
    listening = world.tcp(socket.AF_INET6)
    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listening.bind(("::", 0))
    listening.listen(5)
    port = listening.getsockname()[1]
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"), (socket.AF_INET6, "::ffff:127.0.0.1")):
        client = world.tcp(family)
        client.connect_ex((host, port))
        world.wait(client, OUT)
        server = world.accept(listening)
        world.note(client.getpeername()[0], client.getsockname()[0], server.getpeername()[0], server.getsockname()[0])
        world.note(server.family, len(server.getpeername()))


@same_on_both
def test_a_socket_for_ipv6_only(world: World) -> None:
    listening = world.tcp(socket.AF_INET6)
    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listening.bind(("::", 0))
    listening.listen(5)
    port = listening.getsockname()[1]
    client = world.tcp()
    client.connect_ex(("127.0.0.1", port))
    world.wait(client, ERR | HUP)
    world.error(client)
    client = world.tcp(socket.AF_INET6)
    client.connect_ex(("::1", port))
    world.wait(client, OUT)
    world.note(world.accept(listening).getpeername()[0])


@same_on_both
def test_a_socket_of_ipv6_reaches_ipv4(world: World) -> None:
    listening = world.listener()
    client = world.tcp(socket.AF_INET6)
    world.connects(client, ("::ffff:127.0.0.1", listening.getsockname()[1]))
    world.wait(client, OUT)
    world.note(client.getpeername()[0], client.getsockname()[0], world.accept(listening).getpeername()[0])


# What takes time


def established(**link: Any) -> tuple[Machines, Any, Any]:
    """Two machines and the ends of a connection between them."""
    machines = Machines(**link)
    one, other = machines.machine("one", "10.0.0.1"), machines.machine("other", "10.0.0.2")
    client, server = machines.pair(one, other)
    return machines, client, server


def error_of(opened: Any) -> str:
    """SO_ERROR by name."""
    return errno.errorcode.get(opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "0")


def cut(machines: Machines, blocks: int = 1) -> None:
    """Let nothing through between `one` and `other`."""
    for way in (("one", "other"), ("other", "one")):
        machines.links.direction(*way).block(blocks)


def test_connecting_to_one_who_is_silent_takes_127_seconds() -> None:
    machines = Machines()
    one = machines.machine("one", "10.0.0.1")
    machines.machine("other", "10.0.0.2")
    cut(machines)
    client = one.socket()
    assert client.connect_ex(("10.0.0.2", 80)) == errno.EINPROGRESS
    assert machines.run(200, client.file.poll)
    assert machines.clock.now == pytest.approx(127.0)
    assert shown_mask(client.file.poll()) == "IN OUT ERR HUP"
    assert error_of(client) == "ETIMEDOUT"
    assert [packet.sent for packet in machines.packets] == pytest.approx([0, 1, 3, 7, 15, 31, 63])


def test_connecting_goes_on_when_the_way_is_open_again() -> None:
    machines = Machines(latency=0.01)
    one, other = machines.machine("one", "10.0.0.1"), machines.machine("other", "10.0.0.2")
    listening = other.socket()
    listening.bind(("10.0.0.2", 80))
    listening.listen(1)
    cut(machines)
    client = one.socket()
    client.connect_ex(("10.0.0.2", 80))
    assert not machines.run(5, client.file.poll)
    cut(machines, -1)
    assert machines.run(10, lambda: listening.file.queue)
    assert machines.clock.now == pytest.approx(7.03)


def test_an_address_that_nobody_has_is_unreachable_after_three_seconds() -> None:
    machines = Machines()
    client = machines.machine("one", "10.0.0.1").socket()
    assert client.connect_ex(("10.0.0.9", 80)) == errno.EINPROGRESS
    assert machines.run(200, client.file.poll)
    assert machines.clock.now == pytest.approx(3.0)
    assert error_of(client) == "EHOSTUNREACH"


def test_a_family_that_a_machine_has_not_is_unreachable_at_once() -> None:
    client = Machines().machine("one", "10.0.0.1").socket(socket.AF_INET6)
    assert client.connect_ex(("fd00::2", 80)) == errno.ENETUNREACH


def test_a_connection_that_is_cut_off_fails_after_924_seconds() -> None:
    machines, client, server = established(latency=0.0)
    cut(machines)
    client.send(b"anybody?")
    start = machines.clock.now
    assert machines.run(2000, lambda: client.file.error)
    assert machines.clock.now - start == pytest.approx(924.6)
    assert shown_mask(client.file.poll()) == "IN OUT ERR HUP"
    raises_errno(errno.ETIMEDOUT, client.recv, 1)
    assert client.recv(1) == b""
    raises_errno(errno.EAGAIN, server.recv, 1)


def test_one_who_only_listens_never_hears_of_a_partition() -> None:
    machines, client, server = established()
    cut(machines)
    machines.run(100_000)
    assert shown_mask(client.file.poll()) == shown_mask(server.file.poll()) == "OUT"


def test_what_was_sent_into_a_partition_arrives_when_it_ends() -> None:
    machines, client, server = established(latency=0.01)
    cut(machines)
    client.send(b"one ")
    client.send(b"two")
    client.close()
    machines.run(30)
    assert server.file.poll() == OUT
    cut(machines, -1)
    assert machines.run(30, lambda: server.file.ended)
    assert server.recv(100) == b"one two"
    assert server.recv(100) == b""


def test_acknowledgements_that_are_cut_off_make_the_sender_give_up() -> None:
    machines, client, server = established(latency=0.0)
    machines.links.direction("other", "one").block(1)
    client.send(b"heard?")
    assert machines.run(2000, lambda: client.file.error)
    assert error_of(client) == "ETIMEDOUT"
    assert 900 < machines.clock.now < 950
    assert server.recv(100) == b"heard?"


def test_acknowledgements_that_get_through_later_let_the_sender_go_on() -> None:
    machines, client, server = established(latency=0.0)
    machines.links.direction("other", "one").block(1)
    client.send(b"heard?")
    machines.run(100)
    assert client.file.unsent == 6
    machines.links.direction("other", "one").block(-1)
    machines.run(120)
    assert client.file.unsent == 0
    assert not client.file.error
    assert server.recv(100) == b"heard?"


def test_a_window_that_is_shut_stops_the_sender_for_as_long_as_it_takes() -> None:
    machines, client, server = established()
    sent = 0
    with pytest.raises(BlockingIOError):
        while True:
            sent += client.send(b"x" * 10_000)
            machines.run(0.01)
    assert sent <= 262_144 + 131_072
    assert server.file.incoming.size <= 131_072
    machines.run(3600)
    assert not client.file.error
    assert not client.file.poll() & OUT
    received = 0
    while received < sent:
        assert machines.run(1, lambda: server.file.incoming.size), f"stuck after {received} of {sent}"
        received += len(server.recv(1000))
    assert received == sent
    assert machines.run(1, lambda: client.file.poll() & OUT)


def test_a_backlog_that_overflows_is_served_later() -> None:
    machines = Machines()
    one, other = machines.machine("one", "10.0.0.1"), machines.machine("other", "10.0.0.2")
    listening = other.socket()
    listening.bind(("10.0.0.2", 80))
    listening.listen(0)
    clients = [one.socket() for _ in range(2)]
    for client in clients:
        client.connect_ex(("10.0.0.2", 80))
        machines.run(0.25)
    assert [shown_mask(client.file.poll()) for client in clients] == ["OUT", ""]
    assert Fate.OVERFLOWED in {packet.fate for packet in machines.packets}
    listening.accept()
    assert machines.run(1, lambda: clients[1].file.poll() & OUT)
    assert machines.clock.now == pytest.approx(1.252)


def test_callers_of_one_instant_fill_no_more_than_the_backlog() -> None:
    machines = Machines()
    one, other = machines.machine("one", "10.0.0.1"), machines.machine("other", "10.0.0.2")
    listening = other.socket()
    listening.bind(("10.0.0.2", 80))
    listening.listen(2)
    for client in [one.socket() for _ in range(20)]:
        client.connect_ex(("10.0.0.2", 80))
    machines.run(0.5)
    assert len(listening.file.queue) == 3


def test_a_fault_refuses_and_swallows_new_connections_only() -> None:
    machines, client, server = established()
    listening = machines.kernels["other"].socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("10.0.0.2", 7000))
    listening.listen(5)
    for fate, number in ((Fate.REFUSED, "ECONNREFUSED"), (Fate.CUT_OFF, "ETIMEDOUT")):
        machines.verdicts["other", Transport.TCP, 7000] = fate
        late = machines.kernels["one"].socket()
        late.connect_ex(("10.0.0.2", 7000))
        machines.run(130)
        assert error_of(late) == number
    client.send(b"still")
    machines.run(1)
    assert server.recv(10) == b"still"


def test_a_machine_that_has_halted_answers_nothing_and_one_that_is_back_resets() -> None:
    machines, client, _ = established()
    other = machines.kernels["other"]
    other.halt()
    assert not other.open_sockets
    client.send(b"anybody?")
    machines.run(10)
    assert shown_mask(client.file.poll()) == "OUT"
    other.boot()
    assert machines.run(60, lambda: client.file.error)
    raises_errno(errno.ECONNRESET, client.recv, 1)


def test_a_reset_from_outside_is_one_at_both_ends_when_both_are_told() -> None:
    machines, client, server = established()
    machines.kernels["one"].reset("other", 7000)
    machines.kernels["other"].reset("one", None)
    for end in (client, server):
        raises_errno(errno.ECONNRESET, end.recv, 1)


def test_segments_are_in_the_capture_as_a_handshake_data_and_goodbye() -> None:
    machines, client, server = established()
    client.send(b"hi")
    client.close()
    machines.run(1)
    assert server.recv(2) == b"hi"
    server.close()
    machines.run(1)
    flags = [(packet.source.host, packet.flags & ~8) for packet in machines.packets]
    expected = [("one", SYN), ("other", SYN | ACK), ("one", ACK), ("one", ACK), ("one", FIN | ACK), ("other", FIN | ACK)]
    assert flags == expected
    assert not any(packet.flags & RST for packet in machines.packets)


def test_an_orphan_is_forgotten_after_a_minute() -> None:
    machines, client, server = established()
    client.close()
    machines.run(59)
    assert machines.kernels["one"]._ends
    machines.run(10)
    assert not machines.kernels["one"]._ends
    server.send(b"anybody?")
    assert machines.run(1, lambda: server.file.error)
    assert error_of(server) == "EPIPE"


def test_reading_a_little_at_a_time_is_reading_all() -> None:
    machines, client, server = established(latency=0.05, rate=50_000, loss=0.1)
    data = bytes(range(256)) * 800
    got, left = bytearray(), memoryview(data)
    for _ in range(100_000):
        if left and client.file.poll() & OUT:
            try:
                left = left[client.send(left) :]
            except BlockingIOError:
                pass
            if not left:
                client.shutdown(socket.SHUT_WR)
        if server.file.incoming.size:
            got += server.recv(7777)
        elif server.file.ended:
            break
        machines.run(0.05)
    assert bytes(got) == data
