"""What a transport holds that its peer has not taken yet, and the port that a connection came from."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory

from tests.peers import Peer, connect
from tests.simulation.other_code.certificates import certificate
from twistnet import ConnectionConfig, guard
from twistnet.policies.unsent import accepting_port, unsent_of
from twistnet.simulation import Host, Network

pytestmark = [
    pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:X509:DeprecationWarning"),
]
"""What Twisted says of itself."""

MUCH = 1 << 20
"""Octets; more than both kernels take together from a peer that does not read."""


class Inside(Protocol):
    """A protocol whose transport a test uses."""

    transport: Any


def bare(factory: Any, host: Host) -> Any:
    return factory


def guarded(factory: Any, host: Host) -> Any:
    return guard(factory, ConnectionConfig(idle_timeout=60), clock=host)


def holding(factory: Any, host: Host) -> Any:
    return guard(factory, ConnectionConfig(high_water_mark=1000, idle_timeout=60), clock=host)


def over_tls(factory: Any, host: Host) -> Any:
    return TLSMemoryBIOFactory(certificate("server").options(), False, factory, clock=host)


def nested(*layers: Any) -> Any:
    """Factories around factories, the innermost first."""

    def wrap(factory: Any, host: Host) -> Any:
        for layer in layers:
            factory = layer(factory, host)
        return factory

    return wrap


LAYERS = [
    bare,
    guarded,
    holding,
    nested(guarded, guarded, guarded),
    nested(holding, guarded, holding),
    over_tls,
    nested(guarded, over_tls),
    nested(guarded, over_tls, guarded),
    nested(holding, over_tls, holding, guarded),
]


def accept(network: Network, wrap: Any) -> tuple[Any, Peer, Any]:
    """The transport of a server's connection, its peer, which does not read, and the port it came from."""
    server, client = network.host("server"), network.host("client")
    made: list[Inside] = []

    def make() -> Inside:
        made.append(Inside())
        return made[-1]

    port = network.run(serverFromString(server, "tcp:7").listen(wrap(Factory.forProtocol(make), server)))
    peer = connect(network, client, "server", 7, reads=False)
    network.advance(1)
    return made[0].transport, peer, port


@pytest.mark.parametrize("wrap", LAYERS[:5])
def test_it_is_what_was_written_and_has_not_left(network: Network, wrap: Any) -> None:
    transport, peer, _ = accept(network, wrap)
    assert unsent_of(transport) == 0
    transport.write(b"x" * 100)
    transport.writeSequence([b"x"] * 10)
    assert unsent_of(transport) == 110
    network.advance(1)
    assert unsent_of(transport) == 0
    transport.write(b"x" * (MUCH - 110))
    network.advance(1)
    unsent = unsent_of(transport)
    assert 0 < unsent < MUCH
    peer.read()
    network.advance(5)
    assert len(peer.received) == MUCH
    assert unsent_of(transport) == 0


@pytest.mark.parametrize("wrap", [over_tls, nested(guarded, over_tls), nested(guarded, over_tls, guarded)])
def test_over_tls_what_waits_for_the_handshake_counts(network: Network, wrap: Any) -> None:
    transport, _, _ = accept(network, wrap)
    transport.write(b"x" * 100)
    assert unsent_of(transport) == 100
    network.advance(1)
    assert unsent_of(transport) == 100
    transport.write(b"x" * MUCH)
    assert unsent_of(transport) >= MUCH + 100


@pytest.mark.parametrize("wrap", [bare, guarded, holding])
def test_after_starttls_it_counts_too(network: Network, wrap: Any) -> None:
    transport, _, _ = accept(network, wrap)
    transport.startTLS(certificate("server").options())
    transport.write(b"x" * MUCH)
    network.advance(1)
    assert unsent_of(transport) >= MUCH


def test_of_a_transport_that_it_does_not_know_it_says_nothing() -> None:
    transport = StringTransport()
    transport.write(b"x" * 100)
    assert unsent_of(transport) == unsent_of(object()) == unsent_of(None) == 0
    assert accepting_port(transport) is None


@pytest.mark.parametrize("wrap", LAYERS)
def test_the_port_that_a_connection_came_from_is_found_under_every_layer(network: Network, wrap: Any) -> None:
    transport, _, port = accept(network, wrap)
    assert accepting_port(transport) is port


def test_a_client_came_from_no_port(network: Network) -> None:
    _, peer, _ = accept(network, bare)
    assert accepting_port(peer.transport) is None


@pytest.mark.parametrize("wrap", LAYERS[1:5])
def test_what_a_lost_connection_has_not_sent_is_let_go_of(network: Network, wrap: Any) -> None:
    """Nobody waits for the collector: transport and protocol know each other."""
    transport, _, _ = accept(network, wrap)
    transport.write(b"x" * MUCH)
    network.advance(1)
    assert unsent_of(transport) > 0
    transport.abortConnection()
    network.advance(1)
    assert unsent_of(transport) == 0
