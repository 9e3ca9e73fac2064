"""UNIX stream sockets on the hub: connections that may be handed file descriptors, and the ports that accept them.

The rule of this module: while a descriptor waits to be sent, Twisted sends; while one comes in, Twisted receives it.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet import main, tcp, unix
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python import log

from .connections import FastServer
from .hub import hub_of
from .ports import AcceptingOnHub
from .streams import FastStream

if TYPE_CHECKING:

    class _Connection(unix._SendmsgMixin, tcp.Connection):
        """What the transports below have in common."""
else:
    _Connection = object

__all__ = ["FastUNIXClient", "FastUNIXConnector", "FastUNIXPort", "FastUNIXServer"]

UNSUPPORTED = "received unsupported ancillary data (level=%(level)r, type=%(kind)r) from %(peer)r."

ANCILLARY = socket.CMSG_SPACE(4096)
"""Room for what comes with the data, as Twisted has."""


class FastUNIXStream(FastStream, _Connection):
    """Mixed in before a UNIX connection of Twisted's."""

    def doRead(self) -> ConnectionDone | ConnectionLost | None:  # type: ignore[override]
        """See `IReadDescriptor`."""
        try:
            data, ancillary, _, _ = self.socket.recvmsg(self._read_size, ANCILLARY)
        except BlockingIOError:
            return None
        except OSError:
            return main.CONNECTION_LOST
        if ancillary:
            self._receive_ancillary(ancillary)
        if not data:
            return self._end()
        self._deliver(data)
        return None

    def sendFileDescriptor(self, fileno: int) -> None:
        """See `IUNIXTransport.sendFileDescriptor`."""
        self._leave_plain()
        super().sendFileDescriptor(fileno)

    def send_held(self) -> None:
        """Send what was written; with a descriptor, it takes Twisted's way."""
        if not self._sendmsgQueue:
            super().send_held()

    def _receive_ancillary(self, ancillary: Any) -> None:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                self._ancillaryLevelSOLSOCKETTypeSCMRIGHTS(data)
            else:
                log.msg(format=UNSUPPORTED, level=level, kind=kind, peer=self.getPeer())


class FastUNIXServer(FastUNIXStream, FastServer, unix.Server):  # type: ignore[override]
    """`unix.Server` on the hub, with the same arguments."""

    def __init__(
        self, sock: socket.socket, protocol: Any, client: Any, server: Any, sessionno: int, reactor: Any
    ) -> None:
        self._sendmsgQueue = []
        self._begin(sock, protocol, (client, None), server, sessionno, reactor)


class FastUNIXClient(FastUNIXStream, unix.Client):
    """`unix.Client` on the hub, with the same arguments."""

    def __init__(self, filename: Any, connector: Any, reactor: Any = None, checkPID: int = 0) -> None:
        self._hub = hub_of(reactor)
        self._start_plain()
        super().__init__(filename, connector, reactor, checkPID)


class FastUNIXPort(AcceptingOnHub, unix.Port):
    """`unix.Port` on the hub, with the same arguments."""

    transport = FastUNIXServer


class FastUNIXConnector(unix.Connector):
    """`unix.Connector` on the hub, with the same arguments."""

    def _makeTransport(self) -> FastUNIXClient:  # type: ignore[override]
        return FastUNIXClient(self.address, self, self.reactor, self.checkPID)
