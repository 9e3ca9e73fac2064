"""`fast:` before another endpoint string: what it stands for, with its sockets on the fast transports.

The rule of this module: the string inside stays as it is, and so does what it means. Where there are no fast transports,
it is the endpoint itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import ConfigurationError, EndpointStringError
from ..transport import fast
from .datagram import answers_datagrams, datagram_server_from_string
from .descriptions import Description
from .inside import client_inside, server_inside
from .interfaces import DatagramServerEndpoint

__all__ = ["parse_fast_client", "parse_fast_datagram", "parse_fast_server"]


def parse_fast_server(reactor: Any, *args: str, **kwargs: str) -> Any:
    """An `IStreamServerEndpoint` from what follows `fast:`.

    Raises:
        EndpointStringError: Nothing follows, or nothing that is for streams.
    """
    return _made(server_inside, "fast:tcp:8080", reactor, args, kwargs)


def parse_fast_client(reactor: Any, *args: Any, **kwargs: Any) -> Any:
    """An `IStreamClientEndpoint` from what follows `fast:`.

    Raises:
        EndpointStringError: Nothing follows, or nothing that is for streams.
    """
    return _made(client_inside, "fast:tcp:192.0.2.1:80", reactor, args, kwargs)


def parse_fast_datagram(reactor: Any, *args: str, **kwargs: str) -> DatagramServerEndpoint:
    """A datagram endpoint from what follows `fast:`.

    Raises:
        ValueError: It is none.
    """
    return datagram_server_from_string(fast(reactor), str(Description(args[0], tuple(args[1:]), kwargs)))


def _made(
    make: Callable[[Any, str], Any],
    example: str,
    reactor: Any,
    args: Sequence[str],
    kwargs: Mapping[str, str],
) -> Any:
    if not args or not args[0]:
        raise EndpointStringError(f"has no endpoint inside; {example} would have one", (), "fast")
    inside = Description(args[0], tuple(args[1:]), kwargs)
    try:
        if answers_datagrams(inside):
            raise ConfigurationError(f"{args[0]} is for datagrams, and this for streams")
        return make(fast(reactor), str(inside))
    except ConfigurationError as error:
        raise EndpointStringError(error.problem, error.path, f"fast:{inside}") from None
