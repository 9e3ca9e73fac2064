"""Which reactor's sockets are fast, and how one asks for them.

The rule of this module: a reactor on the hub is the reactor, but for the sockets it opens.
"""

from __future__ import annotations

import select
import socket
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.posixbase import PosixReactorBase
from zope.interface import directlyProvides, providedBy

from .connections import FastServer
from .datagrams import FastDatagramPort, FastMulticastPort
from .hub import Hub, hub_of
from .ports import FastConnector, FastPort
from .unix_datagrams import FastConnectedUNIXDatagramPort, FastUNIXDatagramPort
from .unix_streams import FastUNIXConnector, FastUNIXPort, FastUNIXServer

__all__ = ["FastSockets", "ReactorOnHub", "can_be_fast", "fast"]

LONGEST = 65536
"""Octets read of a datagram where the caller names no size: none is longer, so none is cut."""


def can_be_fast(reactor: Any = None) -> bool:
    """Whether this system has what the fast transports need, and the reactor real sockets."""
    if not (sys.platform.startswith("linux") and hasattr(select, "epoll")):
        return False
    return reactor is None or (
        isinstance(reactor, PosixReactorBase) and getattr(reactor, "has_real_sockets", True)
    )


def fast(reactor: Any) -> Any:
    """A reactor that is the same, but for its sockets: those that it opens are on the hub.

    Returns:
        The reactor itself, if it is fast already or cannot be: elsewhere than on Linux, or if its sockets are not real.
    """
    if isinstance(reactor, FastSockets) or not can_be_fast(reactor):
        return reactor
    return ReactorOnHub(reactor)


class FastSockets:
    """What a reactor is asked for sockets; mixed in before one, or before what stands for one."""

    @property
    def _sockets_reactor(self) -> Any:
        """What the transports call their reactor."""
        return self

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """See `IReactorTCP.listenTCP`."""
        return _started(FastPort(port, factory, backlog, interface, self._sockets_reactor))

    def connectTCP(
        self, host: str, port: Any, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> Any:
        """See `IReactorTCP.connectTCP`."""
        return _connecting(FastConnector(host, port, factory, timeout, bindAddress, self._sockets_reactor))

    def listenSSL(
        self, port: Any, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> Any:
        """See `IReactorSSL.listenSSL`."""
        return _listen_tls(self, port, factory, contextFactory, backlog, interface)

    def connectSSL(
        self,
        host: str,
        port: Any,
        factory: Any,
        contextFactory: Any,
        timeout: float = 30,
        bindAddress: Any = None,
    ) -> Any:
        """See `IReactorSSL.connectSSL`."""
        return _connect_tls(self, host, port, factory, contextFactory, timeout, bindAddress)

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: int = 0
    ) -> Any:
        """See `IReactorUNIX.listenUNIX`."""
        return _started(FastUNIXPort(address, factory, backlog, mode, self._sockets_reactor, wantPID))

    def connectUNIX(self, address: Any, factory: Any, timeout: float = 30, checkPID: int = 0) -> Any:
        """See `IReactorUNIX.connectUNIX`."""
        return _connecting(FastUNIXConnector(address, factory, timeout, self._sockets_reactor, checkPID))

    def listenUDP(self, port: Any, protocol: Any, interface: str = "", maxPacketSize: int = LONGEST) -> Any:
        """See `IReactorUDP.listenUDP`; unless a size is given, no datagram is cut."""
        return _started(FastDatagramPort(port, protocol, interface, maxPacketSize, self._sockets_reactor))

    def listenMulticast(
        self,
        port: Any,
        protocol: Any,
        interface: str = "",
        maxPacketSize: int = LONGEST,
        listenMultiple: bool = False,
    ) -> Any:
        """See `IReactorMulticast.listenMulticast`; unless a size is given, no datagram is cut."""
        return _started(
            FastMulticastPort(port, protocol, interface, maxPacketSize, self._sockets_reactor, listenMultiple)
        )

    def listenUNIXDatagram(
        self, address: Any, protocol: Any, maxPacketSize: int = LONGEST, mode: int = 0o666
    ) -> Any:
        """See `IReactorUNIXDatagram.listenUNIXDatagram`; unless a size is given, nothing up to 64 KiB is cut."""
        return _started(FastUNIXDatagramPort(address, protocol, maxPacketSize, mode, self._sockets_reactor))

    def connectUNIXDatagram(
        self,
        address: Any,
        protocol: Any,
        maxPacketSize: int = LONGEST,
        mode: int = 0o666,
        bindAddress: Any = None,
    ) -> Any:
        """See `IReactorUNIXDatagram.connectUNIXDatagram`; unless a size is given, nothing up to 64 KiB is cut."""
        return _started(
            FastConnectedUNIXDatagramPort(
                address, protocol, maxPacketSize, mode, bindAddress, self._sockets_reactor
            )
        )

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        """See `IReactorSocket.adoptStreamPort`."""
        _check_family(addressFamily)
        reactor = self._sockets_reactor
        if addressFamily == socket.AF_UNIX:
            return _started(FastUNIXPort._fromListeningDescriptor(reactor, fileDescriptor, factory))
        return _started(FastPort._fromListeningDescriptor(reactor, fileDescriptor, addressFamily, factory))

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        """See `IReactorSocket.adoptStreamConnection`."""
        _check_family(addressFamily)
        reactor = self._sockets_reactor
        if addressFamily == socket.AF_UNIX:
            return FastUNIXServer._fromConnectedSocket(fileDescriptor, factory, reactor)
        return FastServer._fromConnectedSocket(fileDescriptor, addressFamily, factory, reactor)

    def adoptDatagramPort(
        self, fileDescriptor: int, addressFamily: Any, protocol: Any, maxPacketSize: int = LONGEST
    ) -> Any:
        """See `IReactorSocket.adoptDatagramPort`; unless a size is given, no datagram is cut."""
        if addressFamily == socket.AF_UNIX:
            raise error.UnsupportedAddressFamily(addressFamily)
        _check_family(addressFamily)
        adopt = FastDatagramPort._fromListeningDescriptor
        return _started(
            adopt(self._sockets_reactor, fileDescriptor, addressFamily, protocol, maxPacketSize=maxPacketSize)
        )


class ReactorOnHub(FastSockets):
    """Stands for a reactor: the sockets are on its hub, and everything else is the reactor's own.

    Args:
        reactor: Any of Twisted's.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        directlyProvides(self, providedBy(reactor))

    @property
    def _sockets_reactor(self) -> Any:
        return self._reactor

    @property
    def _twistnet_hub(self) -> Hub:
        return hub_of(self._reactor)

    def __getattr__(self, name: str) -> Any:
        # Whatever else a reactor has: which methods those are is for each reactor to say.
        return getattr(self._reactor, name)

    def __repr__(self) -> str:
        return f"<{self._reactor!r}, its sockets on the hub>"


_listen_tls: Callable[..., Any] = PosixReactorBase.listenSSL
_connect_tls: Callable[..., Any] = PosixReactorBase.connectSSL


def _started(port: Any) -> Any:
    port.startListening()
    return port


def _connecting(connector: Any) -> Any:
    connector.connect()
    return connector


def _check_family(family: Any) -> None:
    if family not in PosixReactorBase._supportedAddressFamilies:
        raise error.UnsupportedAddressFamily(family)
