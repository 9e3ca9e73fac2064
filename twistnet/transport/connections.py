"""Connections over TCP on the hub: a server's, which make their names when somebody asks for them, and a client's.

The rule of this module: what Twisted's constructors set is set here, and nothing that could be made later.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import IPv6Address

from .hub import hub_of
from .streams import FastStream

__all__ = ["FastClient", "FastServer", "ServerNames"]


class ServerNames:
    """The names of a server's connection, made when somebody asks: most connections never log anything."""

    _repstr: str | None = None
    _kind: type
    client: Any
    server: Any
    sessionno: int

    @property
    def hostname(self) -> Any:
        """The peer's address without its port."""
        return self.client[0]

    @property
    def repstr(self) -> str:
        """What `repr` shows."""
        if self._repstr is None:
            number = getattr(self.server, "port_number", None)
            self._repstr = f"<{self._kind.__name__} #{self.sessionno} on {number}>"
        return self._repstr

    @repstr.setter
    def repstr(self, text: str) -> None:
        self._repstr = text


class FastServer(ServerNames, FastStream, tcp.Server):  # type: ignore[override]
    """`tcp.Server` on the hub, with the same arguments."""

    def __init__(
        self, sock: socket.socket, protocol: Any, client: Any, server: Any, sessionno: int, reactor: Any
    ) -> None:
        self._begin(sock, protocol, client, server, sessionno, reactor)

    def _begin(
        self, sock: socket.socket, protocol: Any, client: Any, server: Any, sessionno: int, reactor: Any
    ) -> None:
        """What tcp.Server.__init__ does, but for the strings."""
        self.reactor = reactor
        self._hub = hub_of(reactor)
        self._tempDataBuffer = []
        self._tempDataLen = 0
        self.socket = sock
        sock.setblocking(False)
        self.fileno = sock.fileno
        self.protocol = protocol
        self._kind = protocol.__class__
        if len(client) != 2:
            self._addressType = IPv6Address
        self.server, self.client, self.sessionno = server, client, sessionno
        self.connected = 1
        self._start_plain()
        self._hub.addReader(self)

    def startTLS(self, ctx: Any, normal: bool = True) -> None:
        """See `ITLSTransport.startTLS`; the prefix stays that of the protocol inside."""
        self._logstr = self.logstr
        super().startTLS(ctx, normal)

    def _make_logstr(self) -> str:
        protocol = getattr(self, "protocol", None)
        name = self._kind.__name__ if protocol is None else self._getLogPrefix(protocol)
        return f"{name},{self.sessionno},{self.hostname}"


class FastClient(FastStream, tcp.Client):
    """`tcp.Client` on the hub, with the same arguments."""

    def __init__(self, host: str, port: int, bindAddress: Any, connector: Any, reactor: Any = None) -> None:
        self._hub = hub_of(reactor)
        self._start_plain()
        super().__init__(host, port, bindAddress, connector, reactor)
