"""`proxied:` before another client endpoint string, with the keywords that say what the header does.

The rule of this module: the keywords of the header are taken out, and the rest is for whoever reads client strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from typing import Any

from twisted.internet.endpoints import clientFromString

from ..units import parse_whole
from ..wire.proxy_header import Address
from .descriptions import Description
from .proxied import VERSIONS, ProxiedClientEndpoint

__all__ = ["introduced", "parse_proxied", "take_header"]

_EXAMPLES = "proxied:tcp:192.0.2.1:80, proxied:tls:example.com:443, proxied:unix:/run/x.sock"

_REFUSED = {
    "proxied": "a connection has one header",
    "ssl": "the header would come after TLS; tls: sends it before",
    **dict.fromkeys(
        ("udp", "udp6", "unix-datagram"), "the header comes before a stream, not before datagrams"
    ),
}
"""What cannot stand after `proxied:`, and why."""


def parse_proxied(reactor: Any, *args: str, **kwargs: str) -> Any:
    """An `IStreamClientEndpoint` from what follows `proxied:`.

    Raises:
        ValueError: A keyword of the header, or what is wrapped, is not right.
    """
    inner, header = take_header(args, kwargs)
    try:
        endpoint = clientFromString(reactor, str(inner))
    except TypeError as error:
        raise ValueError(f"proxied:{inner}: an argument too many or too few for {inner.prefix}") from error
    return introduced(inner.prefix, endpoint, header)


def take_header(arguments: Sequence[str], keywords: Mapping[str, str]) -> tuple[Description, dict[str, Any]]:
    """What follows `proxied:`, as the endpoint that is wrapped and the arguments of `ProxiedClientEndpoint`.

    Raises:
        ValueError: One of the header's is not right, or what is wrapped can have no header.
    """
    if not arguments or not arguments[0]:
        raise ValueError(f"proxied: stands before another endpoint ({_EXAMPLES})")
    if reason := _REFUSED.get(arguments[0]):
        raise ValueError(f"proxied: cannot stand before {arguments[0]}: {reason}")
    readers = {"version": _version, "source": _address, "destination": _address}
    header = {name: read(name, keywords[name]) for name, read in readers.items() if name in keywords}
    rest = {name: value for name, value in keywords.items() if name not in readers}
    return Description(arguments[0], tuple(arguments[1:]), rest), header


def introduced(prefix: str, endpoint: Any, header: Mapping[str, Any]) -> Any:
    """An endpoint of the kind that `prefix` names, with a header before all that it sends, TLS included."""
    if prefix not in {"tls", "mtls"}:
        return ProxiedClientEndpoint(endpoint, **header)
    # Twisted has no public way to what is under its TLS that would keep its reading of certificates.
    endpoint._wrappedEndpoint = ProxiedClientEndpoint(endpoint._wrappedEndpoint, **header)
    return endpoint


def _version(name: str, value: str) -> str:
    if value not in VERSIONS:
        raise ValueError(f"the {name}, {value!r}, is neither v1 nor v2")
    return value


def _address(name: str, value: str) -> Address:
    """A path, or a host and a port."""
    if value.startswith(("/", "@")):
        return value.replace("@", "\0", 1) if value.startswith("@") else value
    host, _, port = value.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    try:
        if not host or bracketed != (":" in host):
            raise ValueError(value)
        return str(ip_address(host.strip("[]"))), parse_whole(port, highest=65535)
    except ValueError:
        raise ValueError(
            rf"the {name}, {value!r}, is not an address with a port (192.0.2.7\:40000, [2001\:db8\:\:7]\:40000) or a path"
        ) from None
