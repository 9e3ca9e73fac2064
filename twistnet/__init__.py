"""twistnet: ready-made network services, connection policies and datagram endpoints for Twisted.

This is the public face, and nothing else. A name is imported when it is first used, because this package is imported
whenever any Twisted program looks for plugins.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._version import __version__

if TYPE_CHECKING:
    from .config import ConnectionConfig, DatagramConfig, setting
    from .endpoints.datagram import (
        SystemdDatagramServerEndpoint,
        UDPServerEndpoint,
        UNIXDatagramServerEndpoint,
        datagram_server_from_string,
    )
    from .endpoints.guarded import GuardedServerEndpoint
    from .endpoints.interfaces import IDatagramServerEndpoint, IDatagramServerEndpointStringParser
    from .endpoints.plugins import (
        DatagramEndpointPlugin,
        StreamClientEndpointPlugin,
        StreamServerEndpointPlugin,
    )
    from .endpoints.proxied import ProxiedClientEndpoint
    from .errors import (
        BadMessage,
        ConfigurationError,
        ConnectingTooFast,
        Denied,
        EndpointStringError,
        FilesError,
        HandshakeTimeout,
        IdleTimeout,
        LifetimeExceeded,
        ListeningError,
        LocalProtocolError,
        MessageError,
        NotAllowed,
        PolicyViolation,
        ProtocolError,
        ProxyHeaderRefused,
        ProxyNotAllowed,
        RemoteError,
        RemoteProtocolError,
        TooManyConnections,
        TooManyFromSource,
        TwistnetError,
        WriteBufferExceeded,
    )
    from .policies.counters import Count, PolicyCounters, policy_counters, policy_counts
    from .policies.datagram_guard import DatagramGuard, Drop
    from .policies.guarded_connection import ConnectionObserver, GuardedConnection
    from .policies.guarded_datagrams import GuardedDatagramProtocol
    from .policies.guarded_factory import GuardedFactory, guard
    from .policies.observers import AccessLog, OpenConnections, SocketOptions
    from .protocols.announcing import AnnouncingProtocol
    from .protocols.classic import (
        ChargenDatagramProtocol,
        ChargenFactory,
        ChargenProtocol,
        DaytimeDatagramProtocol,
        DaytimeFactory,
        DaytimeProtocol,
        DiscardDatagramProtocol,
        DiscardFactory,
        DiscardProtocol,
        QuoteDatagramProtocol,
        QuoteFactory,
        QuoteProtocol,
        TimeDatagramProtocol,
        TimeFactory,
        TimeProtocol,
    )
    from .protocols.console import ConsoleDatagramProtocol, ConsoleFactory, ConsoleProtocol
    from .protocols.datagram import TransformDatagramProtocol
    from .protocols.echo import EchoDatagramProtocol, EchoFactory, EchoProtocol
    from .protocols.files.client import FilesClient
    from .protocols.files.server import FilesFactory, FilesProtocol
    from .protocols.files.store import FileStore
    from .protocols.framed import FramedProtocol
    from .protocols.greeting import GreetingFactory, GreetingProtocol
    from .protocols.message_client import MessageClient
    from .protocols.messages import MessageDatagramProtocol, MessageFactory, MessageProtocol
    from .protocols.one_shot import OneShotProtocol
    from .protocols.stream import StreamFactory, TransformProtocol
    from .protocols.switchboard import Switchboard
    from .protocols.upper import UpperDatagramProtocol, UpperFactory, UpperProtocol
    from .services.definition import ServiceDefinition
    from .services.drain import ServiceState
    from .services.listening import ListeningService
    from .services.node import NodeConfig, NodeService, make_node, node_from_file
    from .services.plugins import ServicePlugin
    from .transport.datagram_losses import DatagramCounters
    from .transport.sockets import fast
    from .wire.framing import Framer, LengthFramer, LineFramer, NetstringFramer
    from .wire.proxy_header import ProxyHeader
    from .wire.proxy_protocol import ProxyHeaderReader, encode_proxy_header
    from .wire.transforms import Identity, Transform, UpperBytes, UpperText

_HOMES = {
    "config": ("ConnectionConfig", "DatagramConfig", "setting"),
    "endpoints.datagram": (
        "SystemdDatagramServerEndpoint",
        "UDPServerEndpoint",
        "UNIXDatagramServerEndpoint",
        "datagram_server_from_string",
    ),
    "endpoints.guarded": ("GuardedServerEndpoint",),
    "endpoints.interfaces": ("IDatagramServerEndpoint", "IDatagramServerEndpointStringParser"),
    "endpoints.plugins": (
        "DatagramEndpointPlugin",
        "StreamClientEndpointPlugin",
        "StreamServerEndpointPlugin",
    ),
    "endpoints.proxied": ("ProxiedClientEndpoint",),
    "errors": (
        "BadMessage",
        "ConfigurationError",
        "ConnectingTooFast",
        "Denied",
        "EndpointStringError",
        "FilesError",
        "HandshakeTimeout",
        "IdleTimeout",
        "LifetimeExceeded",
        "ListeningError",
        "LocalProtocolError",
        "MessageError",
        "NotAllowed",
        "PolicyViolation",
        "ProtocolError",
        "ProxyHeaderRefused",
        "ProxyNotAllowed",
        "RemoteError",
        "RemoteProtocolError",
        "TooManyConnections",
        "TooManyFromSource",
        "TwistnetError",
        "WriteBufferExceeded",
    ),
    "policies.counters": ("Count", "PolicyCounters", "policy_counters", "policy_counts"),
    "policies.datagram_guard": ("DatagramGuard", "Drop"),
    "policies.guarded_connection": ("ConnectionObserver", "GuardedConnection"),
    "policies.guarded_datagrams": ("GuardedDatagramProtocol",),
    "policies.guarded_factory": ("GuardedFactory", "guard"),
    "policies.observers": ("AccessLog", "OpenConnections", "SocketOptions"),
    "protocols.announcing": ("AnnouncingProtocol",),
    "protocols.classic": (
        "ChargenDatagramProtocol",
        "ChargenFactory",
        "ChargenProtocol",
        "DaytimeDatagramProtocol",
        "DaytimeFactory",
        "DaytimeProtocol",
        "DiscardDatagramProtocol",
        "DiscardFactory",
        "DiscardProtocol",
        "QuoteDatagramProtocol",
        "QuoteFactory",
        "QuoteProtocol",
        "TimeDatagramProtocol",
        "TimeFactory",
        "TimeProtocol",
    ),
    "protocols.console": ("ConsoleDatagramProtocol", "ConsoleFactory", "ConsoleProtocol"),
    "protocols.datagram": ("TransformDatagramProtocol",),
    "protocols.echo": ("EchoDatagramProtocol", "EchoFactory", "EchoProtocol"),
    "protocols.framed": ("FramedProtocol",),
    "protocols.files.client": ("FilesClient",),
    "protocols.files.server": ("FilesFactory", "FilesProtocol"),
    "protocols.files.store": ("FileStore",),
    "protocols.greeting": ("GreetingFactory", "GreetingProtocol"),
    "protocols.message_client": ("MessageClient",),
    "protocols.messages": ("MessageDatagramProtocol", "MessageFactory", "MessageProtocol"),
    "protocols.one_shot": ("OneShotProtocol",),
    "protocols.stream": ("StreamFactory", "TransformProtocol"),
    "protocols.switchboard": ("Switchboard",),
    "protocols.upper": ("UpperDatagramProtocol", "UpperFactory", "UpperProtocol"),
    "services.definition": ("ServiceDefinition",),
    "services.drain": ("ServiceState",),
    "services.listening": ("ListeningService",),
    "services.node": ("NodeConfig", "NodeService", "make_node", "node_from_file"),
    "services.plugins": ("ServicePlugin",),
    "transport.datagram_losses": ("DatagramCounters",),
    "transport.sockets": ("fast",),
    "wire.framing": ("Framer", "LengthFramer", "LineFramer", "NetstringFramer"),
    "wire.proxy_header": ("ProxyHeader",),
    "wire.proxy_protocol": ("ProxyHeaderReader", "encode_proxy_header"),
    "wire.transforms": ("Identity", "Transform", "UpperBytes", "UpperText"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AccessLog",
    "AnnouncingProtocol",
    "BadMessage",
    "ChargenDatagramProtocol",
    "ChargenFactory",
    "ChargenProtocol",
    "ConfigurationError",
    "ConnectingTooFast",
    "ConnectionConfig",
    "ConnectionObserver",
    "ConsoleDatagramProtocol",
    "ConsoleFactory",
    "ConsoleProtocol",
    "Count",
    "DatagramConfig",
    "DatagramCounters",
    "DatagramEndpointPlugin",
    "DatagramGuard",
    "DaytimeDatagramProtocol",
    "DaytimeFactory",
    "DaytimeProtocol",
    "Denied",
    "DiscardDatagramProtocol",
    "DiscardFactory",
    "DiscardProtocol",
    "Drop",
    "EchoDatagramProtocol",
    "EchoFactory",
    "EchoProtocol",
    "EndpointStringError",
    "FileStore",
    "FilesClient",
    "FilesError",
    "FilesFactory",
    "FilesProtocol",
    "FramedProtocol",
    "Framer",
    "GreetingFactory",
    "GreetingProtocol",
    "GuardedConnection",
    "GuardedDatagramProtocol",
    "GuardedFactory",
    "GuardedServerEndpoint",
    "HandshakeTimeout",
    "IDatagramServerEndpoint",
    "IDatagramServerEndpointStringParser",
    "Identity",
    "IdleTimeout",
    "LengthFramer",
    "LifetimeExceeded",
    "LineFramer",
    "ListeningError",
    "ListeningService",
    "LocalProtocolError",
    "MessageClient",
    "MessageDatagramProtocol",
    "MessageError",
    "MessageFactory",
    "MessageProtocol",
    "NetstringFramer",
    "NodeConfig",
    "NodeService",
    "NotAllowed",
    "OneShotProtocol",
    "OpenConnections",
    "PolicyCounters",
    "PolicyViolation",
    "ProtocolError",
    "ProxiedClientEndpoint",
    "ProxyHeader",
    "ProxyHeaderReader",
    "ProxyHeaderRefused",
    "ProxyNotAllowed",
    "QuoteDatagramProtocol",
    "QuoteFactory",
    "QuoteProtocol",
    "RemoteError",
    "RemoteProtocolError",
    "ServiceDefinition",
    "ServicePlugin",
    "ServiceState",
    "SocketOptions",
    "StreamClientEndpointPlugin",
    "StreamFactory",
    "StreamServerEndpointPlugin",
    "Switchboard",
    "SystemdDatagramServerEndpoint",
    "TimeDatagramProtocol",
    "TimeFactory",
    "TimeProtocol",
    "TooManyConnections",
    "TooManyFromSource",
    "Transform",
    "TransformDatagramProtocol",
    "TransformProtocol",
    "TwistnetError",
    "UDPServerEndpoint",
    "UNIXDatagramServerEndpoint",
    "UpperBytes",
    "UpperDatagramProtocol",
    "UpperFactory",
    "UpperProtocol",
    "UpperText",
    "WriteBufferExceeded",
    "__version__",
    "datagram_server_from_string",
    "encode_proxy_header",
    "fast",
    "guard",
    "make_node",
    "node_from_file",
    "policy_counters",
    "policy_counts",
    "setting",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME_OF})
