"""Addresses in the kernel's bytes and in Python's words."""

from __future__ import annotations

import socket
import struct
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as some

from twistnet.transport.socket_addresses import (
    INET6_SIZE,
    INET_SIZE,
    PEERS,
    AddressBook,
    ScopedAddressBook,
    pack_inet,
    pack_inet6,
    unpack_inet,
    unpack_inet6,
    unpack_unix,
)

PORTS = some.integers(0, 65535)
WORDS = some.integers(0, 2**32 - 1)


@given(some.ip_addresses(v=4).map(str), PORTS)
def test_ipv4_comes_back(host: str, port: int) -> None:
    raw = pack_inet((host, port))
    assert len(raw) == INET_SIZE
    assert unpack_inet(raw) == (host, port)


@given(some.ip_addresses(v=6), PORTS, WORDS, WORDS)
def test_ipv6_comes_back(host: IPv6Address, port: int, flow: int, scope: int) -> None:
    raw = pack_inet6((str(host), port, flow, scope))
    assert len(raw) == INET6_SIZE
    again, *others = unpack_inet6(raw)
    assert (IPv6Address(again), *others) == (host, port, flow, scope)


def test_an_address_of_ipv6_may_be_short() -> None:
    assert pack_inet6(("::1", 7)) == pack_inet6(("::1", 7, 0)) == pack_inet6(("::1", 7, 0, 0))


@given(
    some.binary(min_size=INET_SIZE, max_size=INET_SIZE), some.binary(min_size=INET6_SIZE, max_size=INET6_SIZE)
)
def test_whatever_the_kernel_writes_is_understood(four: bytes, six: bytes) -> None:
    host, port = unpack_inet(four)
    assert IPv4Address(host).packed == four[4:8]
    assert port == int.from_bytes(four[2:4], "big")
    assert IPv6Address(unpack_inet6(six)[0]).packed == six[8:24]


@pytest.mark.parametrize(
    "address",
    [("localhost", 9), ("::1", 9), ("127.1", 9), ("<broadcast>", 9), ("127.0.0.1", 65536), ("127.0.0.1", -1)],
)
def test_what_is_no_ipv4_address_is_an_error(address: tuple[str, int]) -> None:
    with pytest.raises((OSError, struct.error)):
        pack_inet(address)


@pytest.mark.parametrize(
    "address", [("127.0.0.1", 9), ("fe80::1%lo", 9), ("::1", 65536), ("::1", 9, 0, 2**32)]
)
def test_what_is_no_ipv6_address_is_an_error(address: tuple[str, int]) -> None:
    with pytest.raises((OSError, struct.error)):
        pack_inet6(address)


@pytest.mark.parametrize(
    ("raw", "name"),
    [
        (b"", None),
        (struct.pack("=H", socket.AF_UNIX), ""),
        (struct.pack("=H", socket.AF_UNIX) + b"/a/path\0", "/a/path"),
        (struct.pack("=H", socket.AF_UNIX) + b"/a/path\0rest", "/a/path"),
        (struct.pack("=H", socket.AF_UNIX) + b"/of/all/its/length", "/of/all/its/length"),
        (struct.pack("=H", socket.AF_UNIX) + b"/n\xc3\xb6n\xff", "/nön\udcff"),
        (struct.pack("=H", socket.AF_UNIX) + b"\0abs\0tract", b"\0abs\0tract"),
    ],
)
def test_the_name_of_a_unix_socket(raw: bytes, name: str | bytes | None) -> None:
    assert unpack_unix(raw) == name


def test_a_book_knows_both_ways() -> None:
    book = AddressBook(unpack_inet)
    raw = pack_inet(("192.0.2.1", 7))
    assert book[raw] == ("192.0.2.1", 7)
    assert book[raw] is book[raw]
    assert book.packed == {("192.0.2.1", 7): raw}


def test_a_book_has_an_end() -> None:
    book = AddressBook(unpack_inet)
    for port in range(3 * PEERS):
        raw = pack_inet(("192.0.2.1", port))
        assert book[raw] == ("192.0.2.1", port)
        book.note(("192.0.2.2", port), raw)
        assert book.packed["192.0.2.1", port] == raw
        assert max(len(book), len(book.packed)) <= PEERS


def test_an_answer_goes_to_the_scope_that_was_heard_last() -> None:
    book = ScopedAddressBook()
    first, second = (pack_inet6(("fe80::1", 7, 0, scope)) for scope in (1, 2))
    for raw in (first, second, first, first, second):
        assert book[raw] == ("fe80::1", 7)
        assert book.packed["fe80::1", 7] == raw
        assert book.full["fe80::1", 7] == unpack_inet6(raw)


def test_scopes_have_an_end_too() -> None:
    book = ScopedAddressBook()
    for port in range(2 * PEERS):
        assert book[pack_inet6(("fe80::1", port, 0, 3))] == ("fe80::1", port)
        assert max(len(book), len(book.full), len(book.packed)) <= PEERS
    assert book[pack_inet6(("2001:db8::1", 9))] == ("2001:db8::1", 9)
    assert ("2001:db8::1", 9) not in book.full
