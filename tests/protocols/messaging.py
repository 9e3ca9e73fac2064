"""Both sides of messages on a simulated network, and handlers that do what a value tells them to."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import deferLater

from tests.peers import Peer, connect
from twistnet.config import ConnectionConfig
from twistnet.errors import MessageError
from twistnet.policies.guarded_factory import guard
from twistnet.protocols.message_client import MessageClient
from twistnet.protocols.messages import MessageFactory
from twistnet.simulation import Host, Network

PORT = 7013


class Told:
    """A handler that is told by the value what to do: a number of seconds to take, a word, or else to echo.

    Attributes:
        under_way: How many are under way, and
        most: how many there ever were at once.
        cancelled: How many were cancelled.
    """

    def __init__(self, clock: Any) -> None:
        self._clock = clock
        self.under_way = self.most = self.cancelled = self.asked = 0

    def __call__(self, value: Any) -> Any:
        self.asked += 1
        if type(value) is float:
            return self._sleep(value)
        if value == "raise":
            raise ZeroDivisionError("a secret of the service")
        if value == "refuse":
            raise MessageError("no-such-user", "nobody\nis called that")
        if value == "unsayable":
            raise MessageError("x", "\ud800")
        if value == "for ever":
            return Deferred()
        return object() if value == "object" else value

    async def _sleep(self, seconds: float) -> float:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await deferLater(self._clock, seconds, lambda: None)
        except BaseException:
            self.cancelled += 1
            raise
        finally:
            self.under_way -= 1
        return seconds


def serve(network: Network, *, framing: str = "lines", allowed: Any = None, **limits: Any) -> Told:
    """Messages on a host called server; its handler."""
    server = network.host("server")
    told = Told(server)
    factory: Any = MessageFactory(told, framing, server, **limits)
    factory = guard(factory, ConnectionConfig(**(allowed or {})), clock=server)
    server.listenTCP(PORT, factory)
    return told


def dial(network: Network, **more: Any) -> Peer:
    """A plain peer of it."""
    return connect(network, network.host("client"), "server", PORT, **more)


def client_of(
    network: Network, framing: str = "lines", host: Host | None = None, **limits: Any
) -> MessageClient:
    """A client of it."""
    host = host or network.host("asking")
    client: MessageClient = network.run(
        connectProtocol(HostnameEndpoint(host, "server", PORT), MessageClient(framing, host, **limits))
    )
    return client
