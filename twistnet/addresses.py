"""How an address is written in a log line.

The rule of this module: one spelling everywhere, whatever kind of address a transport gives.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

__all__ = ["show_address"]


def show_address(address: Any) -> str:
    """`192.0.2.1:7007`, `[2001:db8::1]:7007`, `/run/echo.sock`, or a dash where there is none.

    Args:
        address: An `IAddress`, or what a datagram transport gives: `(host, port)`, a path, or `None`.
    """
    if isinstance(address, (IPv4Address, IPv6Address)):
        address = (address.host, address.port)
    elif isinstance(address, UNIXAddress):
        address = address.name
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    if isinstance(address, (str, bytes)) and address:
        return _show_path(os.fsdecode(address))
    return "-" if not address else str(address)


def _show_path(path: str) -> str:
    """A path without characters that a terminal would act on; an abstract name of Linux begins with `@`."""
    if path.startswith("\0"):
        path = f"@{path[1:]}"
    return path.encode("utf-8", "backslashreplace").decode() if path.isprintable() else repr(path)[1:-1]
