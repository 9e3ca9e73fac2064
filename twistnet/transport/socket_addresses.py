"""Addresses as the kernel lays them out in memory (ip(7), ipv6(7), unix(7)), and as Python's sockets say them.

The rule of this module: bytes in, a tuple or a path out, and the other way round. What the kernel has written is always
understood; what a program says may not be, and is then an error of the kind that `socket.inet_pton` raises.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any

__all__ = [
    "INET6_SIZE",
    "INET_SIZE",
    "PEERS",
    "UNIX_SIZE",
    "AddressBook",
    "ScopedAddressBook",
    "pack_inet",
    "pack_inet6",
    "unpack_inet",
    "unpack_inet6",
    "unpack_unix",
]

INET_SIZE, INET6_SIZE, UNIX_SIZE = 16, 28, 110
"""Octets of `struct sockaddr_in`, `sockaddr_in6` and, at most, `sockaddr_un`."""

PEERS = 4096
"""Addresses that a book has at most; a full one begins anew."""

_FAMILY = struct.Struct("=H")
_PORT = struct.Struct("!H")
_PORT_AND_FLOW = struct.Struct("!HI")
_SCOPE = struct.Struct("=I")
_INET_FAMILY, _INET6_FAMILY = _FAMILY.pack(AF_INET), _FAMILY.pack(AF_INET6)


def pack_inet(address: tuple[str, int]) -> bytes:
    """`struct sockaddr_in`.

    Args:
        address: Host, in numbers, and port.

    Raises:
        OSError: The host is no IPv4 address.
        struct.error: The port is no number from 0 to 65535.
    """
    host, port = address
    return _INET_FAMILY + _PORT.pack(port) + inet_pton(AF_INET, host) + bytes(8)


def unpack_inet(raw: bytes) -> tuple[str, int]:
    """Host and port of a `struct sockaddr_in`."""
    return inet_ntop(AF_INET, raw[4:8]), _PORT.unpack_from(raw, 2)[0]


def pack_inet6(address: tuple[Any, ...]) -> bytes:
    """`struct sockaddr_in6`.

    Args:
        address: Host, in numbers and without a scope, port, and if need be flow information and the number of the scope.

    Raises:
        OSError: The host is no IPv6 address.
        struct.error: The port is no number from 0 to 65535, or another number is too large.
    """
    host, port, flow, scope = (*address, 0, 0)[:4]
    return _INET6_FAMILY + _PORT_AND_FLOW.pack(port, flow) + inet_pton(AF_INET6, host) + _SCOPE.pack(scope)


def unpack_inet6(raw: bytes) -> tuple[str, int, int, int]:
    """Host, port, flow information and scope of a `struct sockaddr_in6`."""
    port, flow = _PORT_AND_FLOW.unpack_from(raw, 2)
    return inet_ntop(AF_INET6, raw[8:24]), port, flow, _SCOPE.unpack_from(raw, 24)[0]


def unpack_unix(raw: bytes) -> str | bytes | None:
    """What a `struct sockaddr_un` names, which is as long as the kernel says.

    Returns:
        A path; an abstract name, from its zero octet on; nothing for a socket that has no name.
    """
    name = raw[2:]
    if not name:
        return None if not raw else ""
    return name if name[0] == 0 else os.fsdecode(name.partition(b"\0")[0])


class AddressBook(dict[bytes, Any]):
    """What a protocol is told of who sent a datagram, by the bytes that the kernel has written.

    Attributes:
        packed: The other way round: the bytes of those who may be written to, as the protocol says them.

    Args:
        unpack: What the bytes say.
    """

    def __init__(self, unpack: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._unpack = unpack
        self.packed: dict[Any, bytes] = {}

    def __missing__(self, raw: bytes) -> Any:
        self._make_room()
        address = self[raw] = self._unpack(raw)
        self.packed[address] = raw
        return address

    def note(self, address: Any, raw: bytes) -> None:
        """Somebody may be written to."""
        self._make_room()
        self.packed[address] = raw

    def whole(self, address: Any) -> Any:
        """An address with all that it had when somebody was heard from there."""
        return address

    def _make_room(self) -> None:
        if len(self) >= PEERS or len(self.packed) >= PEERS:
            self.clear()
            self.packed.clear()


class ScopedAddressBook(AddressBook):
    """Of IPv6 addresses a protocol is told host and port, and an answer goes out with the scope that the question had.

    Two neighbours on two links may have one link-local address: it means the one who was heard last.

    Attributes:
        full: Host, port, flow information and scope of each that has a scope.
    """

    def __init__(self) -> None:
        super().__init__(unpack_inet6)
        self.full: dict[Any, tuple[str, int, int, int]] = {}

    def __missing__(self, raw: bytes) -> tuple[str, int]:
        full = unpack_inet6(raw)
        address = self.hear(full)
        if not full[3]:
            self._make_room()
            self[raw] = address
            self.packed[address] = raw
        return address

    def hear(self, full: tuple[str, int, int, int]) -> tuple[str, int]:
        """A datagram came from there.

        Returns:
            What the protocol is told.
        """
        address = full[:2]
        if full[3]:
            if len(self.full) >= PEERS:
                self.full.clear()
            self.full[address] = full
            self.note(address, pack_inet6(full))
        return address

    def whole(self, address: Any) -> Any:
        """Host, port, flow information and scope, if there was a scope."""
        return self.full.get(address, address) if type(address) is tuple else address
