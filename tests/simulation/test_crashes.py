"""What is left of the program that ran on a machine which has crashed: nothing."""

from __future__ import annotations

import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from twistnet.errors import SimulationError
from twistnet.simulation import Host, KernelConfig, Network


def alone() -> tuple[Network, Host, list[str]]:
    """A network of one host that has run, and what happens on it."""
    net = Network()
    host = net.host("a")
    net.advance(1)
    return net, host, []


def test_a_timer_of_a_machine_that_has_crashed_is_not_to_be_brought_back() -> None:
    net, host, fired = alone()
    timers = [host.callLater(10, fired.append, "fired") for _ in range(3)]
    net.crash(host)
    assert not any(timer.active() for timer in timers)
    timers[0].reset(1)
    timers[1].delay(-9)
    timers[2].cancel()
    net.restart(host)
    net.advance(20)
    assert fired == []


def test_a_machine_that_crashes_while_it_shuts_down_does_not_finish() -> None:
    net, host, fired = alone()
    host.addSystemEventTrigger("before", "shutdown", fired.append, "shutdown")
    host.stop()
    net.crash(host)
    net.advance(1)
    assert fired == []


def test_a_program_that_starts_again_knows_nothing_of_the_one_before() -> None:
    net, host, fired = alone()
    host.addSystemEventTrigger("before", "shutdown", fired.append, "the one before")
    net.crash(host)
    net.restart(host)
    host.addSystemEventTrigger("before", "shutdown", fired.append, "this one")
    host.stop()
    net.advance(1)
    assert fired == ["this one"]


def test_a_program_that_starts_again_is_running_at_once() -> None:
    net = Network()
    calls: list[float] = []
    host = net.host("a", boot=lambda a: a.callWhenRunning(lambda: calls.append(net.clock.now)))
    host.callLater(1, net.crash, host)
    net.clock.after(2, net.restart, host)
    net.advance(5)
    assert calls == [0.0, 2.0]
    assert host.running


def test_a_transport_of_a_machine_that_has_crashed_says_so() -> None:
    net = Network()
    a, b = net.host("a"), net.host("b")
    accepted: list[Protocol] = []

    def accept() -> Protocol:
        accepted.append(Protocol())
        return accepted[-1]

    b.listenTCP(7, Factory.forProtocol(accept))
    net.run(TCP4ClientEndpoint(a, b.addresses[0], 7).connect(Factory.forProtocol(Protocol)))
    net.settle()
    net.crash(b)
    transport = accepted[0].transport
    assert transport is not None
    with pytest.raises(SimulationError, match="b has crashed"):
        transport.write(b"late")


class _Caller(Protocol):
    def __init__(self, lost: list[str]) -> None:
        self._lost = lost

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._lost.append(type(reason.value).__name__)


def test_a_program_that_starts_again_has_its_reserve_against_too_many_files() -> None:
    net = Network()
    few = KernelConfig(max_files=3)
    b = net.host("b", config=few, boot=lambda b: b.listenTCP(7, Factory.forProtocol(Protocol)))
    a = net.host("a")
    net.crash(b)
    net.restart(b)
    lost: list[str] = []
    for _ in range(3):
        made = TCP4ClientEndpoint(a, b.addresses[0], 7).connect(Factory.forProtocol(lambda: _Caller(lost)))
        net.start(made)
    net.settle()
    assert lost == ["ConnectionDone"] * 2
