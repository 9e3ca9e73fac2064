"""A reactor or a descriptor that is not simulated: whoever uses one under simulation is told, and named."""

from __future__ import annotations

import socket
from importlib import import_module
from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.internet.task import deferLater

from twistnet.errors import SimulationError, WrongReactor
from twistnet.simulation import Host, Network


def real_reactor() -> Any:
    """The global reactor, before anybody has lent it."""
    return import_module("twisted.internet.reactor")


def alone(**settings: Any) -> tuple[Network, Host]:
    """A network of one host."""
    net = Network(**settings)
    return net, net.host("a")


def test_code_that_runs_on_no_host_is_told_so() -> None:
    with Network() as net:
        a, _ = net.host("a"), net.host("b")
        reactor = real_reactor()
        for call in (
            lambda: reactor.listenTCP(0, Factory()),
            lambda: reactor.connectTCP("a", 7, Factory()),
            lambda: reactor.listenUDP(0, DatagramProtocol()),
            lambda: reactor.listenUNIX("/run/socket", Factory()),
        ):
            with pytest.raises(WrongReactor, match=r"runs on no host .* network\.on\(host\)"):
                call()
        with net.on(a):
            assert reactor.listenTCP(7, Factory()).getHost().port == 7


def test_code_that_runs_on_no_host_may_wait() -> None:
    with Network() as net:
        for name in ("a", "b"):
            net.host(name)
        assert net.run(deferLater(real_reactor(), 5, lambda: "waited")) == "waited"
        assert net.clock.now == 5


def test_a_kept_callLater_of_the_real_reactor_is_named() -> None:
    kept = real_reactor().callLater

    def meant_for_the_simulation() -> None:
        raise AssertionError

    net, host = alone()
    with (
        net,
        pytest.raises(WrongReactor, match=r"meant_for_the_simulation was scheduled .* kept from before"),
    ):
        kept(1, meant_for_the_simulation)
    assert not [call for call in real_reactor().getDelayedCalls() if call.func is meant_for_the_simulation]
    assert host.getDelayedCalls() == []


def test_a_method_that_only_the_real_reactor_has_is_named() -> None:
    _, host = alone()
    with pytest.raises(AttributeError, match="the simulated host a has no '_poller'"):
        _ = host._poller


def test_a_real_descriptor_is_not_watched() -> None:
    net, host = alone()

    class Reader:
        def __init__(self, real: socket.socket) -> None:
            self.fileno = real.fileno

    one, other = socket.socketpair()
    with one, other, net:
        for add in (host.addReader, host.addWriter):
            with pytest.raises(
                WrongReactor, match=r"a cannot watch Reader: its descriptor \d+ is not a socket"
            ):
                add(Reader(one))


def test_a_real_connection_is_not_adopted() -> None:
    _, host = alone()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        with socket.create_connection(listening.getsockname()) as real:
            with pytest.raises(WrongReactor, match=r"a cannot adopt a real connection, to .*127\.0\.0\.1"):
                host.adoptStreamConnection(real.fileno(), socket.AF_INET, Factory())


def test_a_process_is_not_simulated() -> None:
    _, host = alone()
    with pytest.raises(SimulationError, match="a cannot spawn a process"):
        host.spawnProcess(None, "true")
