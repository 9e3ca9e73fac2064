"""The drop-in's side of the endpoints: a prefix, and the name of what parses it.

The rule of this module: the drop-in is imported whenever twistd looks for plugins, so this imports next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.internet.interfaces import (
    IStreamClientEndpointStringParserWithReactor,
    IStreamServerEndpointStringParser,
)
from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import implementer

from .interfaces import IDatagramServerEndpointStringParser

if TYPE_CHECKING:
    from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

    from .interfaces import IDatagramServerEndpoint

__all__ = ["DatagramEndpointPlugin", "StreamClientEndpointPlugin", "StreamServerEndpointPlugin"]


class _Prefix:
    """A prefix, and by name what reads the strings that begin with it."""

    def __init__(self, prefix: str, parser: str) -> None:
        self.prefix = prefix
        self.parser = parser

    def _parse(self, reactor: Any, *args: object, **kwargs: object) -> Any:
        return namedAny(self.parser)(reactor, *args, **kwargs)


@implementer(IPlugin, IDatagramServerEndpointStringParser)
class DatagramEndpointPlugin(_Prefix):
    """Adds a prefix to `twistnet.datagram_server_from_string`, from a file in `twisted/plugins`.

    Args:
        prefix: What the strings begin with.
        parser: The dotted name of a callable that takes the reactor and the arguments of the string, all text, and
            returns an `IDatagramServerEndpoint`.
    """

    def parse_datagram_server(self, reactor: Any, *args: str, **kwargs: str) -> IDatagramServerEndpoint:
        """See `IDatagramServerEndpointStringParser.parse_datagram_server`."""
        return cast("IDatagramServerEndpoint", self._parse(reactor, *args, **kwargs))


@implementer(IPlugin, IStreamClientEndpointStringParserWithReactor)
class StreamClientEndpointPlugin(_Prefix):
    """Adds a prefix to Twisted's `clientFromString`, from a file in `twisted/plugins`.

    Args:
        prefix: What the strings begin with.
        parser: The dotted name of a callable that takes the reactor and the arguments of the string, all text, and
            returns an `IStreamClientEndpoint`.
    """

    def parseStreamClient(self, reactor: Any, *args: object, **kwargs: object) -> IStreamClientEndpoint:
        """See `IStreamClientEndpointStringParserWithReactor.parseStreamClient`."""
        return cast("IStreamClientEndpoint", self._parse(reactor, *args, **kwargs))


@implementer(IPlugin, IStreamServerEndpointStringParser)
class StreamServerEndpointPlugin(_Prefix):
    """Adds a prefix to Twisted's `serverFromString`, from a file in `twisted/plugins`.

    Args:
        prefix: What the strings begin with.
        parser: The dotted name of a callable that takes the reactor and the arguments of the string, all text, and
            returns an `IStreamServerEndpoint`.
    """

    def parseStreamServer(self, reactor: Any, *args: object, **kwargs: object) -> IStreamServerEndpoint:
        """See `IStreamServerEndpointStringParser.parseStreamServer`."""
        return cast("IStreamServerEndpoint", self._parse(reactor, *args, **kwargs))
