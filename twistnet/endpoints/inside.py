"""The endpoint within one that wraps another (`guarded:`, `fast:`): made by Twisted, and refused in words of ours.

The rule of this module: whatever is wrong with what a person wrote is a `ConfigurationError`, not what Twisted's parsers make
of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.endpoints import clientFromString, serverFromString

from ..errors import ConfigurationError
from .inherited import check_adopted

__all__ = ["client_inside", "server_inside"]


def server_inside(reactor: Any, text: str) -> Any:
    """The `IStreamServerEndpoint` of a string.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        endpoint = _made(serverFromString, reactor, text)
        check_adopted(endpoint)
    except LookupError:
        raise ConfigurationError("systemd passed no such socket to this process") from None
    except ValueError as error:
        raise ConfigurationError(f"cannot be used: {error}") from None
    return endpoint


def client_inside(reactor: Any, text: str) -> Any:
    """The `IStreamClientEndpoint` of a string.

    Raises:
        ConfigurationError: There is none.
    """
    return _made(clientFromString, reactor, text)


def _made(make: Callable[[Any, str], Any], reactor: Any, text: str) -> Any:
    try:
        return make(reactor, text)
    except (ConfigurationError, LookupError):
        raise
    except Exception as error:  # whatever an endpoint's parser makes of a value that it did not expect
        raise ConfigurationError(f"cannot be used: {str(error) or type(error).__name__}") from error
