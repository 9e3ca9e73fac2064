"""Twisted's own transports, over simulated sockets.

The rule of this module: not a line of Twisted's logic is written again. Where one of its functions opens a socket or
touches the file system through a name of its module, it is run with that name standing for the simulated one; Twisted
itself stays as it is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from types import FunctionType, SimpleNamespace
from typing import Any, cast

from twisted.internet import base, tcp, udp, unix
from twisted.python import lockfile

__all__ = [
    "TcpConnector",
    "TcpPort",
    "UdpMulticastPort",
    "UdpPort",
    "UnixConnectedDatagramPort",
    "UnixConnector",
    "UnixDatagramPort",
    "UnixPort",
    "adopt_connection",
    "adopt_datagram_port",
    "adopt_port",
]


def _with(function: Any, **names: Any) -> Any:
    """A function of Twisted's in whose module some names stand for something else."""
    if not isinstance(function, FunctionType):
        return function
    copied = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copied.__kwdefaults__ = function.__kwdefaults__
    return copied


class _Facade:
    """A module of which some names are replaced."""

    def __init__(self, module: Any, **names: Any) -> None:
        self._module = module
        self.__dict__.update(names)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _sockets(host: Any) -> Any:
    """The `socket` module as a host's programs see it."""
    return _Facade(socket, socket=host.kernel.socket, fromfd=host.adopt_descriptor)


def _files(host: Any) -> Any:
    """The `os` module as a host's programs see it, where it concerns the names of sockets."""
    paths = host.kernel.paths
    return _Facade(os, chmod=paths.chmod, unlink=paths.unlink, remove=paths.remove, stat=paths.stat)


class _Socketed:
    """A listening port of any kind: its sockets are its host's."""

    reactor: Any

    def createInternetSocket(self) -> Any:
        opened = _with(base.BasePort.createInternetSocket, socket=_sockets(self.reactor))(self)
        if getattr(self, "_reuseAddress", False):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if getattr(self, "_reusePort", False) or getattr(self, "listenMultiple", False):
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return opened


class _Accepting(_Socketed):
    """A port that accepts connections, with its host's own reserve against EMFILE.

    A connection whose `buildProtocol` fails becomes nobody's transport. A real socket that nobody has is closed.
    """

    sessionno: int

    def doRead(self) -> None:
        last: Any = None

        def accept(*arguments: Any) -> Iterator[Any]:
            nonlocal last
            for opened, address in tcp._accept(*arguments):
                last = opened, self.sessionno
                yield opened, address

        _with(tcp.Port.doRead, _accept=accept, _reservedFD=self.reactor.reservation)(self)
        if last is not None and last[1] == self.sessionno:
            last[0].close()


class TcpPort(_Accepting, tcp.Port):
    """A `tcp.Port` over a simulated socket."""

    def startListening(self) -> None:
        _with(tcp.Port.startListening, _reservedFD=self.reactor.reservation)(self)


class _Clientele:
    """A connecting transport: its socket is its host's."""

    reactor: Any
    connector: Any

    def createInternetSocket(self) -> Any:
        sockets = _sockets(self.connector.reactor)
        return _with(tcp.BaseClient.createInternetSocket, socket=sockets)(self)


class TcpClient(_Clientele, tcp.Client):
    """A `tcp.Client` over a simulated socket."""


class TcpConnector(tcp.Connector):
    """A `tcp.Connector` that makes simulated clients."""

    def _makeTransport(self) -> Any:
        return TcpClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UdpPort(_Socketed, udp.Port):
    """A `udp.Port` over a simulated socket."""


class UdpMulticastPort(_Socketed, udp.MulticastPort):
    """A `udp.MulticastPort` over a simulated socket."""

    @property
    def _reuseAddress(self) -> bool:
        return self.listenMultiple


class _Locks:
    """The `lockfile` module as a host's programs see it: locks beside paths that exist in memory only."""

    def __init__(self, host: Any) -> None:
        self._locks = host.kernel.locks

    def FilesystemLock(self, name: Any) -> Any:
        def lock() -> bool:
            made.clean = name not in self._locks
            taken = self.isLocked(name)
            self._locks[name] = True
            return not taken

        made = SimpleNamespace(name=name, clean=True, lock=lock, unlock=lambda: self._locks.pop(name, None))
        return made

    def isLocked(self, name: Any) -> bool:
        return bool(self._locks.get(name))


def _locks(host: Any) -> Any:
    return lockfile if host.has_real_files else _Locks(host)


class UnixPort(_Accepting, unix.Port):
    """A `unix.Port` over a simulated socket."""

    def startListening(self) -> None:
        host = self.reactor
        reserved = _Facade(tcp, _reservedFD=host.reservation)
        _with(unix.Port.startListening, os=_files(host), lockfile=_locks(host), tcp=reserved)(self)

    def connectionLost(self, reason: Any) -> None:
        _with(unix.Port.connectionLost, os=_files(self.reactor))(self, reason)


class UnixClient(_Clientele, unix.Client):
    """A `unix.Client` over a simulated socket."""

    def __init__(self, filename: Any, connector: Any, reactor: Any = None, checkPID: Any = 0) -> None:
        _with(unix.Client.__init__, lockfile=_locks(reactor))(self, filename, connector, reactor, checkPID)


class UnixConnector(unix.Connector):
    """A `unix.Connector` that makes simulated clients."""

    def _makeTransport(self) -> Any:
        return UnixClient(self.address, self, self.reactor, self.checkPID)


class _UnixBound(_Socketed):
    """A UNIX datagram port."""

    def _bindSocket(self) -> None:
        _with(unix.DatagramPort._bindSocket, os=_files(self.reactor))(self)


class UnixDatagramPort(_UnixBound, unix.DatagramPort):
    """A `unix.DatagramPort` over a simulated socket."""


class UnixConnectedDatagramPort(_UnixBound, unix.ConnectedDatagramPort):
    """A `unix.ConnectedDatagramPort` over a simulated socket."""


def _adopted(method: Any, transport: type[Any], host: Any, *arguments: Any) -> Any:
    """What one of Twisted's constructors from a descriptor makes, with the host's sockets."""
    return _with(method.__func__, socket=_sockets(host))(transport, *arguments)


def adopt_port(host: Any, descriptor: int, family: int, factory: Any) -> Any:
    """See `IReactorSocket.adoptStreamPort`."""
    if family == socket.AF_UNIX:
        method: Any = unix.Port._fromListeningDescriptor
        port = _adopted(method, UnixPort, host, host, descriptor, factory)
    else:
        method = tcp.Port._fromListeningDescriptor
        port = _adopted(method, TcpPort, host, host, descriptor, family, factory)
    port.startListening()
    return port


def adopt_connection(host: Any, descriptor: int, family: int, factory: Any) -> Any:
    """See `IReactorSocket.adoptStreamConnection`."""
    if family == socket.AF_UNIX:
        method: Any = unix.Server._fromConnectedSocket
        return _adopted(method, unix.Server, host, descriptor, factory, host)
    method = tcp.Server._fromConnectedSocket
    return _adopted(method, cast(Any, tcp.Server), host, descriptor, family, factory, host)


def adopt_datagram_port(host: Any, descriptor: int, family: int, protocol: Any, size: int) -> Any:
    """See `IReactorSocket.adoptDatagramPort`."""
    method: Any = udp.Port._fromListeningDescriptor
    port = _adopted(method, UdpPort, host, host, descriptor, family, protocol, size)
    port.startListening()
    return port
