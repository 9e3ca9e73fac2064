"""The drop-in's side of the datagram endpoints: a prefix, and the name of what parses it.

The rule of this module: the drop-in is imported whenever twistd looks for plugins, so this imports next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import implementer

from .interfaces import IDatagramServerEndpointStringParser

if TYPE_CHECKING:
    from .interfaces import IDatagramServerEndpoint

__all__ = ["DatagramEndpointPlugin"]


@implementer(IPlugin, IDatagramServerEndpointStringParser)
class DatagramEndpointPlugin:
    """Adds a prefix to `twistnet.datagram_server_from_string`, from a file in `twisted/plugins`.

    Args:
        prefix: What the strings begin with.
        parser: The dotted name of a callable that takes the reactor and the arguments of the string, all text, and
            returns an `IDatagramServerEndpoint`.
    """

    def __init__(self, prefix: str, parser: str) -> None:
        self.prefix = prefix
        self.parser = parser

    def parse_datagram_server(self, reactor: Any, *args: str, **kwargs: str) -> IDatagramServerEndpoint:
        """See `IDatagramServerEndpointStringParser.parse_datagram_server`."""
        return cast("IDatagramServerEndpoint", namedAny(self.parser)(reactor, *args, **kwargs))
