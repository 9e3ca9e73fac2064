"""Who may have which port, as bind(2) decides it: the same on real sockets and on simulated ones."""

from __future__ import annotations

import errno
import itertools
import select
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.simulation.kernel.wires import Machines, World, raises_errno, same_on_both
from twistnet.simulation.kernel.ports import EPHEMERAL

OUT, ERR, HUP = select.POLLOUT, select.POLLERR, select.POLLHUP
REUSEADDR, REUSEPORT = socket.SO_REUSEADDR, socket.SO_REUSEPORT


def with_options(world: World, kind: int, host: str, *options: int, v6only: bool = False) -> Any:
    """A socket with some options, not bound yet."""
    opened = world.open(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    for option in options:
        opened.setsockopt(socket.SOL_SOCKET, option, 1)
    if ":" in host:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    return opened


HOSTS = ("127.0.0.1", "127.0.0.2", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1")
OPTIONS: tuple[tuple[int, ...], ...] = ((), (REUSEADDR,), (REUSEPORT,))


def both_bind(kind: int, options: tuple[int, ...], v6only: bool) -> Callable[[Path], None]:
    """Every pair of hosts, on one port."""

    def script(world: World) -> None:
        for one, other in itertools.product(HOSTS, HOSTS):
            with with_options(world, kind, one, *options, v6only=v6only and one == "::") as first:
                first.bind((one, world.dead_port(kind)))
                with with_options(world, kind, other, *options, v6only=v6only and other == "::") as second:
                    world.note((one, other, world.attempt(second.bind, (other, first.getsockname()[1]))))

    return same_on_both(script)


@pytest.mark.parametrize("v6only", [False, True])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_every_pair_of_addresses(kind: int, options: tuple[int, ...], v6only: bool, tmp_path: Path) -> None:
    both_bind(kind, options, v6only)(tmp_path)


@same_on_both
def test_every_pair_of_options(world: World) -> None:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for one, other in itertools.product((*OPTIONS, (REUSEADDR, REUSEPORT)), repeat=2):
            with (
                with_options(world, kind, "127.0.0.1", *one) as first,
                with_options(world, kind, "127.0.0.1", *other) as second,
            ):
                first.bind(("127.0.0.1", 0))
                world.note((kind, one, other, world.attempt(second.bind, first.getsockname())))


@same_on_both
def test_a_port_where_somebody_listens(world: World) -> None:
    for one, other in itertools.product((*OPTIONS, (REUSEADDR, REUSEPORT)), repeat=2):
        with world.listener(options=one) as first:
            with with_options(world, socket.SOCK_STREAM, "127.0.0.1", *other) as second:
                bound = world.attempt(second.bind, first.getsockname())
                world.note((one, other, bound, world.attempt(second.listen, 1)))


@same_on_both
def test_only_one_of_those_who_share_by_reuseaddr_listens(world: World) -> None:
    first, second = (with_options(world, socket.SOCK_STREAM, "127.0.0.1", REUSEADDR) for _ in range(2))
    first.bind(("127.0.0.1", 0))
    world.tries(second.bind, first.getsockname())
    world.tries(first.listen, 1)
    world.tries(second.listen, 1)
    first.close()
    world.tries(second.listen, 1)


@same_on_both
def test_those_who_listen_by_reuseport_share_the_callers(world: World) -> None:
    first = world.listener(options=[REUSEPORT], backlog=50)
    second = with_options(world, socket.SOCK_STREAM, "127.0.0.1", REUSEPORT)
    second.bind(first.getsockname())
    second.listen(50)
    clients = [world.tcp() for _ in range(40)]
    for client in clients:
        client.connect_ex(first.getsockname())
        world.wait(client, OUT)
    counts = []
    for listening in (first, second):
        count = 0
        while world.attempt(listening.accept) == "accepted":
            count += 1
        counts.append(count)
    world.note(sum(counts), min(counts) > 0)


@same_on_both
def test_a_name_that_is_nobodys_here(world: World) -> None:
    world.tries(world.tcp().bind, ("203.0.113.9", 0))
    world.tries(world.udp().bind, ("203.0.113.9", 0))
    world.tries(world.tcp(socket.AF_INET6).bind, ("2001:db8::9", 0))
    world.tries(world.udp().bind, ("239.1.2.3", 0))
    world.tries(world.udp().bind, ("255.255.255.255", 0))
    world.tries(world.tcp().bind, ("127.1.2.3", 0))


@same_on_both
def test_a_name_is_given_once(world: World) -> None:
    for bound in (world.bound_udp(), world.listener()):
        world.tries(bound.bind, ("127.0.0.1", 0))
    sent = world.udp()
    sent.sendto(b"x", world.bound_udp().getsockname())
    world.tries(sent.bind, ("127.0.0.1", 0))


@same_on_both
def test_a_port_that_was_closed_is_free(world: World) -> None:
    for opened in (world.listener(), world.bound_udp()):
        name = opened.getsockname()
        opened.close()
        with world.open(socket.AF_INET, opened.type) as again:
            world.tries(again.bind, name)


@same_on_both
def test_tcp_and_udp_have_ports_of_their_own(world: World) -> None:
    listening = world.listener()
    world.tries(world.udp().bind, listening.getsockname())


def leave_time_wait(world: World, options: tuple[int, ...]) -> Any:
    """The name of a listener that closed its connection first, and then itself."""
    listening = world.listener(options=options)
    name = listening.getsockname()
    client, server = world.connected(listening)
    server.close()
    world.wait(client)
    client.close()
    listening.close()
    world.poll(world.udp())
    return name


@same_on_both
def test_a_port_in_time_wait_is_for_those_who_reuse_it(world: World) -> None:
    for before, after in itertools.product(((), (REUSEADDR,)), repeat=2):
        name = leave_time_wait(world, before)
        with with_options(world, socket.SOCK_STREAM, "127.0.0.1", *after) as again:
            world.note((before, after, world.attempt(again.bind, name)))


@same_on_both
def test_a_port_in_time_wait_at_another_address(world: World) -> None:
    name = leave_time_wait(world, ())
    world.tries(world.tcp().bind, ("127.0.0.2", name[1]))
    world.tries(world.tcp().bind, ("0.0.0.0", name[1]))


@same_on_both
def test_a_port_with_connections_whose_listener_is_closed(world: World) -> None:
    for before, after in itertools.product(((), (REUSEADDR,)), repeat=2):
        listening = world.listener(options=before)
        name = listening.getsockname()
        world.connected(listening)
        listening.close()
        with with_options(world, socket.SOCK_STREAM, "127.0.0.1", *after) as again:
            world.note((before, after, world.attempt(again.bind, name)))
            if after and before:
                world.tries(again.listen, 1)


@same_on_both
def test_the_same_two_names_are_one_connection(world: World) -> None:
    listening = world.listener()
    first, second = (with_options(world, socket.SOCK_STREAM, "127.0.0.1", REUSEADDR) for _ in range(2))
    first.bind(("127.0.0.1", 0))
    second.bind(first.getsockname())
    world.connects(first, listening.getsockname())
    world.wait(first, OUT)
    world.connects(second, listening.getsockname())
    world.polls(first)


@same_on_both
def test_one_name_may_have_several_peers(world: World) -> None:
    listeners = [world.listener(), world.listener()]
    first, second = (with_options(world, socket.SOCK_STREAM, "127.0.0.1", REUSEADDR) for _ in range(2))
    first.bind(("127.0.0.1", 0))
    second.bind(first.getsockname())
    for client, listening in zip((first, second), listeners, strict=True):
        world.connects(client, listening.getsockname())
        world.wait(client, OUT)
        world.note(world.accept(listening).getpeername() == first.getsockname())


@same_on_both
def test_a_client_that_has_closed_first_may_call_again_from_its_port(world: World) -> None:
    listening = world.listener()
    client, server = world.connected(listening)
    name = client.getsockname()
    client.close()
    world.wait(server)
    server.close()
    again = with_options(world, socket.SOCK_STREAM, "127.0.0.1", REUSEADDR)
    world.tries(world.tcp().bind, name)
    world.note(world.attempt(again.bind, name) in {None, "EADDRINUSE"})


@same_on_both
def test_the_port_of_a_client_is_taken_and_then_free(world: World) -> None:
    client, _ = world.pair()
    world.tries(world.tcp().bind, client.getsockname())
    dead = world.tcp()
    dead.bind(("127.0.0.1", 0))  # connect(2) may choose a port that somebody's TIME_WAIT still has
    dead.connect_ex(("127.0.0.1", world.dead_port()))
    world.wait(dead, ERR | HUP)
    name = dead.getsockname()
    world.note(name[0], name[1] > 0)
    dead.close()
    world.tries(world.tcp().bind, name)


# What the kernel chooses


def test_ports_that_the_kernel_chooses_are_its_own_and_all_different() -> None:
    kernel = Machines().machine("one", "10.0.0.1")
    ports = []
    for _ in range(500):
        opened = kernel.socket()
        opened.bind(("10.0.0.1", 0))
        ports.append(opened.getsockname()[1])
    assert len(set(ports)) == 500
    assert set(ports) <= set(EPHEMERAL)


def test_the_same_ports_are_chosen_every_time() -> None:
    def ports() -> list[int]:
        kernel = Machines().machine("one", "10.0.0.1")
        chosen = []
        for _ in range(5):
            opened = kernel.socket()
            opened.bind(("0.0.0.0", 0))
            chosen.append(opened.getsockname()[1])
        return chosen

    assert ports() == ports()


@pytest.fixture
def few_ports(monkeypatch: pytest.MonkeyPatch) -> range:
    """The ports that a kernel chooses from: only 50."""
    ports = EPHEMERAL[:50]
    monkeypatch.setattr("twistnet.simulation.kernel.ports.EPHEMERAL", ports)
    return ports


def test_when_every_port_is_taken_there_is_none(few_ports: range) -> None:
    kernel = Machines().machine("one", "10.0.0.1")
    taken = [kernel.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in few_ports]
    for opened in taken:
        opened.bind(("0.0.0.0", 0))
    last = kernel.socket(socket.AF_INET, socket.SOCK_DGRAM)
    raises_errno(errno.EADDRINUSE, last.bind, ("0.0.0.0", 0))
    taken[12].close()
    last.bind(("0.0.0.0", 0))
    assert last.getsockname()[1] == few_ports[12]


def test_a_port_is_free_a_minute_after_the_end() -> None:
    machines = Machines()
    one, other = machines.machine("one", "10.0.0.1"), machines.machine("other", "10.0.0.2")
    client, server = machines.pair(one, other)
    server.close()
    machines.run(1)
    assert client.recv(1) == b""
    client.close()
    machines.run(58)
    raises_errno(errno.EADDRINUSE, other.socket().bind, ("10.0.0.2", 7000))
    machines.run(2)
    other.socket().bind(("10.0.0.2", 7000))
