"""The memory of a batch: whatever goes out of a vector comes in at another, as plain sockets would have it."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from twistnet.transport.batches import SLOTS, ReceiveVector, SendVector, available
from twistnet.transport.socket_addresses import (
    INET6_SIZE,
    INET_SIZE,
    UNIX_SIZE,
    pack_inet,
    pack_inet6,
    unpack_inet,
    unpack_inet6,
    unpack_unix,
)

pytestmark = pytest.mark.skipif(not available(), reason="this system has no batches of datagrams")

SIZE = 2048
Pair = tuple[socket.socket, socket.socket]
DATAGRAMS = strategies.lists(strategies.binary(max_size=200), min_size=1, max_size=SLOTS)


def opened(family: int, host: str) -> socket.socket:
    """A socket that does not wait, at a port that the kernel has chosen."""
    found = socket.socket(family, socket.SOCK_DGRAM)
    found.setblocking(False)
    found.bind((host, 0))
    return found


@pytest.fixture(scope="module")
def four() -> Iterator[Pair]:
    with opened(socket.AF_INET, "127.0.0.1") as here, opened(socket.AF_INET, "127.0.0.1") as there:
        yield here, there


@pytest.fixture(scope="module")
def six() -> Iterator[Pair]:
    with opened(socket.AF_INET6, "::1") as here, opened(socket.AF_INET6, "::1") as there:
        yield here, there


@pytest.fixture(scope="module")
def into() -> ReceiveVector:
    return ReceiveVector(SIZE, INET_SIZE)


@pytest.fixture(scope="module")
def out() -> SendVector:
    return SendVector(SIZE, INET_SIZE)


@given(datagrams=DATAGRAMS)
@settings(deadline=None, max_examples=50)
def test_what_is_sent_is_received_with_its_source(
    datagrams: list[bytes], four: Pair, into: ReceiveVector, out: SendVector
) -> None:
    here, there = four
    out.load(datagrams, [pack_inet(there.getsockname())] * len(datagrams))
    assert out.send(here.fileno(), 0, len(datagrams)) == len(datagrams)
    received, names = into.receive(there.fileno())
    assert received == datagrams
    assert [unpack_inet(name) for name in names] == [here.getsockname()] * len(datagrams)


@given(datagrams=DATAGRAMS)
@settings(deadline=None, max_examples=20)
def test_what_plain_sockets_send_and_receive_is_the_same(
    datagrams: list[bytes], four: Pair, into: ReceiveVector, out: SendVector
) -> None:
    here, there = four
    for datagram in datagrams:
        here.sendto(datagram, there.getsockname())
    received, names = into.receive(there.fileno())
    out.load(received, names)
    out.send(there.fileno(), 0, len(received))
    answers = [here.recvfrom(SIZE) for _ in datagrams]
    assert answers == [(datagram, there.getsockname()) for datagram in datagrams]


def test_any_part_of_what_is_laid_out_can_be_sent(four: Pair, into: ReceiveVector, out: SendVector) -> None:
    here, there = four
    datagrams = [b"%d" % number * (number + 1) for number in range(SLOTS)]
    out.load(datagrams, [pack_inet(there.getsockname())] * SLOTS)
    out.send(here.fileno(), 5, 9)
    out.send(here.fileno(), SLOTS - 1, SLOTS)
    assert into.receive(there.fileno())[0] == [*datagrams[5:9], datagrams[-1]]


def test_a_connected_socket_needs_no_names(four: Pair, into: ReceiveVector, out: SendVector) -> None:
    here, there = four
    with opened(socket.AF_INET, "127.0.0.1") as other:
        other.connect(there.getsockname())
        out.load([b"one", b"two"], [b"", b""])
        out.send(other.fileno(), 0, 2)
    out.load([b"three"], [pack_inet(there.getsockname())])
    out.send(here.fileno(), 0, 1)
    received, names = into.receive(there.fileno())
    assert received == [b"one", b"two", b"three"]
    assert unpack_inet(names[2]) == here.getsockname()


def test_ipv6_has_longer_names(six: Pair) -> None:
    here, there = six
    out, into = SendVector(SIZE, INET6_SIZE), ReceiveVector(SIZE, INET6_SIZE)
    out.load([b"six", b""], [pack_inet6(there.getsockname())] * 2)
    out.send(here.fileno(), 0, 2)
    received, names = into.receive(there.fileno())
    assert received == [b"six", b""]
    assert [unpack_inet6(name) for name in names] == [here.getsockname()] * 2


def test_names_of_unix_sockets_have_the_length_that_they_have(tmp_path: Path) -> None:
    into = ReceiveVector(SIZE, UNIX_SIZE, names_vary=True)
    paths: list[str | None] = [str(tmp_path / "a"), None, str(tmp_path / "longer"), str(tmp_path / "b")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(tmp_path / "there"))
        for _ in range(2):  # a length that the kernel has written does not stay
            for number, path in enumerate(paths):
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as here:
                    if path is not None:
                        Path(path).unlink(missing_ok=True)
                        here.bind(path)
                    here.sendto(b"%d" % number, str(tmp_path / "there"))
            received, names = into.receive(there.fileno())
            assert received == [b"0", b"1", b"2", b"3"]
            assert [unpack_unix(name) for name in names] == paths


def test_more_than_a_batch_waits_for_the_next(four: Pair, into: ReceiveVector) -> None:
    here, there = four
    datagrams = [b"%d" % number for number in range(SLOTS + 3)]
    for datagram in datagrams:
        here.sendto(datagram, there.getsockname())
    assert into.receive(there.fileno())[0] == datagrams[:SLOTS]
    assert into.receive(there.fileno())[0] == datagrams[SLOTS:]


def test_a_longer_datagram_is_cut_and_spoils_no_other(four: Pair, into: ReceiveVector) -> None:
    here, there = four
    datagrams = [b"a" * (SIZE - 1), b"b" * SIZE, b"c" * (SIZE + 1), b"d" * 9 * SIZE, b"e"]
    for datagram in datagrams:
        here.sendto(datagram, there.getsockname())
    assert into.receive(there.fileno())[0] == [datagram[:SIZE] for datagram in datagrams]


def test_nothing_to_receive_is_an_error_as_of_a_socket(four: Pair, into: ReceiveVector) -> None:
    with pytest.raises(BlockingIOError) as caught:
        into.receive(four[1].fileno())
    assert caught.value.errno == errno.EAGAIN


def test_what_cannot_be_sent_stops_what_comes_after(four: Pair, into: ReceiveVector, out: SendVector) -> None:
    here, there = four
    good, nobody = pack_inet(there.getsockname()), pack_inet(("127.0.0.1", 0))
    out.load([b"one", b"two", b"three"], [good, nobody, good])
    assert out.send(here.fileno(), 0, 3) == 1
    with pytest.raises(OSError, match="Invalid argument"):
        out.send(here.fileno(), 1, 3)
    assert out.send(here.fileno(), 2, 3) == 1
    assert into.receive(there.fileno())[0] == [b"one", b"three"]


def test_a_full_queue_is_an_error_as_of_a_socket() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with here, there:
        here.setblocking(False)
        out = SendVector(SIZE, UNIX_SIZE)
        out.load([b"x"] * SLOTS, [b""] * SLOTS)
        with pytest.raises(BlockingIOError):
            for _ in range(10_000):
                out.send(here.fileno(), 0, SLOTS)
