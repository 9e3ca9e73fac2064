"""What TCP does in the course of time and between machines, which only virtual time shows."""

from __future__ import annotations

import errno
import select
import socket
from contextlib import suppress
from typing import Any

import pytest

from tests.simulation.kernel.wires import Machines, raises_errno, shown_mask
from twistnet.simulation.packets import ACK, FIN, RST, SYN, Fate, Transport

IN, OUT, ERR, HUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP


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
    assert machines.clock.now == pytest.approx(1.253)


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
    machines.run(1)
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
    expected = [
        ("one", SYN),
        ("other", SYN | ACK),
        ("one", ACK),
        ("one", ACK),
        ("one", FIN | ACK),
        ("other", FIN | ACK),
    ]
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
            with suppress(BlockingIOError):
                left = left[client.send(left) :]
            if not left:
                client.shutdown(socket.SHUT_WR)
        if server.file.incoming.size:
            got += server.recv(7777)
        elif server.file.ended:
            break
        machines.run(0.05)
    assert bytes(got) == data


def test_a_crowd_of_callers_is_let_in_as_fast_as_the_program_accepts() -> None:
    machines = Machines(latency=0.001)
    one, other = machines.machine("one", "10.0.0.1"), machines.machine("other", "10.0.0.2")
    listening = other.socket()
    listening.bind(("10.0.0.2", 80))
    listening.listen(3)
    clients = [one.socket() for _ in range(50)]
    for client in clients:
        client.connect_ex(("10.0.0.2", 80))
    accepted: list[Any] = []

    def accept_all() -> bool:
        with suppress(BlockingIOError):
            while True:
                accepted.append(listening.accept())
        return len(accepted) == len(clients)

    assert machines.run(0.1, accept_all)
    assert all(client.file.poll() & OUT and not client.file.poll() & ERR for client in clients)
