"""Deferreds that failed with nobody listening are found when they are collected, and belong to the network that ran then."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

from twistnet.errors import ErrorsLogged
from twistnet.simulation import Host, Network


def forget_a_failure() -> None:
    """Leave a Deferred that has failed where only the collector finds it."""
    circle: list[Any] = [fail(LookupError("nobody listens"))]
    circle.append(circle)


def test_one_that_refers_to_itself_is_found_at_the_end() -> None:
    with pytest.raises(ErrorsLogged, match="nobody listens"), Network():
        forget_a_failure()


def test_one_from_before_is_none_of_a_networks() -> None:
    gc.collect()
    gc.disable()
    try:
        forget_a_failure()
        with Network() as network:
            network.run(Deferred.fromCoroutine(nothing()))
        with pytest.raises(ErrorsLogged), Network():
            forget_a_failure()
    finally:
        gc.enable()
    assert not gc.get_freeze_count()


async def nothing() -> None:
    """Takes no time."""


def test_what_somebody_has_frozen_stays_so() -> None:
    gc.collect()
    gc.freeze()
    try:
        frozen = gc.get_freeze_count()
        with pytest.raises(ErrorsLogged, match="nobody listens"), Network():
            forget_a_failure()
        assert abs(gc.get_freeze_count() - frozen) < 1000  # a few are freed meanwhile
    finally:
        gc.unfreeze()


def test_nothing_keeps_a_network_that_is_closed() -> None:
    """Twisted's factories are logged, and what was logged before anybody begins to log is kept for then."""

    async def talk(server: Host, client: Host) -> None:
        server.listenTCP(7, Factory.forProtocol(Protocol))
        await connectProtocol(HostnameEndpoint(client, "server", 7), Protocol())

    def closed() -> weakref.ref[Network]:
        with Network() as network:
            network.run(talk(network.host("server"), network.host("client")))
        return weakref.ref(network)

    networks = [closed() for _ in range(3)]
    gc.collect()
    assert [network() for network in networks] == [None, None, None]
