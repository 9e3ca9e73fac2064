"""What a header of the PROXY protocol says, whatever its version.

The rule of this module: a header that cannot be sent cannot be made. Sections are those of the specification that
`proxy_protocol` names.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from ipaddress import IPv6Address, ip_address

from attrs import field, frozen

__all__ = ["CHECKSUM", "Address", "Family", "ProxyHeader", "decode_path", "encode_path"]

Address = tuple[str, int] | str | None
"""A host, which is an address of IPv4 or IPv6, and a port; a path of a UNIX socket; or nothing that is known."""

CHECKSUM = 0x03
"""The type of the TLV that holds a CRC-32C of the header (section 2.2.3)."""

_LONGEST_PATH = 108
_LONGEST_BLOCK = 65535


class Family(IntEnum):
    """An address family, as version 2 numbers it (section 2.2)."""

    UNSPECIFIED = 0
    INET = 1
    INET6 = 2
    UNIX = 3

    @property
    def size(self) -> int:
        """Octets of two addresses, with their ports."""
        return (0, 12, 36, 2 * _LONGEST_PATH)[self]


def encode_path(path: str) -> bytes:
    """A path as octets; any octets can be written as text (PEP 383)."""
    return path.encode("utf-8", "surrogateescape")


def decode_path(octets: bytes) -> str:
    """A path ends at its first NUL, except an abstract name of Linux, which begins with one (unix(7))."""
    octets = octets.rstrip(b"\0") if octets.startswith(b"\0") else octets.partition(b"\0")[0]
    return octets.decode("utf-8", "surrogateescape")


def _canonical(address: Address) -> Address:
    """The address in its one spelling; raises `ValueError` if it is none."""
    if address is None:
        return None
    if isinstance(address, str):
        return _checked_path(address)
    host, port = address
    if not 0 <= port <= 65535:
        raise ValueError(f"{port!r} is no port (0 to 65535)")
    if "%" in host:
        raise ValueError(f"{host!r} has a zone, which means nothing on another host")
    parsed = ip_address(host)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return f"::ffff:{mapped}" if mapped else str(parsed), port  # the same on every version of Python


def _checked_path(path: str) -> str:
    octets = encode_path(path)
    if len(octets) > _LONGEST_PATH:
        raise ValueError(f"{path!r} is longer than {_LONGEST_PATH} octets")
    if decode_path(octets) != path:
        raise ValueError(f"{path!r} is no path: it has a NUL in it")
    return path


def _family_of(address: Address) -> Family:
    """The kind of an address in its one spelling."""
    if not isinstance(address, tuple):
        return Family.UNSPECIFIED if address is None else Family.UNIX
    return Family.INET6 if ":" in address[0] else Family.INET


def _check_tlvs(tlvs: Iterable[tuple[int, bytes]], room: int) -> None:
    checksums = 0
    for type_, value in tlvs:
        if not 0 <= type_ <= 255:
            raise ValueError(f"{type_!r} is no type of a TLV (0 to 255)")
        checksums += type_ == CHECKSUM
        if type_ == CHECKSUM and (len(value) != 4 or checksums > 1):
            raise ValueError("a header has one checksum at most, and that of 4 octets")
        room -= 3 + len(value)
    if room < 0:
        raise ValueError(f"the TLVs are {-room} octets too long for a header")


@frozen(kw_only=True)
class ProxyHeader:
    """What a header says. Any that can be made can be sent.

    Attributes:
        version: 1 or 2.
        source: Where the client's connection comes from: an address of IPv4 or IPv6, in the spelling of `inet_ntop`
            however it was given, and a port; or a path of a UNIX socket, where an abstract name of Linux begins with
            a NUL; or `None` if the header does not say (`UNKNOWN`, `LOCAL`, `UNSPEC`), and then the connection's own
            addresses count.
        destination: What the client has connected to; of the same kind as `source`.
        local: The proxy speaks for itself, as in a health check (`LOCAL` of version 2).
        tlvs: Types and values of what else version 2 says, in their order (section 2.2). The value of a checksum,
            type 3, is reckoned anew when the header is encoded: `(3, bytes(4))` asks for one.

    Raises:
        ValueError: No header of that version can say so.
    """

    version: int
    source: Address = field(default=None, converter=_canonical)
    destination: Address = field(default=None, converter=_canonical)
    local: bool = False
    tlvs: tuple[tuple[int, bytes], ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.version not in {1, 2}:
            raise ValueError(f"{self.version!r} is no version of the PROXY protocol (1 or 2)")
        family = self.family
        if _family_of(self.destination) != family:
            raise ValueError(f"{self.source!r} and {self.destination!r} are not addresses of one kind")
        if self.local and family:
            raise ValueError("a LOCAL header has no addresses")
        if self.version == 1 and (self.local or self.tlvs or family == Family.UNIX):
            raise ValueError("LOCAL, TLVs and paths of UNIX sockets need version 2 of the PROXY protocol")
        _check_tlvs(self.tlvs, room=_LONGEST_BLOCK - family.size)

    @property
    def family(self) -> Family:
        """What kind of addresses these are."""
        return _family_of(self.source)
