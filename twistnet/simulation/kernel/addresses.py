"""Addresses as sockets take and show them.

The rule of this module: inside the kernel an address is `(text, port)` with IPv4 as IPv4, whatever the family of the
socket; the shapes that Python's sockets use exist only on the way in and out.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from functools import lru_cache
from typing import Any

__all__ = [
    "ANY",
    "Address",
    "failure",
    "is_any",
    "is_broadcast",
    "is_group",
    "is_loopback",
    "is_multicast",
    "overlap",
    "shown",
    "taken",
]

Address = tuple[str, int]
"""A numeric address and a port."""

ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
MAPPED = "::ffff:"
BY_NAME = {"": None, "localhost": "127.0.0.1", "<broadcast>": "255.255.255.255", "<any>": "0.0.0.0"}


def failure(number: int) -> OSError:
    """The error of a system call, as Python raises it."""
    return OSError(number, os.strerror(number))


def _interface(name: str) -> int:
    """The number of a network interface, or 1 for one that the machine does not have."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 1


@lru_cache(maxsize=4096)
def _canonical(text: str) -> tuple[str, int]:
    """An address in one spelling, and its version; a link-local one keeps its scope."""
    bare, _, scope = text.partition("%")
    if scope and not scope.isdigit():
        text = f"{bare}%{_interface(scope)}"
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return str(address.ipv4_mapped), 4
    return str(address), address.version


def _numeric(host: Any, family: int) -> str:
    if not isinstance(host, (str, bytes)):
        raise TypeError(f"str, bytes or bytearray expected, not {type(host).__name__}")
    text = host.decode("ascii") if isinstance(host, bytes) else host
    if text in BY_NAME:
        named = BY_NAME[text]
        text = ANY[socket.AddressFamily(family)] if named is None else named
        return "::1" if text == "127.0.0.1" and family == socket.AF_INET6 else text
    try:
        canonical, version = _canonical(text)
    except ValueError:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    if family == socket.AF_INET and (version == 6 or ":" in text):
        raise socket.gaierror(socket.EAI_ADDRFAMILY, "Address family for hostname not supported")
    return canonical


def taken(address: Any, family: int, call: str) -> Address:
    """What a program gave as an address, checked as Python checks it.

    Args:
        address: What it gave.
        family: Of the socket.
        call: The method that it was given to.

    Raises:
        TypeError: It has not the shape that the family wants.
        OverflowError: The port is not 0 to 65535.
        socket.gaierror: The host is not numeric: a kernel does not resolve names.
    """
    longest = 2 if family == socket.AF_INET else 4
    if not isinstance(address, tuple) or not 2 <= len(address) <= longest:
        raise TypeError(
            f"an address of {socket.AddressFamily(family).name} is a tuple (host, port): {address!r}"
        )
    host, port = address[0], address[1]
    if not isinstance(port, int):
        raise TypeError(f"{type(port).__name__!r} object cannot be interpreted as an integer")
    if not 0 <= port <= 65535:
        raise OverflowError(f"{call}(): port must be 0-65535.")
    if len(address) == 4 and address[3] and isinstance(host, str):
        host = f"{host.partition('%')[0]}%{address[3]}"
    return _numeric(host, family), port


def shown(address: Address, family: int) -> tuple[Any, ...]:
    """An address as a socket of this family shows it."""
    host, port = address
    if family == socket.AF_INET:
        return host, port
    bare, _, scope = host.partition("%")
    return (bare if ":" in host else MAPPED + host), port, 0, int(scope) if scope.isdigit() else 0


@lru_cache(maxsize=4096)
def is_multicast(host: str) -> bool:
    """Whether an address stands for a group (RFC 5771, RFC 4291)."""
    return ipaddress.ip_address(host).is_multicast


@lru_cache(maxsize=4096)
def is_loopback(host: str) -> bool:
    """Whether an address is always the machine itself, or in no other machine's reach."""
    address = ipaddress.ip_address(host)
    return address.is_loopback or (address.version == 6 and address.is_link_local)


def is_broadcast(host: str) -> bool:
    """Whether an address stands for every machine of the network."""
    return host in {"255.255.255.255", "127.255.255.255"}


def is_group(host: str) -> bool:
    """Whether an address stands for several machines, or for all."""
    return is_multicast(host) or is_broadcast(host)


def is_any(host: str) -> bool:
    """Whether an address is the wildcard of its family."""
    return host in {"0.0.0.0", "::"}


def overlap(one: str, other: str, v6only: bool) -> bool:
    """Whether two local addresses can receive the same packet.

    Args:
        one: A local address, or a wildcard.
        other: Another.
        v6only: Whether a `::` among them takes no IPv4.
    """
    if one == other:
        return True
    if "::" in (one, other) and (not v6only or (":" in one and ":" in other)):
        return True
    return "0.0.0.0" in (one, other) and ":" not in one + other
