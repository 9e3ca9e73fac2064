"""Promises of the documents that a newcomer would try: what waits, who is blamed, what a dry run predicts."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, serverFromString, wrapClientTLS
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.python import context
from twisted.python.log import ILogContext

from tests.logged import Lines
from tests.peers import Peer, connect, datagram_peer
from tests.policies.serving import PORT, Served, connect_tls, settings, start
from tests.simulation.other_code.certificates import trust_root
from twistnet import (
    ConfigurationError,
    ConnectionConfig,
    EchoDatagramProtocol,
    EchoFactory,
    ListeningService,
    PolicyCounters,
    ProxiedClientEndpoint,
    guard,
    make_node,
    policy_counters,
)
from twistnet.policies.unsent import unacknowledged_of
from twistnet.simulation import Host, Network

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""


def service(host: Host, *listen: str, **settings: Any) -> ListeningService:
    """An echo service that listens."""
    made = ListeningService(
        host,
        "promises",
        listen or [f"tcp:{PORT}:interface=0.0.0.0"],
        stream=EchoFactory(),
        datagram=EchoDatagramProtocol,
        connections=ConnectionConfig(**settings),
    )
    made.startService()
    return made


def test_no_batch_of_connections_is_accepted_beyond_the_limit(network: Network) -> None:
    """The kernel holds the others, all of them: they take up no descriptor of the service's."""
    server, client = network.host("server"), network.host("client")
    made = service(server, max_connections=20)
    made.ports[0].stopReading()  # type: ignore[attr-defined]
    peers = [connect(network, client, "server", PORT) for _ in range(150)]
    made.ports[0].startReading()  # type: ignore[attr-defined]
    network.settle()
    assert (len(made.open), made._reception.waiting) == (20, 0)
    for peer in peers[:20]:
        peer.transport.loseConnection()
    network.settle()
    assert (len(made.open), made._reception.waiting) == (20, 0)
    for peer in peers:
        peer.transport.loseConnection()
    network.advance(1)
    assert len(made.open) == 0


def test_networks_hold_for_datagrams_too(network: Network) -> None:
    server, friend, foe = (network.host(name) for name in ("server", "friend", "foe"))
    service(server, f"udp:{PORT}:interface=0.0.0.0", deny=foe.addresses[0], allow="10.0.0.0/8")
    peers = [datagram_peer(host, server, PORT) for host in (friend, foe)]
    before = policy_counters("promises")["guard", "source network that may not send (allow, deny)"]
    for peer in peers:
        peer.transport.write(b"hello")
    network.settle()
    assert [peer.received for peer in peers] == [[b"hello"], []]
    after = policy_counters("promises")["guard", "source network that may not send (allow, deny)"]
    assert after == before + 1


def test_a_peer_that_is_being_closed_over_tls_sends_no_faster_than_before(network: Network) -> None:
    """TLS reads on for the farewell of its peer; what comes instead is read at the rate, and dropped."""
    served = start(network, Protocol, tls=True, rate=10_000, lifetime=2, graceful_timeout=30)
    peer = connect_tls(network, network.host("client"))
    peer.say(b"x" * 2_000_000)
    network.advance(12)
    (connection,) = served.factory.open._open
    assert connection.octets_in < 10_000 * 13 + 200_000


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("tls", [False, True])
def test_what_the_service_aborts_is_not_blamed_on_the_peer(
    network: Network, request: pytest.FixtureRequest, tls: bool, header: bool
) -> None:
    """Not even where a header comes before TLS, and the service knows the connection under it."""
    log = Lines("twistnet.access")
    globalLogPublisher.addObserver(log)
    request.addfinalizer(lambda: globalLogPublisher.removeObserver(log))
    config = settings(access_log=True, proxy_protocol="v1" if header else "off")
    served = Served(network.host("server"), Protocol, config)
    connections = served.factory.open
    network.run(served.listen(tls=tls))
    endpoint: Any = HostnameEndpoint(network.host("client"), "server", PORT)
    if header:
        endpoint = ProxiedClientEndpoint(endpoint, "v1")
    if tls:
        endpoint = wrapClientTLS(optionsForClientTLS("server", trust_root()), endpoint)
    network.run(connectProtocol(endpoint, Peer()))
    network.advance(1)
    connections.abort()
    network.advance(1)
    assert log.lines[-1].endswith("aborted by the service")


def test_guard_keeps_an_access_log(network: Network) -> None:
    server, client = network.host("server"), network.host("client")
    config = ConnectionConfig(access_log=True)
    factory = guard(EchoFactory(), config, clock=server, name="mine", counters=PolicyCounters())
    network.run(serverFromString(server, f"tcp:{PORT}").listen(factory))
    said = Lines("twistnet.access")
    globalLogPublisher.addObserver(said)
    try:
        connect(network, client, "server", PORT).say(b"hello", finish=True)
        network.advance(1)
    finally:
        globalLogPublisher.removeObserver(said)
    opened, closed = said.lines
    assert opened.startswith("mine: 10.0.0.2:")
    assert closed.endswith("5 octets in, 5 out: closed by the peer")


@pytest.mark.parametrize("values", [{"proxy_protocol": "v1"}, {"max_connections": 1}])
def test_the_log_context_is_the_protocols_own_though_it_comes_later(
    network: Network, values: dict[str, Any]
) -> None:
    """Twisted names a server's transport when it is made, and then there was no protocol yet."""
    heard: list[str] = []

    class Prefixed(Protocol):
        def logPrefix(self) -> str:
            return "Mine"

        def dataReceived(self, data: bytes) -> None:
            heard.append(context.get(ILogContext)["system"])

    start(network, Prefixed, **values)
    client = network.host("client")
    header = b"PROXY TCP4 192.0.2.7 192.0.2.1 40000 7\r\n" if "proxy_protocol" in values else b""
    first = connect(network, client, "server", PORT)
    first.say(header + b"hello")
    second = connect(network, client, "server", PORT)
    second.say(header + b"hello")
    network.settle()
    first.transport.loseConnection()
    network.advance(1)
    host = "192.0.2.7" if header else "10.0.0.2"
    assert heard == [f"Mine,0,{host}", f"Mine,1,{host}"]


def test_a_dry_run_takes_nobodys_place(network: Network) -> None:
    """Who would have been refused is not counted among those who are there."""
    server, friend, foe = (network.host(name) for name in ("server", "friend", "foe"))
    made = service(server, max_connections=1, overflow="refuse", deny=foe.addresses[0], dry_run=True)
    before = made.counters["max_connections", "dry run: refused"]
    connect(network, foe, "server", PORT)
    connect(network, friend, "server", PORT)
    network.settle()
    assert made.counters["max_connections", "dry run: refused"] == before
    connect(network, friend, "server", PORT)
    network.settle()
    assert made.counters["max_connections", "dry run: refused"] == before + 1


def test_a_stop_asked_for_twice_is_one_stop(network: Network, lines: list[str]) -> None:
    server, client = network.host("server"), network.host("client")
    made = service(server, graceful_timeout=5)
    for _ in range(3):
        connect(network, client, "server", PORT)
    network.settle()
    first = network.start(made.stopService())
    assert made.draining == 3
    second = network.start(made.stopService())
    network.advance(1)
    assert made.draining == 3
    network.run(first)
    assert second.called
    assert len([line for line in lines if "waits up to" in line]) == 1
    network.run(made.stopService())


def test_a_connection_that_ends_before_its_header_is_told_of(network: Network, lines: list[str]) -> None:
    server, client = network.host("server"), network.host("client")
    service(server, proxy_protocol="v1")
    connect(network, client, "server", PORT).say(b"PROXY TCP4 1.2", finish=True)
    network.advance(1)
    assert any(
        line.endswith("it ended before its PROXY header did (proxy_protocol)") and " lost " in line
        for line in lines
    )


def test_a_service_can_do_without_what_all_have() -> None:
    """`none` is the default again; and what belongs together may stand in two places."""
    node = make_node(
        {"echo": {"proxy_allow_from": "none", "proxy_protocol": "off", "accept_rate": 2}},
        defaults={"proxy_protocol": "auto", "proxy_allow_from": ["127.0.0.1"], "accept_burst": 3},
    )
    settings = node.services[0].settings
    assert (settings.proxy_allow_from, settings.accept_burst) == ((), 3)
    with pytest.raises(ConfigurationError, match=r"services\.echo\.accept_burst: means nothing without"):
        make_node({"echo": {}}, defaults={"accept_burst": 3})


@pytest.mark.parametrize("wrong", [{"factory": EchoFactory}, {"config": {"max_connections": 3}}])
def test_guard_says_what_it_cannot_use(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"factory": EchoFactory(), "config": ConnectionConfig(lifetime=1)}
    with pytest.raises(TypeError, match="is not a"):
        guard(**{**right, **wrong}, clock=Clock())


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("guarded:tcp:0:dry_run", "dry_run: has no value"),
        ("guarded:tcp:0:deny=::1", r"a colon that is part of a value is written \\:"),
    ],
)
def test_what_looks_right_in_a_string_is_explained(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        serverFromString(reactor, text)


def test_a_peer_that_reads_slowly_is_seen_to_read() -> None:
    """What the kernel has is the kernel's, but it says how much of it has been acknowledged."""

    class Transport:
        def __init__(self, opened: socket.socket) -> None:
            self.socket = opened

    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.send(b"x" * 1000)
        waiting = unacknowledged_of(Transport(ours))
        assert waiting >= 1000
        theirs.recv(1000)
        assert unacknowledged_of(Transport(ours)) < waiting
    assert unacknowledged_of(Transport(ours)) == 0
    assert unacknowledged_of(Factory()) == 0
