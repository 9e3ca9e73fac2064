"""What counts as one source of connections or datagrams.

The rule of this module: one host is one source however it is written, and so is what one site is given.
"""

from __future__ import annotations

import ipaddress
from typing import Any, TypeAlias

from ..config import Network

__all__ = ["Address", "Source", "address_of", "contains", "numeric", "source_of"]

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Source: TypeAlias = str
"""An IPv4 address, an IPv6 address or the /64 that it is in, as text."""


def address_of(peer: Any) -> Address | None:
    """The numeric address of a peer (`IAddress`); `None` of one that has none, as on UNIX sockets."""
    return numeric(str(getattr(peer, "host", "")))


def numeric(host: str) -> Address | None:
    """An address that was written down, without its zone; `None` of what is no address.

    IPv4 that was mapped into IPv6 (RFC 4291, 2.5.5.2), which is what a socket for both reports, is IPv4.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def source_of(address: Address) -> Source:
    """What one site is given counts as one: an IPv4 address, an IPv6 /64 (RFC 6177); loopback and one link are no sites."""
    if address.version == 4 or address.is_loopback or address.is_link_local:
        return str(address)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


def contains(networks: tuple[Network, ...], address: Address) -> bool:
    """Whether one of the networks has the address."""
    return any(address.version == network.version and address in network for network in networks)
