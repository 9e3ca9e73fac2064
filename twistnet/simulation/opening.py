"""How a simulated host listens, connects, and adopts what is open already.

The rule of this module: each method makes the transport that Twisted's own reactor would make, over a simulated socket. A
real descriptor that listens is mirrored by a simulated one; a real connection cannot be.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.posixbase import PosixReactorBase

from ..errors import SimulationError, WrongReactor
from . import transports
from .kernel import FilePaths, Kernel

if TYPE_CHECKING:
    from .reactor import Host

__all__ = ["Opening"]


class Opening(PosixReactorBase):
    """The part of a host that opens transports."""

    name: str
    kernel: Kernel
    _itself: Host

    def _usable(self) -> Host:
        """The host itself, which transports keep, rather than the global reactor that stands for it.

        Raises:
            SimulationError: It has crashed.
        """
        if not self.kernel.is_up:
            raise SimulationError(f"{self.name} has crashed: restart it first")
        return self._itself

    @property
    def has_real_files(self) -> bool:
        """Whether the paths of its UNIX sockets are in the real file system."""
        return isinstance(self.kernel.paths, FilePaths)

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """See `IReactorTCP.listenTCP`."""
        listening = transports.TcpPort(port, factory, backlog, interface, self._usable())
        listening.startListening()
        return listening

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30.0, bindAddress: Any = None
    ) -> Any:
        """See `IReactorTCP.connectTCP`."""
        connector = transports.TcpConnector(host, port, factory, timeout, bindAddress, self._usable())
        connector.connect()
        return connector

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        """See `IReactorUDP.listenUDP`."""
        listening = transports.UdpPort(port, protocol, interface, maxPacketSize, self._usable())
        listening.startListening()
        return listening

    def listenMulticast(
        self,
        port: int,
        protocol: Any,
        interface: str = "",
        maxPacketSize: int = 8192,
        listenMultiple: bool = False,
    ) -> Any:
        """See `IReactorMulticast.listenMulticast`."""
        listening = transports.UdpMulticastPort(
            port, protocol, interface, maxPacketSize, self._usable(), listenMultiple
        )
        listening.startListening()
        return listening

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: Any = 0
    ) -> Any:
        """See `IReactorUNIX.listenUNIX`."""
        listening = transports.UnixPort(address, factory, backlog, mode, self._usable(), wantPID)
        listening.startListening()
        return listening

    def connectUNIX(self, address: Any, factory: Any, timeout: float = 30, checkPID: Any = 0) -> Any:
        """See `IReactorUNIX.connectUNIX`."""
        connector = transports.UnixConnector(address, factory, timeout, self._usable(), checkPID)
        connector.connect()
        return connector

    def listenUNIXDatagram(
        self, address: Any, protocol: Any, maxPacketSize: int = 8192, mode: int = 0o666
    ) -> Any:
        """See `IReactorUNIXDatagram.listenUNIXDatagram`."""
        listening = transports.UnixDatagramPort(address, protocol, maxPacketSize, mode, self._usable())
        listening.startListening()
        return listening

    def connectUNIXDatagram(
        self,
        address: Any,
        protocol: Any,
        maxPacketSize: int = 8192,
        mode: int = 0o666,
        bindAddress: Any = None,
    ) -> Any:
        """See `IReactorUNIXDatagram.connectUNIXDatagram`."""
        port = transports.UnixConnectedDatagramPort(
            address, protocol, maxPacketSize, mode, bindAddress, self._usable()
        )
        port.startListening()
        return port

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        """See `IReactorSocket.adoptStreamPort`; a real descriptor is mirrored by a simulated one."""
        return transports.adopt_port(self._usable(), fileDescriptor, addressFamily, factory)

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        """See `IReactorSocket.adoptStreamConnection`; only a simulated connection can be adopted."""
        return transports.adopt_connection(self._usable(), fileDescriptor, addressFamily, factory)

    def adoptDatagramPort(
        self, fileDescriptor: int, addressFamily: Any, protocol: Any, maxPacketSize: int = 8192
    ) -> Any:
        """See `IReactorSocket.adoptDatagramPort`; a real descriptor is mirrored by a simulated one."""
        return transports.adopt_datagram_port(
            self._usable(), fileDescriptor, addressFamily, protocol, maxPacketSize
        )

    def adopt_descriptor(self, descriptor: int, family: int, kind: int, proto: int = 0) -> Any:
        """What `socket.fromfd` gives on this host: a copy of its own, or the likeness of a real one.

        Raises:
            WrongReactor: It is a real connection, whose peer no simulation can reach.
        """
        own = self.kernel.find(descriptor)
        if own is not None:
            return own.dup()
        with socket.fromfd(descriptor, family, kind) as real:
            return self._likeness(real)

    def _likeness(self, real: socket.socket) -> Any:
        try:
            peer = real.getpeername()
        except OSError:
            peer = None
        if peer:
            raise WrongReactor(
                f"{self.name} cannot adopt a real connection, to {peer!r}: its peer is not simulated"
            )
        likeness = self.kernel.socket(real.family, real.type)
        options = [(socket.SOL_SOCKET, socket.SO_REUSEADDR), (socket.SOL_SOCKET, socket.SO_REUSEPORT)]
        if real.family == socket.AF_INET6:
            options.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
        for level, option in options:
            likeness.setsockopt(level, option, real.getsockopt(level, option))
        self._bind_likeness(likeness, real.getsockname())
        if real.type == socket.SOCK_STREAM and real.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            likeness.listen(50)
        return likeness

    def _bind_likeness(self, likeness: Any, name: Any) -> None:
        paths = self.kernel.paths
        if likeness.family == socket.AF_UNIX and isinstance(paths, FilePaths) and name:
            likeness.file.local = name.encode() if isinstance(name, str) else name
            paths.adopt(likeness.file.local, likeness.file)
        elif name:
            likeness.bind(name)

    def spawnProcess(self, *args: Any, **kw: Any) -> Any:
        """Not simulated.

        Raises:
            SimulationError: Always.
        """
        raise SimulationError(f"{self.name} cannot spawn a process: a simulated host runs one program only")
