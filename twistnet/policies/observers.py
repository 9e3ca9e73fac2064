"""What is done about every connection that a service accepts: it is known, it is set up, and its end is told.

The rule of this module: an observer never changes what a connection says; it notes, sets socket options, or ends it.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ITCPTransport
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..addresses import show_address
from ..config import ConnectionConfig
from .guarded_connection import GuardedConnection

__all__ = ["AccessLog", "OpenConnections", "SocketOptions"]

_log = Logger("twistnet.access")


class OpenConnections:
    """The connections that are open."""

    def __init__(self) -> None:
        self._open: dict[GuardedConnection, None] = {}
        self._waiting: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: GuardedConnection) -> None:
        """See `ConnectionObserver.opened`."""
        self._open[connection] = None

    def closed(self, connection: GuardedConnection, reason: Failure) -> None:
        """See `ConnectionObserver.closed`."""
        self._open.pop(connection, None)
        if not self._open:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

    def when_none(self) -> Deferred[None]:
        """Fires with `None` once no connection is open."""
        if not self._open:
            return succeed(None)
        deferred: Deferred[None] = Deferred(self._waiting.remove)
        self._waiting.append(deferred)
        return deferred

    def finish(self) -> None:
        """Half-close every connection: say that nothing more is sent, and go on reading."""
        for connection in list(self._open):
            connection.finish()

    def abort(self) -> None:
        """End every connection now."""
        for connection in list(self._open):
            connection.abort()


class SocketOptions:
    """Sets the socket options that a configuration asks for."""

    def __init__(self, config: ConnectionConfig) -> None:
        self._config = config

    def opened(self, connection: GuardedConnection) -> None:
        """See `ConnectionObserver.opened`. What is not TCP has no such options."""
        transport = connection.transport
        if ITCPTransport.providedBy(transport) and hasattr(transport, "setTcpNoDelay"):
            if self._config.no_delay:
                transport.setTcpNoDelay(True)
            if self._config.keepalive:
                transport.setTcpKeepAlive(True)

    def closed(self, connection: GuardedConnection, reason: Failure) -> None:
        """See `ConnectionObserver.closed`."""


class AccessLog:
    """One line for each connection opened and closed; or, when it is off, only for those that end badly.

    Args:
        service: The name at the beginning of each line.
        every: Whether connections that end well are told of too.
    """

    def __init__(self, service: str, *, every: bool) -> None:
        self._service = service
        self._every = every

    def opened(self, connection: GuardedConnection) -> None:
        """See `ConnectionObserver.opened`."""
        if self._every:
            _log.info("{service}: {peer} opened", service=self._service, peer=show_address(connection.peer))

    def closed(self, connection: GuardedConnection, reason: Failure) -> None:
        """See `ConnectionObserver.closed`."""
        if self._every or not (
            connection.ended_by or connection.was_aborted or reason.check(ConnectionDone, ConnectionAborted)
        ):
            _log.info(
                "{service}: {peer} closed after {seconds:.3f} s, {octets_in} octets in, {octets_out} out: {reason}",
                service=self._service,
                peer=show_address(connection.peer),
                seconds=connection.seconds,
                octets_in=connection.octets_in,
                octets_out=connection.octets_out,
                reason=_reason(connection, reason),
            )


def _reason(connection: GuardedConnection, reason: Failure) -> str:
    """Why a connection ended, in a few words of one line."""
    if (violation := connection.ended_by) is not None:
        return f"ended by a policy: {violation}"
    if connection.was_aborted:
        return "aborted by the service"
    if reason.check(ConnectionDone):
        return "closed by the service" if connection.closing else "closed by the peer"
    if reason.type is ConnectionLost:
        return "lost: the peer reset the connection, or vanished"
    return "lost: " + " ".join(reason.getErrorMessage().split())
