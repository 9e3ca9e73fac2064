"""`ListeningService` on a simulated network: it starts, stops and drains in virtual time, whatever happens on the way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone, ConnectionLost, ConnectionRefusedError, TimeoutError

from tests.peers import Peer, connect, datagram_peer
from twistnet import (
    ConfigurationError,
    ConnectionConfig,
    EchoDatagramProtocol,
    EchoFactory,
    ListeningError,
    ListeningService,
    UpperFactory,
)
from twistnet.simulation import BlackHole, Host, Network

PORT = 7007
EVERYWHERE = "interface=0.0.0.0"


def make(reactor: Any, *listen: str, **settings: Any) -> ListeningService:
    """An echo service, on one TCP port of every address unless it is told otherwise."""
    return ListeningService(
        reactor,
        "echo",
        listen or [f"tcp:{PORT}:{EVERYWHERE}"],
        stream=EchoFactory(),
        datagram=EchoDatagramProtocol,
        connections=ConnectionConfig(**settings),
    )


@pytest.fixture
def server(network: Network) -> Host:
    """Where the service runs."""
    return network.host("server")


@pytest.fixture
def client(network: Network, server: Host) -> Host:
    """Another host."""
    return network.host("client")


def talking(network: Network, client: Host, words: bytes = b"hello") -> Peer:
    """A peer that has been answered."""
    peer = connect(network, client, "server", PORT)
    ask(network, peer, words)
    return peer


def ask(network: Network, peer: Peer, words: bytes) -> None:
    """A peer is answered."""
    before = peer.received
    peer.say(words)
    network.settle()
    assert peer.received == before + words


def is_refused(network: Network, client: Host) -> bool:
    """Whether nothing listens any more."""
    with pytest.raises(ConnectionRefusedError):
        connect(network, client, "server", PORT)
    return True


# Starting


def test_starts_stops_and_starts_again(
    network: Network, client: Host, server: Host, lines: list[str]
) -> None:
    """Listening each time, which a plain `StreamServerEndpointService` does not (ticket 5071)."""
    service = make(server)
    for _ in range(3):
        service.privilegedStartService()
        service.startService()
        peer = talking(network, client)
        peer.transport.loseConnection()
        network.settle()
        network.run(service.stopService())
        assert is_refused(network, client)
    assert lines == [f"echo serves on tcp 0.0.0.0:{PORT}"] * 3


def test_all_listeners_or_none(network: Network, client: Host, server: Host) -> None:
    """When one will not open, those before it are closed, and the error says which it was, and what to do."""
    taken = make(server, "tcp:7008")
    taken.startService()
    service = make(server, f"tcp:{PORT}:{EVERYWHERE}", "tcp:7008")
    with pytest.raises(ListeningError) as caught:
        service.startService()
    assert str(caught.value) == (
        "echo: cannot listen on tcp:7008: address already in use (something else listens there; stop it, or choose another)"
    )
    assert is_refused(network, client)
    network.run(taken.stopService())
    service.startService()
    assert len(service.ports) == 2
    talking(network, client)


def test_an_address_of_another_machine(server: Host, client: Host) -> None:
    """Cannot be listened on, and the error says so."""
    with pytest.raises(ListeningError, match="no interface of this machine has that address"):
        make(server, f"tcp:7007:interface={client.addresses[0]}").startService()


@define
class Late:
    """An endpoint that takes its time."""

    endpoint: Any
    ready: Deferred[None] = field(factory=Deferred)

    def listen(self, factory: Any) -> Deferred[Any]:
        """Listen once it is ready."""
        return self.ready.addCallback(lambda _: self.endpoint.listen(factory))


def delay(service: ListeningService, canceller: Callable[..., None] | None = None) -> list[Late]:
    """Have each endpoint of a service take its time."""
    late = [Late(listener.endpoint, Deferred(canceller)) for listener in service._listeners]
    service._listeners = [evolve(old, endpoint=e) for old, e in zip(service._listeners, late, strict=True)]
    return late


def test_an_endpoint_that_takes_its_time(
    network: Network, client: Host, server: Host, lines: list[str]
) -> None:
    """Its port is closed with the others; its failure is one line."""
    make(server, "tcp:7008").startService()
    service = make(server, f"tcp:{PORT}:{EVERYWHERE}", "tcp:7008")
    late, failing = delay(service)
    service.startService()
    assert service.ports == []
    assert is_refused(network, client)
    late.ready.callback(None)
    assert len(service.ports) == 1
    talking(network, client).transport.loseConnection()
    failing.ready.callback(None)
    assert "echo: cannot listen on tcp:7008: address already in use" in lines[-1]
    network.run(service.stopService())
    assert is_refused(network, client)


def test_an_endpoint_that_is_still_busy_at_the_stop_is_cancelled(network: Network, server: Host) -> None:
    """Nothing opens after a stop, and nothing is logged."""
    cancelled: list[Any] = []
    service = make(server)
    delay(service, cancelled.append)
    service.startService()
    network.run(service.stopService())
    assert len(cancelled) == 1
    assert server.getReaders() == []


def test_streams_and_datagrams_are_told_apart(server: Host) -> None:
    """A string for what the service does not answer is refused when the service is made."""
    with pytest.raises(ConfigurationError) as caught:
        ListeningService(server, "echo", ["tcp:1", "udp:2"], stream=EchoFactory())
    assert "listen[1]: 'udp:2' is for datagrams, and echo answers streams only" in str(caught.value)
    with pytest.raises(ConfigurationError) as caught:
        ListeningService(server, "dg", ["tcp:1"], datagram=EchoDatagramProtocol)
    assert "'tcp:1' is for streams, and dg answers datagrams only" in str(caught.value)
    wrong: tuple[Any, ...] = ([], "tcp:1")
    for listen in wrong:
        with pytest.raises(ConfigurationError):
            ListeningService(server, "x", listen, stream=EchoFactory())


# Stopping


def test_waits_for_connections_then_aborts_them(
    network: Network, client: Host, server: Host, lines: list[str]
) -> None:
    """For `graceful_timeout`, and the listeners are closed first."""
    service = make(server, graceful_timeout=7)
    service.startService()
    first, second = talking(network, client), talking(network, client)
    stopped, begun = network.start(service.stopService()), network.clock.now
    assert is_refused(network, client)
    assert "echo waits up to 7 s for 2 open connections" in lines
    first.transport.loseConnection()
    network.advance(begun + 5.9 - network.clock.now)
    ask(network, second, b"still served")
    assert not stopped.called
    network.run(stopped)
    assert network.clock.now == pytest.approx(begun + 7)
    assert second.ended.called, "it was told before, by a half-close"
    assert len(service.open) == 0
    assert "echo aborts 1 connections" in lines
    assert server.getReaders() == []


def test_is_done_when_the_last_connection_is(network: Network, client: Host, server: Host) -> None:
    """At once, and with no timer left."""
    service = make(server, graceful_timeout=3600)
    service.startService()
    peer = talking(network, client)
    stopped, begun = network.start(service.stopService()), network.clock.now
    network.advance(1800)
    ask(network, peer, b"half an hour later")
    assert not stopped.called
    peer.say(b"last words", finish=True)
    assert network.run(peer.ended) == b"hellohalf an hour laterlast words"
    network.run(stopped)
    assert network.clock.now - begun == pytest.approx(1800, abs=0.1)
    assert server.getDelayedCalls() == []


def test_abort_ends_a_stop_early(network: Network, client: Host, server: Host) -> None:
    """What a second signal does."""
    service = make(server, graceful_timeout=3600)
    service.startService()
    peer = talking(network, client)
    stopped, begun = network.start(service.stopService()), network.clock.now
    network.advance(1)
    service.abort()
    network.run(stopped)
    assert network.clock.now == pytest.approx(begun + 1)
    assert network.run(peer.lost) is ConnectionLost


def test_a_start_during_a_drain_does_not_lose_the_new_connections(
    network: Network, client: Host, server: Host
) -> None:
    """The drain is over when the old ones are; the new ones live."""
    service = make(server, graceful_timeout=1)
    service.startService()
    old = talking(network, client)
    stopped = network.start(service.stopService())
    service.startService()
    network.settle()
    new = talking(network, client)
    network.run(stopped)
    assert old.ended.called
    ask(network, new, b"lives")
    assert len(service.open) == 1


def test_a_stop_accepts_what_the_kernel_has_accepted(network: Network, client: Host, server: Host) -> None:
    """A peer whose connection was waiting for this process is served, not reset."""
    service = make(server, backlog=400)
    service.startService()
    service.ports[0].stopReading()  # type: ignore[attr-defined]
    peers = [connect(network, client, "server", PORT) for _ in range(300)]
    for peer in peers:
        peer.say(b"x", finish=True)
    network.settle()
    assert len(service.open) == 0
    stopped = service.stopService()
    assert len(service.open) == len(peers)
    assert {network.run(peer.ended) for peer in peers} == {b"x"}
    network.run(stopped)
    for peer in peers:
        peer.transport.loseConnection()
    assert {network.run(peer.lost) for peer in peers} == {ConnectionDone}


def test_a_restart_within_one_turn_has_its_port_again(network: Network, client: Host, server: Host) -> None:
    """However often, and without waiting for the stops."""
    service = make(server, f"tcp:{PORT}:{EVERYWHERE}", f"udp:{PORT}:{EVERYWHERE}")
    service.startService()
    stops = []
    for _ in range(3):
        stops.append(service.stopService())
        service.startService()
    for stop in stops:
        network.run(stop)
    assert sorted(type(p.getHost()).__name__ for p in service.ports) == ["IPv4Address", "IPv4Address"]
    peer = talking(network, client)
    datagrams = datagram_peer(client, server, PORT)
    datagrams.transport.write(b"x")
    network.settle()
    assert datagrams.received == [b"x"]
    peer.transport.loseConnection()
    network.run(service.stopService())
    assert service.ports == []


def test_a_port_is_free_at_once_though_the_service_ended_the_connections(
    network: Network, client: Host, server: Host
) -> None:
    """Their TIME_WAIT is in nobody's way."""
    service = ListeningService(
        server, "once", [f"tcp:{PORT}:{EVERYWHERE}"], stream=UpperFactory(once=True, clock=server)
    )
    service.startService()
    peer = connect(network, client, "server", PORT)
    peer.say(b"x")
    assert network.run(peer.ended) == b"X"
    peer.transport.loseConnection()
    network.settle()
    network.run(service.stopService())
    again = make(server)
    again.startService()
    talking(network, client)


def test_datagrams_are_answered_until_the_stop_and_refused_after_it(
    network: Network, client: Host, server: Host
) -> None:
    service = make(server, f"udp:{PORT}:{EVERYWHERE}")
    service.startService()
    peer = datagram_peer(client, server, PORT)
    for _ in range(2):
        peer.transport.write(b"x")
        network.settle()
        network.run(service.stopService())
    assert (peer.received, peer.refused) == ([b"x"], 1)


# On a bad network


def test_a_drain_outlasts_a_partition_that_heals(network: Network, client: Host, server: Host) -> None:
    """What is under way when the network breaks arrives when it is whole again, and the service waits for it."""
    service = make(server, graceful_timeout=3600)
    service.startService()
    peer = talking(network, client)
    words = network.random.randbytes(200_000)
    peer.say(words)
    network.advance(0.0015)
    cut = network.partition("client", "server")
    stopped = network.start(service.stopService())
    network.advance(120)
    assert not stopped.called
    network.end(cut)
    peer.transport.loseWriteConnection()
    assert network.run(peer.ended) == b"hello" + words
    network.run(stopped)


def test_a_drain_ends_though_the_peers_are_gone(network: Network, client: Host, server: Host) -> None:
    """One machine has crashed, one is cut off for ever: both are aborted when the time is up."""
    service = make(server, graceful_timeout=30)
    service.startService()
    cut_off, crashed = talking(network, client), talking(network, network.host("other"))
    cut_off.say(b"x" * 100_000)
    crashed.say(b"x" * 100_000)
    network.advance(0.0015)
    network.partition("client", "server")
    network.crash("other")
    begun = network.clock.now
    network.run(service.stopService())
    assert network.clock.now == pytest.approx(begun + 30)
    assert len(service.open) == 0
    assert server.getReaders() == server.getWriters() == []


def test_a_machine_that_crashes_serves_again_when_it_has_started(network: Network) -> None:
    """Its peers learn of the crash when they speak, and can connect again."""
    network.host("server", boot=lambda host: make(host).startService())
    client = network.host("client")
    peer = talking(network, client)
    network.crash("server")
    network.advance(5)
    network.restart("server")
    peer.say(b"are you there?")
    assert network.run(peer.lost) is ConnectionLost
    talking(network, client, b"again")


def test_a_black_hole_is_no_refusal(network: Network, client: Host, server: Host) -> None:
    """New peers wait in vain, and those that are connected notice nothing."""
    make(server).startService()
    peer = talking(network, client)
    with network.fault(BlackHole("server", PORT)):
        waiting = network.start(
            connectProtocol(TCP4ClientEndpoint(client, server.addresses[0], PORT, timeout=20), Peer())
        )
        peer.say(b"!")
        network.advance(19)
        assert peer.received == b"hello!"
        assert not waiting.called
        with pytest.raises(TimeoutError):
            network.run(waiting)
