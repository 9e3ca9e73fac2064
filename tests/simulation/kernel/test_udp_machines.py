"""UDP between several machines: groups, broadcasts, refusals and full buffers."""

from __future__ import annotations

import errno
import select
import socket
from typing import Any

import pytest

from tests.simulation.kernel.props import GROUP, JOIN, membership
from tests.simulation.kernel.wires import Machines, raises_errno
from twistnet.simulation.packets import Fate, Transport

IN, OUT, ERR, HUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP


def machines_of(count: int, **link: Any) -> tuple[Machines, list[Any]]:
    """So many machines, each with a UDP socket on port 7000."""
    machines = Machines(**link)
    sockets = []
    for number in range(1, count + 1):
        opened = machines.machine(f"host{number}", f"10.0.0.{number}", f"fd00::{number}").socket(
            socket.AF_INET, socket.SOCK_DGRAM
        )
        opened.bind(("0.0.0.0", 7000))
        sockets.append(opened)
    return machines, sockets


def test_a_broadcast_reaches_every_machine_and_its_sender() -> None:
    machines, sockets = machines_of(3)
    raises_errno(errno.EACCES, sockets[0].sendto, b"x", ("255.255.255.255", 7000))
    sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sockets[0].sendto(b"all", ("255.255.255.255", 7000))
    machines.run(1)
    assert [opened.recvfrom(10) for opened in sockets] == [(b"all", ("10.0.0.1", 7000))] * 3


def test_a_group_reaches_its_members_on_other_machines() -> None:
    machines, sockets = machines_of(3)
    sockets[1].setsockopt(*JOIN, membership(interface="0.0.0.0"))
    sockets[0].sendto(b"members", (GROUP, 7000))
    machines.run(1)
    assert sockets[1].recvfrom(10) == (b"members", ("10.0.0.1", 7000))
    for opened in (sockets[0], sockets[2]):
        raises_errno(errno.EAGAIN, opened.recv, 10)


def test_a_sender_that_does_not_loop_is_not_heard_at_home() -> None:
    machines, sockets = machines_of(2)
    for opened in sockets:
        opened.setsockopt(*JOIN, membership(interface="0.0.0.0"))
    sockets[0].sendto(b"looped", (GROUP, 7000))
    sockets[0].setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP, 0)
    sockets[0].sendto(b"not looped", (GROUP, 7000))
    machines.run(1)
    assert [sockets[1].recv(10) for _ in range(2)] == [b"looped", b"not looped"]
    assert sockets[0].recv(10) == b"looped"
    raises_errno(errno.EAGAIN, sockets[0].recv, 10)


def test_a_group_of_ipv6_reaches_its_members() -> None:
    machines, _ = machines_of(2)
    one, other = (
        machines.kernels[name].socket(socket.AF_INET6, socket.SOCK_DGRAM) for name in ("host1", "host2")
    )
    other.bind(("::", 7001))
    other.setsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, socket.inet_pton(socket.AF_INET6, "ff02::77") + bytes(4)
    )
    one.sendto(b"six", ("ff02::77", 7001))
    machines.run(1)
    data, source = other.recvfrom(10)
    assert (data, source[0]) == (b"six", "fd00::1")
    other.setsockopt(
        socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, socket.inet_pton(socket.AF_INET6, "ff02::77") + bytes(4)
    )
    one.sendto(b"six", ("ff02::77", 7001))
    machines.run(1)
    raises_errno(errno.EAGAIN, other.recv, 10)


def test_a_datagram_takes_the_latency_and_names_the_address_it_left_from() -> None:
    machines, (one, other) = machines_of(2, latency=0.25)
    one.sendto(b"x", ("10.0.0.2", 7000))
    machines.run(0.249)
    raises_errno(errno.EAGAIN, other.recv, 10)
    machines.run(0.002)
    assert other.recvfrom(10) == (b"x", ("10.0.0.1", 7000))


def test_a_refusal_takes_both_ways() -> None:
    machines, (one, other) = machines_of(2, latency=0.25)
    other.close()
    one.connect(("10.0.0.2", 7000))
    one.send(b"x")
    assert machines.run(2, lambda: one.file.error)
    assert machines.clock.now == pytest.approx(0.5)
    assert machines.packets[0].fate is Fate.REFUSED


def test_a_refusal_is_lost_in_a_partition() -> None:
    machines, (one, other) = machines_of(2)
    other.close()
    one.connect(("10.0.0.2", 7000))
    machines.links.direction("host2", "host1").block(1)
    one.send(b"x")
    machines.run(2)
    assert not one.file.error


def test_an_address_that_nobody_has_swallows_datagrams() -> None:
    machines, (one,) = machines_of(1)
    assert one.sendto(b"x", ("10.0.0.9", 7000)) == 1
    machines.run(1)
    assert machines.packets[0].fate is Fate.UNREACHABLE
    raises_errno(errno.EAGAIN, one.recv, 10)


def test_a_family_that_a_machine_has_not_is_unreachable() -> None:
    fresh = Machines().machine("host1", "10.0.0.1").socket(socket.AF_INET6, socket.SOCK_DGRAM)
    raises_errno(errno.ENETUNREACH, fresh.sendto, b"x", ("fd00::9", 7000))


def test_a_machine_that_is_down_hears_nothing() -> None:
    machines, (one, _) = machines_of(2)
    machines.kernels["host2"].halt()
    one.connect(("10.0.0.2", 7000))
    one.send(b"x")
    machines.run(1)
    assert machines.packets[0].fate is Fate.LOST
    assert not one.file.error


def test_a_fault_refuses_or_swallows_datagrams() -> None:
    machines, (one, other) = machines_of(2)
    one.connect(("10.0.0.2", 7000))
    for fate, number in ((Fate.REFUSED, errno.ECONNREFUSED), (Fate.CUT_OFF, 0)):
        machines.verdicts["host2", Transport.UDP, 7000] = fate
        one.send(b"x")
        machines.run(1)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == number
        raises_errno(errno.EAGAIN, other.recv, 10)


def test_a_full_receive_buffer_drops_and_counts() -> None:
    machines, (one, other) = machines_of(2)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 7680)
    for number in range(40):
        one.sendto(b"%d" % number, ("10.0.0.2", 7000))
    machines.run(1)
    assert other.file.dropped > 0
    assert other.file.dropped == sum(packet.fate is Fate.OVERFLOWED for packet in machines.packets)
    assert [int(other.recv(10)) for _ in range(40 - other.file.dropped)] == list(
        range(40 - other.file.dropped)
    )
    raises_errno(errno.EAGAIN, other.recv, 10)


def test_a_receive_buffer_is_free_again_when_it_was_read() -> None:
    machines, (one, other) = machines_of(2)
    for number in range(3000):
        one.sendto(b"x" * 1000, ("10.0.0.2", 7000))
        machines.run(0.01)
        other.recv(1000 if number % 2 else 1)
    assert other.file.dropped == 0
