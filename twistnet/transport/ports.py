"""Listening ports on the hub: Twisted's own, which accept in batches.

The rule of this module: a batch is bounded, and whatever goes wrong with `accept` is left to Twisted, which knows what to
do without file descriptors.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.python import log

from .connections import FastClient, FastServer
from .hub import hub_of
from .on_hub import OnHub

if TYPE_CHECKING:
    _Port = tcp.Port
else:
    _Port = object

__all__ = ["AcceptingOnHub", "FastConnector", "FastPort"]

ACCEPTS = 100
"""Connections accepted in a turn; the rest wait for the next."""


class AcceptingOnHub(OnHub, _Port):
    """Mixed in before a listening port of Twisted's.

    Attributes:
        port_number: Where it listens, or last did.
    """

    port_number: int | None = None

    def startListening(self) -> None:
        """See `IListeningPort.startListening`."""
        self._hub = hub_of(self.reactor)
        super().startListening()
        self.port_number = self._realPortNumber

    def doRead(self) -> None:
        """Accept what waits; see `IReadDescriptor`."""
        before, most = self.sessionno, self.numberAccepts
        try:
            self._accept_batch(most)
        except BaseException:
            log.deferr()
        accepted = (
            self.sessionno - before
        )  # as many the next time, so as not to ask in vain; more if there may be more
        self.numberAccepts = min(ACCEPTS, 2 * most) if accepted >= most else max(1, accepted)

    def _accept_batch(self, most: int) -> None:
        listening: Any = self.socket
        accept = listening._accept
        family, kind = self.addressFamily, self.socketType
        for _ in range(most):
            try:
                number, address = accept()
            except BlockingIOError:
                return
            except OSError:
                super().doRead()
                return
            self._connected(socket.socket(family, kind, 0, number), address)

    def _connected(self, accepted: socket.socket, address: Any) -> None:
        if self.addressFamily == socket.AF_INET6 and address[3]:
            address = tcp._getrealname(address)  # with the name of the scope
        try:
            protocol = self.factory.buildProtocol(self._buildAddr(address))  # type: ignore[union-attr]
        except BaseException:
            accepted.close()
            raise
        if protocol is None:
            accepted.close()
            return
        number = self.sessionno
        self.sessionno = number + 1
        transport: Any = self.transport(accepted, protocol, address, self, number, self.reactor)
        protocol.makeConnection(transport)


class FastPort(AcceptingOnHub, tcp.Port):
    """`tcp.Port` on the hub, with the same arguments."""

    transport = FastServer


class FastConnector(tcp.Connector):
    """`tcp.Connector` on the hub, with the same arguments."""

    def _makeTransport(self) -> FastClient:
        return FastClient(self.host, self.port, self.bindAddress, self, self.reactor)
