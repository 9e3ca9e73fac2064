"""Guarded services on a simulated network, and protocols that remember what happened to them.

The rule of this module: what a protocol does at each event is a function that the test hands in; nothing else is decided here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    SSL4ServerEndpoint,
    TCP4ServerEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from tests.peers import Peer
from tests.simulation.other_code.certificates import certificate, trust_root
from twistnet import ConnectionConfig, PolicyCounters, guard
from twistnet.endpoints.guarded import listen_guarded
from twistnet.policies.guarded_factory import GuardedFactory
from twistnet.simulation import Host, Network

__all__ = ["PORT", "Done", "Served", "Told", "connect_tls", "settings", "start"]

PORT = 7
Done = Callable[["Told"], object]


class Told(Protocol):
    """Remembers its events, and does at each what it was told to do.

    Attributes:
        events: The names of what happened, with the data that came between them in one piece.
    """

    transport: Any

    def __init__(
        self,
        made: Done | None = None,
        received: Callable[[Told, bytes], object] | None = None,
        finished: Done | None = None,
        lost: Done | None = None,
    ) -> None:
        self._made, self._received, self._finished, self._lost = made, received, finished, lost
        self.events: list[Any] = []
        if finished is not None:
            alsoProvides(self, IHalfCloseableProtocol)

    @property
    def data(self) -> bytes:
        """All that was received."""
        return b"".join(event for event in self.events if isinstance(event, bytes | bytearray))

    @property
    def is_lost(self) -> bool:
        """Whether it has heard of the end."""
        return bool(self.events) and isinstance(self.events[-1], type)

    def connectionMade(self) -> None:
        self.events.append("made")
        if self._made is not None:
            self._made(self)

    def dataReceived(self, data: bytes) -> None:
        if isinstance(self.events[-1], bytearray):
            self.events[-1] += data
        else:
            self.events.append(bytearray(data))
        if self._received is not None:
            self._received(self, data)

    def readConnectionLost(self) -> None:
        """The peer has finished."""
        self.events.append("finished")
        if self._finished is not None:
            self._finished(self)

    def writeConnectionLost(self) -> None:
        """This side has."""
        self.events.append("half-closed")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.events.append(reason.type)
        if self._lost is not None:
            self._lost(self)


class Served:
    """What a test looks at of a service.

    Attributes:
        server: Its host.
        factory: What listens.
        made: The protocols that were built, the first first.
        counters: What its policies have decided.
    """

    def __init__(self, server: Host, build: Callable[[], Any], *configs: ConnectionConfig) -> None:
        self.server = server
        self.made: list[Any] = []
        self.counters = PolicyCounters()
        self.factory: Any = _Building(build, self.made)
        for config in configs:
            self.factory = guard(self.factory, config, clock=server, name="test", counters=self.counters)

    def listen(self, *, tls: bool = False) -> Any:
        """Listen on `PORT`, perhaps over TLS; a Deferred of the port."""
        endpoint: Any = TCP4ServerEndpoint(self.server, PORT)
        if tls:
            endpoint = SSL4ServerEndpoint(self.server, PORT, certificate("server").options())
        if isinstance(self.factory, GuardedFactory):
            return listen_guarded(self.server, endpoint, self.factory)
        return endpoint.listen(self.factory)

    @property
    def slots(self) -> int:
        """Connections that hold a slot."""
        return int(self.factory.gate.slots.open)

    def assert_at_rest(self) -> None:
        """Nothing is held any more: no connection, no slot, no source, no timer."""
        factory = self.factory
        while isinstance(factory, GuardedFactory):
            assert (len(factory.open), factory.gate.slots.open, factory.reception.waiting) == (0, 0, 0)
            assert factory.gate.config.accept_rate is not None or factory.gate.sources == 0
            factory = factory.inner
        assert self.server.getDelayedCalls() == []


class _Building(Factory):
    noisy = False

    def __init__(self, build: Callable[[], Any], made: list[Any]) -> None:
        self._build = build
        self._made = made

    def buildProtocol(self, addr: Any) -> Any:
        protocol = self._build()
        if protocol is not None:
            self._made.append(protocol)
        return protocol


def settings(**values: Any) -> ConnectionConfig:
    """A configuration."""
    return ConnectionConfig(**values)


def start(network: Network, build: Callable[[], Any], *, tls: bool = False, **values: Any) -> Served:
    """A guarded service on the host `server`; without any settings it is a bare one."""
    served = Served(network.host("server"), build, *([settings(**values)] if values else []))
    network.run(served.listen(tls=tls))
    return served


def connect_tls(network: Network, client: Host, *, reads: bool = True) -> Peer:
    """A peer of a service that speaks TLS."""
    endpoint = wrapClientTLS(_trusting(), HostnameEndpoint(client, "server", PORT))
    connected: Deferred[Peer] = connectProtocol(endpoint, Peer(reads=reads))
    return network.run(connected)


def _trusting() -> Any:
    from twisted.internet.ssl import optionsForClientTLS

    return optionsForClientTLS("server", trust_root())
