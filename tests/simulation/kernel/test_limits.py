"""What a kernel has only so much of, what it does on its own, and that it needs nothing of Twisted."""

from __future__ import annotations

import errno
import os
import select
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.kernel.wires import Machines, raises_errno
from twistnet.simulation.kernel import Kernel, KernelConfig
from twistnet.simulation.kernel.addresses import failure, shown, taken
from twistnet.simulation.kernel.buffers import ByteQueue

IN, OUT = select.POLLIN, select.POLLOUT
PROGRAM = """
import sys
from twistnet.simulation.kernel import Kernel, KernelConfig, MemoryPaths, Socket, Wire
print(*sorted(name for name in sys.modules if name.partition(".")[0] in {"twisted", "zope", "OpenSSL"}))
"""


def test_no_twisted_is_imported() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == ""


# Descriptors


def machine(**config: Any) -> tuple[Machines, Kernel]:
    """One machine."""
    machines = Machines()
    return machines, machines.machine("one", "10.0.0.1", **config)


def test_there_are_only_so_many_descriptors() -> None:
    _, kernel = machine(max_files=3)
    opened = [kernel.socket() for _ in range(3)]
    raises_errno(errno.EMFILE, kernel.socket)
    raises_errno(errno.EMFILE, opened[0].dup)
    opened[1].close()
    assert kernel.socket().fileno() >= 0


def test_a_connection_waits_for_a_descriptor() -> None:
    machines, kernel = machine(max_files=3)
    listening, client, spare = (kernel.socket() for _ in range(3))
    listening.bind(("127.0.0.1", 0))
    listening.listen(5)
    client.connect_ex(listening.getsockname())
    machines.run(1)
    raises_errno(errno.EMFILE, listening.accept)
    assert listening.file.poll() & IN
    spare.close()
    server, peer = listening.accept()
    assert peer == client.getsockname()
    raises_errno(errno.EAGAIN, listening.accept)
    server.close()


def test_descriptors_are_no_real_ones_and_never_used_twice() -> None:
    _, kernel = machine()
    numbers = []
    for _ in range(100):
        opened = kernel.socket()
        numbers.append(opened.fileno())
        opened.close()
    assert len(set(numbers)) == 100
    for number in numbers:
        raises_errno(errno.EBADF, os.fstat, number)


def test_a_descriptor_is_found_by_its_number_until_it_is_closed() -> None:
    _, kernel = machine()
    opened = kernel.socket()
    number = opened.fileno()
    assert kernel.find(number) is opened
    opened.close()
    assert kernel.find(number) is None
    assert kernel.open_sockets == []


def test_detaching_keeps_the_descriptor() -> None:
    _, kernel = machine()
    opened = kernel.socket()
    number = opened.detach()
    assert opened.fileno() == -1
    assert kernel.find(number) is not None
    assert len(kernel.open_sockets) == 1


@pytest.mark.parametrize(("family", "kind"), [(socket.AF_INET, socket.SOCK_RAW), (99, socket.SOCK_STREAM)])
def test_what_is_not_simulated_is_refused(family: int, kind: int) -> None:
    _, kernel = machine()
    raises_errno(errno.EAFNOSUPPORT, kernel.socket, family, kind)


@pytest.mark.parametrize("field", ["max_files", "send_buffer", "receive_buffer", "datagram_buffer"])
@pytest.mark.parametrize("value", [0, -1, 1.5, "many"])
def test_limits_are_whole_numbers_from_one(field: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=field):
        KernelConfig(**{field: value})


# Buffers


def flow(send: int, receive: int, **link: Any) -> tuple[Machines, Any, Any]:
    """A connection with buffers of these sizes."""
    machines = Machines(**link)
    one = machines.machine("one", "10.0.0.1", send_buffer=send)
    other = machines.machine("other", "10.0.0.2", receive_buffer=receive)
    return machines, *machines.pair(one, other)


def fill(machines: Machines, end: Any, most: int = 1 << 24) -> int:
    """Write until nothing goes, even when everything has arrived."""
    sent = 0
    while sent < most:
        try:
            sent += end.send(b"x" * 10_000)
        except BlockingIOError:
            before = machines.clock.now
            machines.run(1)
            if not end.file.poll() & OUT:
                return sent
            assert machines.clock.now > before
    return sent


def test_buffers_take_what_they_are_to_take() -> None:
    machines, client, server = flow(5000, 3000)
    assert client.send(b"x" * 10_000) == 5000
    raises_errno(errno.EAGAIN, client.send, b"x")
    machines.run(1)
    assert server.file.incoming.size == 3000
    assert client.send(b"x" * 10_000) == 3000
    machines.run(1)
    raises_errno(errno.EAGAIN, client.send, b"x")
    assert server.file.incoming.size == 3000


def test_buffers_of_options_are_what_counts() -> None:
    machines, client, server = flow(5000, 100_000)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
    taken_first = client.send(b"x" * 1_000_000)
    assert taken_first >= 20_000
    assert taken_first <= 40_000
    machines.run(1)
    assert len(server.recv(1_000_000)) == taken_first


@pytest.mark.parametrize(
    ("send", "receive"), [(1, 1), (1, 100), (100, 1), (7, 3000), (3000, 7), (70_000, 70_000)]
)
def test_every_octet_gets_through_buffers_of_any_size(send: int, receive: int) -> None:
    machines, client, server = flow(send, receive)
    data = bytes(range(256)) * max(1, min(20, (send * receive) // 10))
    left, got = memoryview(data), bytearray()
    for _ in range(20_000):
        if left and client.file.poll() & OUT:
            left = left[client.send(left) :]
            if not left:
                client.close()
        machines.run(0.01)
        if server.file.incoming.size:
            got += server.recv(50)
        elif server.file.ended:
            break
    assert bytes(got) == data
    assert server.recv(1) == b""


def test_a_reader_that_is_slow_holds_no_more_than_its_buffer() -> None:
    machines, client, server = flow(50_000, 30_000)
    most = 0
    for _ in range(300):
        with suppress(BlockingIOError):
            client.send(b"x" * 20_000)
        machines.run(0.01)
        most = max(most, server.file.incoming.size + client.file.unsent)
        server.recv(500)
    assert server.file.incoming.size <= 30_000
    assert most <= 80_000


def test_a_window_that_was_shut_opens_when_it_is_read() -> None:
    machines, client, server = flow(50_000, 30_000)
    fill(machines, client)
    assert server.file.incoming.size == 30_000
    assert len(server.recv(30_000)) == 30_000
    machines.run(1)
    assert server.file.incoming.size == 30_000
    assert client.file.poll() & OUT


def test_a_window_that_is_read_one_octet_at_a_time_opens_too() -> None:
    machines, client, server = flow(50_000, 3_000)
    sent = fill(machines, client)
    client.shutdown(socket.SHUT_WR)
    received = 0
    for _ in range(sent * 2):
        if server.file.incoming.size:
            received += len(server.recv(1))
        elif server.file.ended or not machines.run(1, lambda: server.file.incoming.size or server.file.ended):
            break
    assert received == sent
    assert server.file.ended


def test_what_is_done_leaves_nothing_behind() -> None:
    machines = Machines()
    one, other = machines.machine("one", "10.0.0.1"), machines.machine("other", "10.0.0.2")
    for port in range(7000, 7050):
        client, server = machines.pair(one, other, port)
        client.send(b"x")
        client.close()
        machines.run(0.1)
        assert server.recv(10) == b"x"
        server.close()
    machines.run(70)
    for kernel in (one, other):
        assert kernel.open_sockets == []
        assert not kernel._ends
        assert not len(kernel.tcp)
    assert machines.clock.next_time is None


def test_a_machine_that_halts_has_nothing_open() -> None:
    machines = Machines()
    one, other = machines.machine("one", "10.0.0.1"), machines.machine("other", "10.0.0.2")
    client, _ = machines.pair(one, other)
    listening = one.socket(socket.AF_UNIX)
    listening.bind("/run/socket")
    listening.listen(1)
    one.halt()
    assert one.open_sockets == []
    one.boot()
    raises_errno(errno.ECONNREFUSED, one.socket(socket.AF_UNIX).connect, "/run/socket")
    assert client.file.state.value == "closed"


# The pieces


@given(
    st.lists(st.binary(min_size=1, max_size=20)),
    st.lists(st.tuples(st.integers(1, 30), st.booleans(), st.booleans())),
)
@settings(max_examples=200)
def test_a_queue_of_octets_keeps_them_in_order(
    pieces: list[bytes], takes: list[tuple[int, bool, bool]]
) -> None:
    queue = ByteQueue()
    for piece in pieces:
        queue.put(piece)
    left = b"".join(pieces)
    for most, coalesce, peeks in takes:
        if not queue.size:
            break
        if peeks:
            assert left.startswith(queue.peek(most, coalesce))
            assert queue.size == len(left)
            continue
        taken_now = queue.take(most, coalesce)
        assert taken_now == left[: len(taken_now)]
        assert 1 <= len(taken_now) <= most
        assert not coalesce or len(taken_now) == min(most, len(left))
        left = left[len(taken_now) :]
        assert queue.size == len(left)
        assert queue.taken == sum(map(len, pieces)) - len(left)


def test_pieces_that_are_not_joined_end_where_they_ended() -> None:
    queue = ByteQueue()
    for piece in (b"abc", b"de", b"f"):
        queue.put(piece)
    assert [queue.take(2, False) for _ in range(4)] == [b"ab", b"c", b"de", b"f"]


def test_an_error_has_the_class_that_python_gives_it() -> None:
    assert isinstance(failure(errno.EAGAIN), BlockingIOError)
    assert isinstance(failure(errno.ECONNRESET), ConnectionResetError)
    assert isinstance(failure(errno.EPIPE), BrokenPipeError)
    assert isinstance(failure(errno.ENOENT), FileNotFoundError)
    assert failure(errno.EPIPE).strerror == os.strerror(errno.EPIPE)


@pytest.mark.parametrize(
    ("given_address", "family", "expected"),
    [
        (("127.0.0.1", 1), socket.AF_INET, ("127.0.0.1", 1)),
        (("", 1), socket.AF_INET, ("0.0.0.0", 1)),
        (("", 1), socket.AF_INET6, ("::", 1)),
        (("localhost", 1), socket.AF_INET, ("127.0.0.1", 1)),
        (("<broadcast>", 1), socket.AF_INET, ("255.255.255.255", 1)),
        (("::0001", 1, 0, 0), socket.AF_INET6, ("::1", 1)),
        (("FD00::00A", 1), socket.AF_INET6, ("fd00::a", 1)),
        (("::ffff:10.0.0.1", 1), socket.AF_INET6, ("10.0.0.1", 1)),
        ((b"127.0.0.1", 1), socket.AF_INET, ("127.0.0.1", 1)),
    ],
)
def test_addresses_have_one_spelling(given_address: Any, family: int, expected: tuple[str, int]) -> None:
    assert taken(given_address, family, "bind") == expected


def test_addresses_are_shown_as_their_family_shows_them() -> None:
    assert shown(("10.0.0.1", 1), socket.AF_INET) == ("10.0.0.1", 1)
    assert shown(("10.0.0.1", 1), socket.AF_INET6) == ("::ffff:10.0.0.1", 1, 0, 0)
    assert shown(("fd00::1", 1), socket.AF_INET6) == ("fd00::1", 1, 0, 0)


@pytest.mark.parametrize("host", ["nobody.invalid", "1.2.3", "1.2.3.4.5", "256.1.1.1", "::g"])
def test_a_name_is_not_resolved(host: str) -> None:
    with pytest.raises(socket.gaierror):
        taken((host, 1), socket.AF_INET6, "bind")
