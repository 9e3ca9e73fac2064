"""Whom a client command talks to: an endpoint string, or a host and a port.

The rule of this module: what cannot be used is a `ValueError` that says what would be right, before anything is sent.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    clientFromString,
)
from twisted.internet.interfaces import IStreamClientEndpointStringParserWithReactor
from twisted.plugin import getPlugins

from ..endpoints.datagram_client import DatagramTarget, parse_datagram_target
from ..endpoints.descriptions import Description, colon_hint, parse_peer, split_description
from ..endpoints.proxied_strings import introduced, take_header
from ..endpoints.unix_paths import check_length
from ..transport import fast
from ..units import did_you_mean

__all__ = ["datagram_target", "stream_target"]


def datagram_target(words: Sequence[str]) -> DatagramTarget | None:
    """The datagram peer that the words stand for, or `None` if they stand for a stream; raises as below."""
    return parse_datagram_target(words[0]) if len(words) == 1 else None


def stream_target(reactor: Any, words: Sequence[str], proxy_protocol: str | None = None) -> Any:
    """The stream endpoint (`IStreamClientEndpoint`) that the words stand for.

    Args:
        reactor: The reactor.
        words: An endpoint string, or a host and a port.
        proxy_protocol: `"v1"` or `"v2"` for a header of that version before anything else.

    Raises:
        ValueError: They stand for none.
    """
    if proxy_protocol and len(words) == 2:
        return introduced("tcp", stream_target(reactor, words), {"version": proxy_protocol})
    if proxy_protocol:
        return stream_target(reactor, [f"proxied:{words[0]}:version={proxy_protocol}"])
    if len(words) == 2:
        return _named(reactor, *parse_peer(words[0], words[1]))
    (prefix, *arguments), keywords = split_description(words[0])
    if prefix == "proxied":
        inner, header = take_header(arguments, keywords)
        return introduced(inner.prefix, stream_target(reactor, [str(inner)]), header)
    if prefix == "fast" and arguments:
        inside = Description(arguments[0], tuple(arguments[1:]), keywords)
        return stream_target(fast(reactor), [str(inside)])
    if prefix == "tcp6":
        return TCP6ClientEndpoint(reactor, *_host_and_port(words[0], arguments, keywords))
    _check(words[0], prefix, arguments, keywords)
    try:
        return clientFromString(reactor, words[0])
    except Exception as error:  # whatever an endpoint's parser makes of a value that it did not expect
        reason = re.sub(r"^\S+\(\) ", "", str(error)) or type(error).__name__
        raise ValueError(f"{words[0]!r} cannot be used: {reason}") from error


def _named(reactor: Any, host: str, port: int) -> Any:
    """An address is connected to at once: where there can be several, a refusal is told only after a time to try others."""
    if isIPAddress(host):
        return TCP4ClientEndpoint(reactor, host, port)
    if isIPv6Address(host):
        return TCP6ClientEndpoint(reactor, host, port)
    return HostnameEndpoint(reactor, host, port)


def _check(text: str, prefix: str, arguments: Sequence[str], keywords: dict[str, str]) -> None:
    """Refuse what Twisted would, and less clearly, or not at once."""
    known = {
        "tcp",
        "unix",
        "ssl",
        *(p.prefix for p in getPlugins(IStreamClientEndpointStringParserWithReactor)),
    }
    if prefix not in known:
        hint = did_you_mean(prefix, known | {"udp", "udp6", "unix-datagram", "tcp6"})
        raise ValueError(f"{text!r} begins with no known prefix, and is no HOST with a PORT; {hint}")
    if prefix in {"tls", "ssl"} and not find_spec("OpenSSL"):
        raise ValueError(f"{text!r} needs pyOpenSSL: pip install 'twistnet[tls]'")
    if prefix == "tcp":
        _host_and_port(text, arguments, keywords)
    if prefix == "unix":
        check_length((arguments or [keywords.get("path", "")])[0])


def _host_and_port(text: str, arguments: Sequence[str], keywords: dict[str, str]) -> tuple[str, int]:
    values = dict(zip(("host", "port"), arguments, strict=False)) | keywords
    if len(arguments) > 2 or not values.get("host") or "port" not in values:
        raise ValueError(f"{text!r} is not {text.partition(':')[0]}:HOST:PORT{colon_hint(arguments)}")
    return parse_peer(values["host"], values["port"])
