"""What a TCP connection carries and how it ends: the same on real sockets and on simulated ones."""

from __future__ import annotations

import select
import socket

from tests.simulation.kernel.props import reset
from tests.simulation.kernel.wires import World, same_on_both

IN, OUT, ERR, HUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP


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
        world.tries(opened.recv, 1)
        world.tries(opened.send, b"x")
        world.error(opened)


@same_on_both
def test_shutting_down_the_input_reads_the_end(world: World) -> None:
    client, server = world.pair()
    world.tries(server.shutdown, socket.SHUT_RD)
    world.polls(server)
    world.tries(server.recv, 10)
    world.tries(client.send, b"late")
    world.polls(server)
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
    world.polls(client)
    world.error(client)
    world.tries(client.send, b"x")


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
