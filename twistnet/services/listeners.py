"""One listener: an endpoint made from a string, and what its failures mean.

The rule of this module: whatever a person wrote, the error says what to write instead; whatever the kernel answered,
the error says what to do.
"""

from __future__ import annotations

import errno
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpointStringParser
from twisted.plugin import getPlugins
from twisted.python.failure import Failure

from ..config import ConnectionConfig, DatagramConfig
from ..endpoints.datagram import answers_datagrams, datagram_prefixes, datagram_server_from_string
from ..endpoints.descriptions import Description
from ..endpoints.guarded import layers_of, listen_guarded, share_port
from ..endpoints.inherited import check_adopted
from ..endpoints.unix_paths import check_length, clear_dead_socket
from ..errors import ConfigurationError, ListeningError
from ..units import did_you_mean

__all__ = ["Listener", "listening_error", "parse_listener"]

_ADVICE = {
    errno.EADDRINUSE: "something else listens there; stop it, or choose another",
    errno.EACCES: "ports below 1024, and some folders, need a privilege",
    errno.EADDRNOTAVAIL: "no interface of this machine has that address",
}


@frozen
class Listener:
    """Where one listener will listen.

    Attributes:
        text: The endpoint string as it was given.
        description: The same, taken apart, with what the configuration adds.
        endpoint: What it stands for.
        answers_datagrams: Whether it is for datagrams, and not for streams.
    """

    text: str
    description: Description
    endpoint: Any
    answers_datagrams: bool

    @property
    def kind(self) -> str:
        """How its addresses are announced: `tcp`, `unix-datagram`, `haproxy:tcp`."""
        prefix, leaf = self.description.prefix, self.description.leaf
        return prefix if leaf in {"", prefix} else f"{prefix}:{leaf}"

    def endpoint_limit(self, otherwise: int) -> int:
        """Octets of the longest datagram that the endpoint delivers whole."""
        return int(getattr(self.endpoint, "max_datagram", otherwise))

    def listen(self, answerer: Any) -> Deferred[IListeningPort]:
        """Open the socket, for a datagram protocol or a guarded factory.

        Returns:
            A Deferred of the port; it fails with `CannotListenError` or `OSError`.
        """
        if self.description.leaf == "unix":
            clear_dead_socket(self.description.values["address"])
        if self.answers_datagrams:
            return self.endpoint.listen(answerer)  # type: ignore[no-any-return]
        return listen_guarded(answerer.clock, self.endpoint, answerer)


def parse_listener(
    reactor: Any, text: str, connections: ConnectionConfig, datagrams: DatagramConfig
) -> Listener:
    """The listener that an endpoint string stands for, with what the configuration adds to it.

    Raises:
        ValueError: It is no endpoint string; the message says what would be right.
    """
    description = Description.parse(text).on_loopback()
    if description.leaf in {"unix", "unix-datagram"}:
        check_length(description.values["address"])
    if answers_datagrams(description):
        description = description.with_default("max_datagram", str(datagrams.max_datagram))
        if connections.reuse_port:
            description = description.with_default("reuse_port", "on")
        endpoint = _datagram_endpoint(reactor, description, text)
        return Listener(text, description, endpoint, answers_datagrams=True)
    description = description.with_default("backlog", str(connections.backlog))
    endpoint = _stream_endpoint(reactor, description, text)
    if connections.reuse_port:
        try:
            share_port(endpoint)
        except ConfigurationError as error:
            raise ValueError(f"{text!r}: {error}") from None
    return Listener(text, description, endpoint, answers_datagrams=False)


def _datagram_endpoint(reactor: Any, description: Description, text: str) -> Any:
    try:
        return datagram_server_from_string(reactor, str(description))
    except ValueError as error:  # about what a person wrote, not about what was added to it
        raise ValueError(str(error).replace(repr(str(description)), repr(text))) from error


def _stream_endpoint(reactor: Any, description: Description, text: str) -> Any:
    prefixes = {"tcp", "unix", "ssl"} | {p.prefix for p in getPlugins(IStreamServerEndpointStringParser)}
    if description.prefix not in prefixes:
        known = prefixes | datagram_prefixes().keys()
        raise ValueError(f"{text!r} begins with no known prefix; {did_you_mean(description.prefix, known)}")
    if description.prefix == "stdio":
        raise ValueError(f"{text!r} is not something to listen on")
    if description.leaf in {"tls", "ssl"}:
        _check_tls(description, text)
    try:
        endpoint = serverFromString(reactor, str(description))
        for layer in layers_of(endpoint):
            check_adopted(layer)
        return endpoint
    except LookupError:
        raise ValueError(f"{text!r}: systemd passed no such socket to this process") from None
    except ConfigurationError as error:  # about what a person wrote, not about what was added to it
        raise ValueError(f"{text!r}: {ConfigurationError(error.problem, error.path)}") from error
    except Exception as error:  # whatever an endpoint's parser makes of a value that it did not expect
        raise ValueError(f"{text!r} cannot be used: {str(error) or type(error).__name__}") from error


def _check_tls(description: Description, text: str) -> None:
    """What the endpoint would find out at the first connection only."""
    if not find_spec("OpenSSL"):
        raise ValueError(f"{text!r} needs pyOpenSSL: pip install 'twistnet[tls]'")
    folder = Path(description.values.get("path", "."))
    if description.leaf == "tls" and not any(folder.glob("*.pem")):
        raise ValueError(f"{text!r}: there is no folder {str(folder)!r} with .pem files in it")


def listening_error(failure: Failure, text: str, service: str) -> ListeningError:
    """What kept a listener from opening, for a person."""
    error: Any = failure.value
    if isinstance(error, CannotListenError):
        error = error.socketError
    code = getattr(error, "errno", None) or 0
    if "acquire lock" in str(error):
        reason = "another process holds the lock beside the path; stop it, or remove the lock"
    elif code in errno.errorcode:
        reason = getattr(error, "strerror", None) or os.strerror(code)
        reason = f"{reason[:1].lower()}{reason[1:]}"
    else:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    advice = f" ({_ADVICE[code]})" if code in _ADVICE else ""
    return ListeningError(text, f"{reason}{advice}", service)
