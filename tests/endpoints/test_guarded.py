"""The `guarded:` endpoint: policies by means of a string, around whatever listens."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.address import UNIXAddress
from twisted.internet.endpoints import TCP4ServerEndpoint, serverFromString
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.plugin import getPlugins
from zope.interface.verify import verifyObject

from tests.peers import connect
from twistnet import (
    ConfigurationError,
    ConnectionConfig,
    EchoFactory,
    GuardedServerEndpoint,
    PolicyCounters,
    guard,
    policy_counters,
)
from twistnet.simulation import Host, Network


def parse(text: str) -> GuardedServerEndpoint:
    """What a string stands for, without listening anywhere."""
    endpoint = serverFromString(reactor, text)
    assert isinstance(endpoint, GuardedServerEndpoint)
    assert verifyObject(IStreamServerEndpoint, endpoint)
    return endpoint


@pytest.fixture
def server(network: Network) -> Host:
    """Where the service runs."""
    return network.host("server")


@pytest.fixture
def client(network: Network, server: Host) -> Host:
    """Another host."""
    return network.host("client")


def test_the_settings_are_taken_out_and_the_rest_is_the_endpoints_own() -> None:
    endpoint = parse(
        "guarded:tcp:8080:interface=127.0.0.1:backlog=7:max_connections=100:idle_timeout=30s"
        ":allow=10.0.0.0/8,192.0.2.1:deny=2001\\:db8\\:\\:/32:dry_run=on:overflow=refuse"
    )
    inside = endpoint.endpoint
    assert isinstance(inside, TCP4ServerEndpoint)
    assert (inside._port, inside._interface, inside._backlog) == (8080, "127.0.0.1", 7)
    assert endpoint.config == ConnectionConfig(
        max_connections=100,
        idle_timeout=30,
        allow=("10.0.0.0/8", "192.0.2.1"),  # type: ignore[arg-type]
        deny=("2001:db8::/32",),  # type: ignore[arg-type]
        dry_run=True,
        overflow="refuse",
    )
    assert endpoint.name == "guarded:tcp:8080:interface=127.0.0.1:backlog=7"


@pytest.mark.parametrize(
    "text",
    [
        "guarded:unix:/run/x.sock:mode=660:rate=1MiB",
        "guarded:tcp6:7007:interface=\\:\\:1:rate=1MiB",
        "guarded:haproxy:tcp:7007:rate=1MiB",
        "guarded:guarded:tcp:7007:rate=1MiB",
        "guarded:tcp:port=7007:rate=1MiB",
    ],
)
def test_wraps_every_other_description(text: str) -> None:
    assert parse(text).config == ConnectionConfig(rate=1 << 20)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("guarded:", "guarded:: has no endpoint inside"),
        ("guarded:max_connections=5", "guarded:: has no endpoint inside"),
        ("guarded:tcp:80:max_connections=x", "guarded:tcp:80: max_connections: 'x' is not a whole number"),
        (
            "guarded:tcp:80:max_conections=5",
            "guarded:tcp:80:max_conections=5: max_conections: unknown key; did you mean max_connections",
        ),
        ("guarded:tcp:80:burst=5", "guarded:tcp:80: burst: means nothing without rate"),
        ("guarded:nonsense:5", "guarded:nonsense:5: cannot be used: Unknown endpoint type: 'nonsense'"),
        ("guarded:tcp:x", "guarded:tcp:x: cannot be used: invalid literal"),
        ("guarded:udp:7009", "guarded:udp:7009: udp is for datagrams"),
        ("guarded:unix:/x:reuse_port=on", "guarded:unix:/x: reuse_port: is for tcp"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_key(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(text)
    assert str(caught.value).startswith(problem)
    assert "\n" not in str(caught.value)


def test_is_a_plugin_of_twisteds_own_kind() -> None:
    (plugin,) = [p for p in getPlugins(IStreamServerEndpointStringParser) if p.prefix == "guarded"]
    assert verifyObject(IStreamServerEndpointStringParser, plugin)


def test_without_a_setting_nothing_stands_in_the_way(network: Network, server: Host) -> None:
    factory = EchoFactory()
    port = network.run(serverFromString(server, "guarded:tcp:7007").listen(factory))
    assert port.factory is factory


def test_guards_what_it_listens_for(network: Network, client: Host, server: Host) -> None:
    text = "guarded:tcp:7007:max_connections=1:overflow=refuse:idle_timeout=5"
    network.run(serverFromString(server, text).listen(EchoFactory()))
    first, second = connect(network, client, "server", 7007), connect(network, client, "server", 7007)
    assert network.run(second.lost) is ConnectionLost
    first.say(b"served")
    network.advance(5.1)
    assert first.ended.called
    assert first.received == b"served"
    counters = policy_counters("guarded:tcp:7007")
    assert counters["max_connections", "refused"] >= 1
    assert counters["idle_timeout", "closed"] >= 1


def test_each_of_two_nested_guards_does_its_own(network: Network, client: Host, server: Host) -> None:
    outer = GuardedServerEndpoint(
        reactor=server,
        endpoint=serverFromString(server, "guarded:tcp:7007:lifetime=3"),
        config=ConnectionConfig(max_connections=1, overflow="refuse"),
    )
    network.run(outer.listen(EchoFactory()))
    first, second = connect(network, client, "server", 7007), connect(network, client, "server", 7007)
    assert network.run(second.lost) is ConnectionLost
    network.advance(3.1)
    assert first.ended.called
    network.advance(0.1)
    third = connect(network, client, "server", 7007)
    third.say(b"again", finish=True)
    assert network.run(third.ended) == b"again"


def test_unix_peers_have_no_address_to_be_judged_by() -> None:
    """`per_source`, `allow` and the like are for addresses; the rest holds on UNIX sockets too."""
    settings: dict[str, Any] = {"allow": "192.0.2.1", "per_source": 1, "max_connections": 2}
    config = ConnectionConfig(**settings, overflow="refuse")
    factory = guard(EchoFactory(), config, clock=Clock(), counters=PolicyCounters())
    peer = UNIXAddress(b"")
    transports = [StringTransport(peerAddress=peer) for _ in range(3)]
    for transport in transports:
        factory.buildProtocol(peer).makeConnection(transport)
    assert [transport.disconnecting or transport.disconnected for transport in transports] == [
        False,
        False,
        True,
    ]
