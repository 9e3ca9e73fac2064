"""What Twisted has, and what we have in its place, under one test.

The rule of this module: a test is written once. It passes on ours, and fails on Twisted's in the very way that it says: the
day that Twisted mends it, the test says so.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias

import pytest
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Factory, Protocol

from tests.peers import Peer, connect
from twistnet import ConnectionConfig, PolicyCounters, guard
from twistnet.simulation import Host, Network

__all__ = [
    "PORT",
    "Kept",
    "Verdict",
    "Wrap",
    "dial",
    "guarded",
    "is_alone",
    "is_served",
    "listen",
    "on_both",
    "twisteds",
]

PORT = 7

Wrap: TypeAlias = Callable[[Any, Any], Any]
"""A factory, and the clock that it is to go by, to that factory with something around it."""
Verdict: TypeAlias = AbstractContextManager[Any]
"""What is to become of a test."""


def guarded(**settings: Any) -> Wrap:
    """Our policies around a factory."""
    config = ConnectionConfig(**settings)

    def wrap(factory: Any, clock: IReactorTime) -> Any:
        return guard(factory, config, clock=clock, name="guarded", counters=PolicyCounters())

    return wrap


def twisteds(wrapping: Callable[..., Any], *args: Any, **settings: Any) -> Wrap:
    """One of Twisted's wrapping factories around a factory. None of them takes a clock."""
    return lambda factory, clock: wrapping(factory, *args, **settings)


def on_both(name: str, *, ours: Any, twisted: Any, fails: Any) -> pytest.MarkDecorator:
    """Run a test on ours and on Twisted's.

    Args:
        name: The argument that takes what is tested. What is to become of the test is in the argument `verdict`.
        ours: What we have.
        twisted: What Twisted has.
        fails: How the test fails on it: a `pytest.raises` that names the symptom.
    """
    return pytest.mark.parametrize(
        (name, "verdict"),
        [
            pytest.param(ours, nullcontext(), id="ours does not"),
            pytest.param(twisted, fails, id="Twisted does"),
        ],
    )


def listen(network: Network, wrap: Wrap, factory: Any, clock: Any = None) -> Host:
    """A host on which a factory listens, with something around it."""
    server = network.host("server")
    server.listenTCP(PORT, wrap(factory, clock or server))
    network.host("client")
    network.host("other")
    return server


def dial(network: Network, host: str = "client", **settings: Any) -> Peer:
    """A peer of that factory."""
    return connect(network, network.hosts[host], "server", PORT, **settings)


def is_served(network: Network, peer: Peer) -> bool:
    """Whether a peer is answered by an echo."""
    peer.say(b"hello")
    network.advance(1)
    return peer.received.endswith(b"hello")


def is_alone(server: Host) -> bool:
    """Whether a host has no connection left."""
    return [type(reader).__name__ for reader in server.getReaders()] == ["TcpPort"]


class Kept(Factory):
    """Builds protocols of one class, and keeps them."""

    noisy = False

    def __init__(self, protocol: type[Protocol]) -> None:
        self.protocol = protocol
        self.made: list[Any] = []

    def buildProtocol(self, addr: Any) -> Any:
        self.made.append(super().buildProtocol(addr))
        return self.made[-1]
