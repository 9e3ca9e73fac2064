"""The fast transports over simulated sockets.

The rule of this module: the code under test is the one that runs over real sockets. What a simulated kernel has no system
call for is replaced: the number that accept(2) returns, and batches of datagrams, for which plain calls are made.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp, unix
from zope.interface import implementedBy, implementer_only

from twistnet.simulation import network, transports
from twistnet.simulation.transports import _Facade, _with
from twistnet.transport import connections, datagrams, ports, unix_datagrams, unix_streams
from twistnet.transport.datagram_ports import BatchedReading
from twistnet.transport.socket_addresses import INET_SIZE, unpack_inet, unpack_inet6

from .simulated_hub import FastHost

__all__ = ["use_fast_transports"]


class _Accepting(ports.AcceptingOnHub):
    """A port that accepts simulated sockets, and closes one of which `buildProtocol` has made nothing."""

    def _accept_batch(self, most: int) -> None:
        listening: Any = self.socket
        last: list[Any] = []

        def accept() -> tuple[Any, Any]:
            accepted: tuple[Any, Any] = listening.accept()
            last[:] = accepted[0], self.sessionno
            return accepted

        listening._accept = accept
        try:
            itself = _Facade(socket, socket=lambda family, kind, proto, accepted: accepted)
            _with(ports.AcceptingOnHub._accept_batch, socket=itself)(self, most)
        finally:
            del listening._accept
            if last and last[1] == self.sessionno:
                last[0].close()


class TcpPort(_Accepting, ports.FastPort, transports.TcpPort):
    """A fast TCP port over a simulated socket."""


class TcpClient(connections.FastClient, transports.TcpClient):
    """A fast TCP client over a simulated socket."""


class TcpConnector(tcp.Connector):
    """Makes such clients."""

    def _makeTransport(self) -> Any:
        return TcpClient(self.host, self.port, self.bindAddress, self, self.reactor)


class UnixPort(_Accepting, unix_streams.FastUNIXPort, transports.UnixPort):
    """A fast UNIX port over a simulated socket."""


class UnixClient(unix_streams.FastUNIXClient, transports.UnixClient):
    """A fast UNIX client over a simulated socket."""


class UnixConnector(unix.Connector):
    """Makes such clients."""

    def _makeTransport(self) -> Any:
        return UnixClient(self.address, self, self.reactor, self.checkPID)


class _OneByOne(BatchedReading):
    """A datagram port whose batches are read and sent by plain calls."""

    def _bindSocket(self) -> None:
        super()._bindSocket()
        self._receive, self._sender = self._receive_one_by_one, lambda address: address


class _Udp(_OneByOne, datagrams.FastDatagramPort):
    """A UDP port."""

    def _open(self) -> None:
        _with(datagrams.FastDatagramPort._open, receive_vector=lambda *_: None)(self)

    def _send_all(self, held: list[bytes], names: list[bytes]) -> list[OSError]:
        errors: list[OSError] = []
        for datagram, name in zip(held, names, strict=True):
            try:
                self._send_to(datagram, name)
            except OSError as error:
                errors.append(error)
        self._counters.sent += len(held) - len(errors)
        return errors

    def _send_to(self, datagram: bytes, name: bytes) -> None:
        if not name:
            self.socket.send(datagram)
        else:
            unpack: Any = unpack_inet if len(name) == INET_SIZE else unpack_inet6
            self.socket.sendto(datagram, unpack(name))


class UdpPort(_Udp, transports.UdpPort):
    """A fast UDP port over a simulated socket."""


class UdpMulticastPort(_Udp, datagrams.FastMulticastPort, transports.UdpMulticastPort):
    """A fast UDP port that can join groups, over a simulated socket."""


class _UnixDatagrams(_OneByOne, unix_datagrams.FastUNIXDatagramPort):
    """A UNIX datagram port."""

    def _open(self) -> None:
        _with(unix_datagrams.FastUNIXDatagramPort._open, receive_vector=lambda *_, **__: None)(self)


class UnixDatagramPort(_UnixDatagrams, transports.UnixDatagramPort):
    """A fast UNIX datagram port over a simulated socket."""


@implementer_only(implementedBy(unix_datagrams.FastConnectedUNIXDatagramPort))
class UnixConnectedDatagramPort(
    _UnixDatagrams, unix_datagrams.FastConnectedUNIXDatagramPort, transports.UnixConnectedDatagramPort
):
    """A fast connected UNIX datagram port over a simulated socket."""


_LENT = (
    TcpPort,
    TcpConnector,
    UnixPort,
    UnixConnector,
    UdpPort,
    UdpMulticastPort,
    UnixDatagramPort,
    UnixConnectedDatagramPort,
)


def use_fast_transports(replace: Callable[[Any, str, Any], object] = setattr) -> None:
    """Have every simulated host that is made from now on make fast transports.

    Args:
        replace: How to; it may note what was there before.
    """
    for transport in _LENT:
        replace(transports, transport.__name__, transport)
    adopt = _with(
        transports.adopt_connection,
        tcp=_Facade(tcp, Server=connections.FastServer),
        unix=_Facade(unix, Server=unix_streams.FastUNIXServer),
    )
    replace(transports, "adopt_connection", adopt)
    replace(network, "Host", FastHost)
