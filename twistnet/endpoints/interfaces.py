"""What a datagram endpoint is, and what a drop-in provides that adds one.

The rule of this module: it mirrors Twisted's interfaces for streams (`IStreamServerEndpoint` and
`IStreamServerEndpointStringParser`), and imports nothing that a drop-in could not afford.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IListeningPort
    from twisted.internet.protocol import DatagramProtocol

__all__ = ["DatagramServerEndpoint", "IDatagramServerEndpoint", "IDatagramServerEndpointStringParser"]

# zope.interface describes methods without `self`, which the type checker takes from its plugin.


class DatagramServerEndpoint(Protocol):
    """`IDatagramServerEndpoint`, as type checkers see it without a plugin for zope.interface."""

    def listen(self, protocol: DatagramProtocol) -> Deferred[IListeningPort]:
        """See `IDatagramServerEndpoint.listen`."""


class IDatagramServerEndpoint(Interface):
    """Somewhere datagrams can be received; may be listened on again after it was closed."""

    def listen(protocol: DatagramProtocol) -> Deferred[IListeningPort]:
        """Open the socket and connect the protocol to it.

        Returns:
            A Deferred of the listening port; it fails with `CannotListenError` or `OSError`.
        """


class IDatagramServerEndpointStringParser(Interface):
    """A plugin (`twisted.plugin`) that makes datagram endpoints from strings with its prefix."""

    prefix: str = Attribute("What the strings begin with: `udp`.")

    def parse_datagram_server(reactor: Any, *args: str, **kwargs: str) -> IDatagramServerEndpoint:
        """Make an endpoint.

        Args:
            reactor: The reactor it will listen with.
            args: What stands between the colons of the string.
            kwargs: What stands there with a key.

        Raises:
            ValueError: An argument that cannot be used.
            TypeError: An argument too many or too few.
        """
