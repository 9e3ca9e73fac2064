"""`ListeningService`, over a reactor in memory, and over real loopback."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import CannotListenError, ConnectionDone, ConnectionRefusedError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from zope.interface import implementer

from tests.logged import LoggedCase
from twistnet import (
    ConfigurationError,
    ConnectionConfig,
    EchoDatagramProtocol,
    EchoFactory,
    ListeningError,
    ListeningService,
)
from twistnet.services.listeners import Listener


@implementer(IListeningPort)
class Port:
    """A listening port in memory."""

    def __init__(self, endpoint: Endpoint, factory: Any) -> None:
        self.endpoint = endpoint
        self.factory = factory

    def startListening(self) -> None:
        """It does already."""

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", 7007)

    def stopListening(self) -> Deferred[None]:
        self.endpoint.ports.remove(self)
        return succeed(None)

    def accept(self) -> Any:
        """A connection: the protocol on its transport."""
        protocol = self.factory.buildProtocol(IPv4Address("TCP", "192.0.2.7", 40000))
        protocol.makeConnection(StringTransport())
        return protocol


class Endpoint:
    """A stream endpoint in memory."""

    def __init__(self) -> None:
        self.ports: list[Port] = []
        self.result: Deferred[Any] | None = None

    def listen(self, factory: Any) -> Deferred[Any]:
        if self.result is not None:
            return self.result
        self.ports.append(Port(self, factory))
        return succeed(self.ports[-1])


class ListeningTests(LoggedCase):
    """Starting, stopping, draining."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactorClock()

    def service(self, *endpoints: Endpoint, **settings: Any) -> ListeningService:
        """A service that listens on endpoints in memory."""
        listen = [f"tcp:{7007 + n}" for n in range(len(endpoints))]
        service = ListeningService(
            self.reactor, "echo", listen, stream=EchoFactory(), connections=ConnectionConfig(**settings)
        )
        service._listeners = [
            Listener(old.text, old.description, endpoint, answers_datagrams=False)
            for old, endpoint in zip(service._listeners, endpoints, strict=True)
        ]
        return service

    def test_starts_stops_and_starts_again(self) -> None:
        """Listening each time, which a plain `StreamServerEndpointService` does not (ticket 5071)."""
        endpoint = Endpoint()
        service = self.service(endpoint)
        for _ in range(3):
            service.privilegedStartService()
            service.startService()
            self.assertEqual(len(endpoint.ports), 1)
            self.successResultOf(service.stopService())
            self.assertEqual(endpoint.ports, [])
        self.assertEqual(self.lines, ["echo serves on tcp 127.0.0.1:7007"] * 3)

    def test_waits_for_connections_then_aborts_them(self) -> None:
        """For `graceful_timeout`, and the listeners are closed first."""
        endpoint = Endpoint()
        service = self.service(endpoint, graceful_timeout=7)
        service.startService()
        first, second = endpoint.ports[0].accept(), endpoint.ports[0].accept()
        stopped = service.stopService()
        self.assertEqual(endpoint.ports, [])
        self.assertIn("echo waits up to 7 s for 2 open connections", self.lines)
        first.connectionLost(Failure(ConnectionDone()))
        self.reactor.advance(6.9)
        self.assertFalse(second.transport.disconnecting)
        self.reactor.advance(0.2)
        self.assertTrue(second.transport.disconnecting)
        self.assertNoResult(stopped)
        second.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_is_done_when_the_last_connection_is(self) -> None:
        """And leaves no timer."""
        endpoint = Endpoint()
        service = self.service(endpoint)
        service.startService()
        connection = endpoint.ports[0].accept()
        stopped = service.stopService()
        connection.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopped)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_abort_ends_a_stop_early(self) -> None:
        """What a second signal does."""
        endpoint = Endpoint()
        service = self.service(endpoint)
        service.startService()
        connection = endpoint.ports[0].accept()
        service.stopService()
        service.abort()
        self.assertTrue(connection.transport.disconnecting)

    def test_a_start_during_a_drain_does_not_lose_the_new_connections(self) -> None:
        """The drain is over when the old ones are; the new ones live."""
        endpoint = Endpoint()
        service = self.service(endpoint, graceful_timeout=1)
        service.startService()
        old = endpoint.ports[0].accept()
        stopped = service.stopService()
        service.startService()
        new = endpoint.ports[0].accept()
        self.reactor.advance(1)
        self.assertTrue(old.transport.disconnecting)
        self.assertFalse(new.transport.disconnecting)
        old.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopped)
        self.assertEqual(len(service.open), 1)

    def test_all_listeners_or_none(self) -> None:
        """When one will not open, those before it are closed, and the error says which it was."""
        first, second = Endpoint(), Endpoint()
        taken = OSError(errno.EADDRINUSE, "Address already in use")
        second.result = fail(CannotListenError("127.0.0.1", 7008, taken))
        service = self.service(first, second)
        error = self.assertRaises(ListeningError, service.startService)
        self.assertEqual(
            str(error),
            "echo: cannot listen on tcp:7008: address already in use (something else listens there; stop it, or "
            "choose another)",
        )
        self.assertEqual(first.ports, [])
        second.result = None
        service.startService()
        self.assertEqual((len(first.ports), len(second.ports)), (1, 1))

    def test_an_endpoint_that_takes_its_time(self) -> None:
        """Its port is closed with the others; its failure is one line."""
        late, failing = Endpoint(), Endpoint()
        late.result, failing.result = Deferred(), Deferred()
        service = self.service(late, failing)
        service.startService()
        self.assertEqual(service.ports, [])
        late.ports.append(Port(late, None))
        late.result.callback(late.ports[0])
        self.assertEqual(len(service.ports), 1)
        failing.result.errback(OSError(errno.EACCES, "Permission denied"))
        self.assertIn("echo: cannot listen on tcp:7008: permission denied", self.lines[-1])
        self.successResultOf(service.stopService())
        self.assertEqual(late.ports, [])

    def test_an_endpoint_that_is_still_busy_at_the_stop_is_cancelled(self) -> None:
        """Nothing opens after a stop."""
        cancelled: list[Any] = []
        late = Endpoint()
        late.result = Deferred(cancelled.append)
        service = self.service(late)
        service.startService()
        self.successResultOf(service.stopService())
        self.assertEqual(len(cancelled), 1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_streams_and_datagrams_are_told_apart(self) -> None:
        """A string for what the service does not answer is refused when the service is made."""
        with self.assertRaises(ConfigurationError) as caught:
            ListeningService(self.reactor, "echo", ["tcp:1", "udp:2"], stream=EchoFactory())
        self.assertIn(
            "listen[1]: 'udp:2' is for datagrams, and echo answers streams only", str(caught.exception)
        )
        with self.assertRaises(ConfigurationError) as caught:
            ListeningService(self.reactor, "dg", ["tcp:1"], datagram=EchoDatagramProtocol)
        self.assertIn("'tcp:1' is for streams, and dg answers datagrams only", str(caught.exception))
        wrong: tuple[Any, ...] = ([], "tcp:1")
        for listen in wrong:
            with self.assertRaises(ConfigurationError):
                ListeningService(self.reactor, "x", listen, stream=EchoFactory())


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_a_stop_accepts_what_the_kernel_has_accepted() -> None:
    """A peer whose connection was waiting for this process is served, not reset."""
    from twisted.internet import reactor

    service = ListeningService(reactor, "echo", ["tcp:0"], stream=EchoFactory())
    service.startService()
    address: Any = service.ports[0].getHost()
    clients = [socket.create_connection(("127.0.0.1", address.port), 10) for _ in range(300)]
    for client in clients:
        client.sendall(b"x")
    stopped = service.stopService()
    assert len(service.open) == len(clients)
    answers = await deferToThread(lambda: {client.recv(1) for client in clients}).addTimeout(20, reactor)
    assert answers == {b"x"}
    for client in clients:
        client.close()
    await stopped.addTimeout(20, reactor)


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_a_restart_within_one_turn_has_its_port_again() -> None:
    """However often, and without waiting for the stops."""
    from twisted.internet import reactor

    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listen = [f"tcp:{port}", f"udp:{port}"]
    service = ListeningService(reactor, "echo", listen, stream=EchoFactory(), datagram=EchoDatagramProtocol)
    service.startService()
    stops = []
    for _ in range(3):
        stops.append(service.stopService())
        service.startService()
    for stop in stops:
        await stop.addTimeout(10, reactor)
    assert sorted(type(p.getHost()).__name__ for p in service.ports) == ["IPv4Address", "IPv4Address"]
    client = await _connect(reactor, service.ports[0])
    assert client.transport is not None
    client.transport.loseConnection()
    await service.stopService().addTimeout(10, reactor)
    assert service.ports == []


async def _connect(reactor: Any, port: Any) -> Protocol:
    protocol = Protocol()
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
    await endpoint.connect(Factory.forProtocol(lambda: protocol)).addTimeout(10, reactor)
    return protocol


@pytest_twisted.ensureDeferred  # type: ignore[untyped-decorator]
async def test_a_real_drain_with_a_real_connection() -> None:
    """Closed to new peers at once; the old one may finish."""
    from twisted.internet import reactor

    service = ListeningService(
        reactor, "echo", ["tcp:0", "udp:0"], stream=EchoFactory(), datagram=EchoDatagramProtocol
    )
    service.startService()
    port = service.ports[0]
    client = await _connect(reactor, port)
    answered: Deferred[bytes] = Deferred()
    client.dataReceived = answered.callback  # type: ignore[method-assign,assignment]
    assert client.transport is not None
    client.transport.write(b"hello")
    assert await answered.addTimeout(10, reactor) == b"hello"
    stopped = service.stopService()
    with pytest.raises(ConnectionRefusedError):
        await _connect(reactor, port)
    assert not stopped.called
    client.transport.loseConnection()
    await stopped.addTimeout(10, reactor)
    assert len(service.open) == 0
