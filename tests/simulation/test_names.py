"""How names are resolved on a network, by whatever way Twisted asks for them."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from twisted.internet.endpoints import HostnameEndpoint, TCP6ClientEndpoint, connectProtocol
from twisted.internet.error import DNSLookupError
from twisted.internet.protocol import Factory, Protocol

from twistnet.simulation import Host, NamesFail, NamesSilent, Network


def two(net: Network) -> tuple[Host, Host]:
    """A host that listens for both versions of IP at port 7, and another."""
    server, client = net.host("server"), net.host("client")
    server.listenTCP(7, Factory.forProtocol(Protocol), interface="::")
    return server, client


def peer_of(net: Network, endpoint: Any) -> str:
    """The address to which an endpoint of the client's connects; it may ask the global reactor for a thread."""
    with net.on("client"):
        protocol: Protocol = net.run(connectProtocol(endpoint, Protocol()))
    assert protocol.transport is not None
    return str(protocol.transport.getPeer().host)  # type: ignore[attr-defined]


def test_an_endpoint_that_asks_getaddrinfo_is_answered_by_the_network() -> None:
    net = Network()
    _, client = two(net)
    assert peer_of(net, TCP6ClientEndpoint(client, "Server.", 7)) == "fd00::1"
    assert peer_of(net, TCP6ClientEndpoint(client, "fd00::1", 7)) == "fd00::1"
    with net.fault(NamesSilent("server")):
        for name in ("nobody", "server"):
            with pytest.raises(socket.gaierror):
                peer_of(net, TCP6ClientEndpoint(client, name, 7))


@pytest.mark.parametrize(
    ("family", "addresses"),
    [(0, ["10.0.0.1", "fd00::1"]), (socket.AF_INET, ["10.0.0.1"]), (socket.AF_INET6, ["fd00::1"])],
)
def test_getaddrinfo_gives_the_addresses_of_a_family(family: int, addresses: list[str]) -> None:
    net = Network()
    two(net)
    found = net.names.getaddrinfo("server", 7, family, socket.SOCK_STREAM)
    assert [address[0] for *_, address in found] == addresses
    assert {kind for _, kind, *_ in found} == {socket.SOCK_STREAM}


def test_a_name_of_ones_own_has_the_addresses_that_it_was_given_until_it_is_removed() -> None:
    net = Network()
    _, client = two(net)
    net.names.add("www.example", "10.0.0.1")
    assert peer_of(net, HostnameEndpoint(client, "WWW.example.", 7)) == "10.0.0.1"
    net.names.remove("www.example")
    with pytest.raises(DNSLookupError):
        peer_of(net, HostnameEndpoint(client, "www.example", 7))


def test_addresses_are_no_names_and_need_nobody_to_resolve_them() -> None:
    net = Network()
    _, client = two(net)
    with net.fault(NamesFail()):
        assert peer_of(net, HostnameEndpoint(client, "10.0.0.1", 7)) == "10.0.0.1"
        with pytest.raises(DNSLookupError):
            peer_of(net, HostnameEndpoint(client, "server", 7))
