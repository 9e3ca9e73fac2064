"""How TCP connections are made, as a program sees it: the same on real sockets and on simulated ones."""

from __future__ import annotations

import select
import socket

from tests.simulation.kernel.props import LINGER_ZERO, reset
from tests.simulation.kernel.wires import World, same_on_both

IN, OUT, ERR, HUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP


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
    for address in [
        ("127.0.0.1",),
        "127.0.0.1",
        ("127.0.0.1", 70000),
        ("127.0.0.1", -1),
        ("127.0.0.1", "80"),
    ]:
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
def test_a_refused_connection_says_so_to_connect(world: World) -> None:
    client = world.tcp()
    world.connects(client, ("127.0.0.1", world.dead_port()))
    world.wait(client, ERR | HUP)
    world.connects(client, world.listener().getsockname())


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
    world.note(
        client.getpeername()[0], client.getsockname()[0], server.getsockname()[0], server.getpeername()[0]
    )


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
    world.tries(second.send, b"x")
    world.tries(second.getpeername)
    world.note(second.getsockname()[0])
    world.error(second)


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


# Two families


@same_on_both
def test_a_socket_for_both_families(world: World) -> None:
    listening = world.tcp(socket.AF_INET6)
    listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listening.bind(("::", 0))
    listening.listen(5)
    port = listening.getsockname()[1]
    for family, host in (
        (socket.AF_INET, "127.0.0.1"),
        (socket.AF_INET6, "::1"),
        (socket.AF_INET6, "::ffff:127.0.0.1"),
    ):
        client = world.tcp(family)
        client.connect_ex((host, port))
        world.wait(client, OUT)
        server = world.accept(listening)
        world.note(
            client.getpeername()[0], client.getsockname()[0], server.getpeername()[0], server.getsockname()[0]
        )
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
