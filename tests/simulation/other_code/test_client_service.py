"""ClientService, unmodified: through partitions, crashes and refusals, in virtual minutes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from twisted.application.internet import ClientService, backoffPolicy
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.internet.error import ConnectionRefusedError, TimeoutError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.protocols.basic import LineReceiver
from twisted.protocols.policies import TimeoutMixin
from zope.interface import implementer

from twistnet.simulation import BlackHole, Host, Network, Partition, Refuse

LINK = {"latency": 0.02, "jitter": 0.005, "loss": 0.02}
PING, PATIENCE = 5.0, 20.0


class Pinged(LineReceiver, TimeoutMixin):
    """Says something now and then, and gives a peer up that says nothing for too long."""

    transport: Any

    def __init__(self, speaks_first: bool) -> None:
        self.pings = LoopingCall(self.sendLine, b"ping")
        self.speaks_first = speaks_first
        self.heard: list[bytes] = []
        self.is_lost = False

    def connectionMade(self) -> None:
        self.setTimeout(PATIENCE)
        if self.speaks_first:
            self.pings.start(PING)

    def lineReceived(self, line: bytes) -> None:
        self.resetTimeout()
        self.heard.append(line)
        if line == b"ping":
            self.sendLine(b"pong")

    def timeoutConnection(self) -> None:
        self.transport.abortConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.is_lost = True
        self.setTimeout(None)
        if self.pings.running:
            self.pings.stop()


class Served(Factory):
    """Keeps what it has made."""

    def __init__(self) -> None:
        self.made: list[Pinged] = []

    def buildProtocol(self, addr: Any) -> Pinged:
        self.made.append(Pinged(speaks_first=False))
        return self.made[-1]


@implementer(IStreamClientEndpoint)
class Noting:
    """An endpoint that keeps the time of each attempt."""

    def __init__(self, endpoint: Any, clock: Host) -> None:
        self.endpoint = endpoint
        self.clock = clock
        self.attempts: list[float] = []

    def connect(self, protocolFactory: Any) -> Any:
        self.attempts.append(self.clock.seconds())
        return self.endpoint.connect(protocolFactory)


class Scene:
    """A server that starts again after a crash, and a client with its service.

    Attributes:
        endpoint: What the client connects with.
        connected: When the client was connected, in virtual seconds, each time.
    """

    def __init__(self, net: Network) -> None:
        self.net = net
        self.served: list[Served] = []
        self.connected: list[float] = []
        self.server = net.host("server", boot=self._boot)
        self.client = net.host("client")
        self.endpoint = Noting(HostnameEndpoint(self.client, "server", 7000, timeout=10), self.client)
        self.service = ClientService(
            self.endpoint,
            Factory.forProtocol(lambda: Pinged(speaks_first=True)),
            retryPolicy=backoffPolicy(initialDelay=1.0, maxDelay=30.0, factor=2.0, jitter=lambda: 0.25),
            clock=self.client,
            prepareConnection=lambda protocol: self.connected.append(net.clock.now),
        )

    def _boot(self, host: Host) -> None:
        self.served.append(Served())
        host.listenTCP(7000, self.served[-1])

    def start(self) -> Scene:
        self.service.startService()
        return self

    def protocol(self) -> Pinged:
        """The connection that there is, or the next one."""
        found: Any = self.net.run(self.service.whenConnected())
        assert isinstance(found, Pinged)
        return found

    def stop(self) -> None:
        self.net.run(self.service.stopService())


def test_it_stays_connected() -> None:
    """One connection carries pings for an hour over a link that loses packets."""
    with Network(seed=41, link=LINK) as net:
        scene = Scene(net).start()
        protocol = scene.protocol()
        net.advance(3600)
        assert len(scene.connected) == 1
        assert 700 <= protocol.heard.count(b"pong") <= 721
        scene.stop()
        net.settle()
        assert protocol.is_lost
        assert all(made.is_lost for made in scene.served[0].made)


def test_a_partition_of_ten_minutes() -> None:
    """Both ends notice, the client tries until it gets through, and stays connected."""
    with Network(seed=42, link=LINK) as net:
        scene = Scene(net).start()
        first = scene.protocol()
        net.advance(60)
        begun = net.clock.now
        with net.fault(Partition("server", "client")):
            net.advance(PATIENCE + PING)
            assert first.is_lost
            assert scene.served[0].made[0].is_lost
            waiting = net.start(scene.service.whenConnected())
            net.advance(600 - PATIENCE - PING)
            assert len(scene.connected) == 1
            assert not waiting.called
            assert 10 < len(scene.endpoint.attempts) < 30
        tried = len(scene.endpoint.attempts)
        second: Any = net.run(waiting)
        assert second is not first
        assert 600 < scene.connected[1] - begun < 645
        assert len(scene.endpoint.attempts) <= tried + 1
        net.advance(3600)
        assert len(scene.connected) == 2
        assert second.heard.count(b"pong") > 690
        scene.stop()


def test_a_partition_that_a_connection_survives() -> None:
    """One shorter than anybody's patience costs a delay, and no connection."""
    with Network(seed=43, link=LINK) as net:
        scene = Scene(net).start()
        first = scene.protocol()
        net.advance(60)
        with net.fault(Partition("server", "client")):
            net.advance(3)
        net.advance(120)
        assert scene.protocol() is first
        assert len(scene.connected) == 1
        scene.stop()


def test_a_crash() -> None:
    """A machine that is down for a minute refuses the old connection when it is up, and takes a new one."""
    with Network(seed=44, link=LINK) as net:
        scene = Scene(net).start()
        first = scene.protocol()
        net.advance(30)
        net.crash("server")
        net.advance(60)
        assert len(scene.connected) == 1
        net.restart("server")
        net.advance(45)
        assert len(scene.served) == 2
        assert len(scene.connected) == 2
        assert scene.protocol() is not first
        net.advance(600)
        assert len(scene.connected) == 2
        scene.stop()


def test_a_quick_restart() -> None:
    """A machine that is up again at once answers the next ping with a reset."""
    with Network(seed=45, link=LINK) as net:
        scene = Scene(net).start()
        first = scene.protocol()
        net.crash("server")
        net.restart("server")
        net.advance(PING + 1)
        assert first.is_lost
        net.advance(3)
        assert len(scene.connected) == 2
        scene.stop()


def test_the_pauses_of_its_policy() -> None:
    """A port that refuses is tried again after the pauses that the policy says, to the tick of the virtual clock."""
    with Network(seed=46, link={"latency": 0.0}) as net:
        refusing = net.host("refusing")
        client = net.host("client")
        endpoint = Noting(TCP4ClientEndpoint(client, refusing.addresses[0], 7000), client)
        service = ClientService(
            endpoint,
            Factory(),
            retryPolicy=backoffPolicy(initialDelay=1.0, maxDelay=10.0, factor=2.0, jitter=lambda: 0.0),
            clock=client,
        )
        service.startService()
        net.advance(50)
        pauses = [later - earlier for earlier, later in pairwise(endpoint.attempts)]
        assert pauses[:6] == [2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
        net.run(service.stopService())


@pytest.mark.parametrize(
    ("fault", "error"),
    [(Refuse("server", 7000), ConnectionRefusedError), (BlackHole("server", 7000), TimeoutError)],
    ids=["refused", "swallowed"],
)
def test_fail_after_failures(fault: Any, error: type[Exception]) -> None:
    """Who asks for a connection can be told after some failures, while the service goes on trying."""
    with Network(seed=47, link=LINK) as net:
        scene = Scene(net)
        with net.fault(fault):
            scene.start()
            with pytest.raises(error):
                net.run(scene.service.whenConnected(failAfterFailures=3))
            assert scene.connected == []
        assert not scene.protocol().is_lost
        assert len(scene.connected) == 1
        scene.stop()


def test_it_is_stopped_while_it_waits() -> None:
    """Stopping during a pause leaves nothing behind."""
    with Network(seed=48, link=LINK) as net:
        net.host("down")
        client = net.host("client")
        endpoint = HostnameEndpoint(client, "down", 7000)
        service = ClientService(endpoint, Factory(), retryPolicy=lambda attempts: 1000.0, clock=client)
        service.startService()
        net.advance(10)
        assert len(client.getDelayedCalls()) == 1
        net.run(service.stopService())
        assert client.getDelayedCalls() == []
        assert client.getReaders() == []
