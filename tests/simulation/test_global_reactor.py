"""Which host the global reactor stands for: the one whose turn it is, and at a test's own level the one it has named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol
from twisted.internet.threads import deferToThread
from twisted.protocols.policies import TimeoutMixin

from twistnet.errors import Livelock, WrongReactor
from twistnet.simulation import Host, Network


def here() -> str:
    """The name of the host that the global reactor stands for."""
    reactor: Any = import_module("twisted.internet.reactor")
    name: str = reactor.name
    return name


def two_hosts(net: Network) -> tuple[Host, Host]:
    return net.host("a"), net.host("b")


class Seen(Protocol, TimeoutMixin):
    """Notes where it is whenever it is called."""

    def __init__(self, places: list[str]) -> None:
        self.places = places

    def connectionMade(self) -> None:
        self.places.append(here())
        self.setTimeout(5)

    def dataReceived(self, data: bytes) -> None:
        self.places.append(here())

    def timeoutConnection(self) -> None:
        self.places.append(here())
        super().timeoutConnection()

    def connectionLost(self, reason: Any = None) -> None:
        self.places.append(here())


def test_protocols_are_called_on_their_host() -> None:
    with Network() as net:
        a, b = two_hosts(net)
        at_a: list[str] = []
        at_b: list[str] = []
        b.listenTCP(7, Factory.forProtocol(lambda: Seen(at_b)))
        a.connectTCP("b", 7, _client(Seen(at_a)))
        net.advance(10)
        assert set(at_a) == {"a"}
        assert set(at_b) == {"b"}
        assert len(at_a) >= 2
        assert len(at_b) >= 2


def _client(protocol: Protocol) -> Any:
    return ClientFactory.forProtocol(lambda: protocol)


def _timer(host: Host, note: Callable[[], object]) -> None:
    host.callLater(1, note)


def _call_from_a_thread(host: Host, note: Callable[[], object]) -> None:
    host.callFromThread(note)


def _thread(host: Host, note: Callable[[], object]) -> None:
    host.callInThread(note)


def _deferred_to_a_thread(host: Host, note: Callable[[], object]) -> None:
    host.callWhenRunning(deferToThread, note)


def _name(host: Host, note: Callable[[], object]) -> None:
    host.resolve("a").addCallback(lambda _: note())


def _datagram(host: Host, note: Callable[[], object]) -> None:
    class Noting(DatagramProtocol):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            note()

    host.listenUDP(9, Noting())
    host.listenUDP(0, DatagramProtocol()).write(b"x", ("127.0.0.1", 9))


def _startup(host: Host, note: Callable[[], object]) -> None:
    host.addSystemEventTrigger("before", "startup", note)


def _shutdown(host: Host, note: Callable[[], object]) -> None:
    host.addSystemEventTrigger("before", "shutdown", note)
    host.callLater(1, host.stop)


def _looping(host: Host, note: Callable[[], object]) -> None:
    def begin() -> None:
        task.LoopingCall(note).start(1, now=False)

    host.callLater(1, begin)


@pytest.mark.parametrize(
    "have_called",
    [
        _timer,
        _call_from_a_thread,
        _thread,
        _deferred_to_a_thread,
        _name,
        _datagram,
        _startup,
        _shutdown,
        _looping,
    ],
)
def test_whatever_a_host_calls_is_called_on_it(have_called: Callable[..., None]) -> None:
    with Network() as net:
        places: list[tuple[str, str]] = []
        for host in two_hosts(net):
            with net.on(host):
                have_called(host, lambda name=host.name: places.append((name, here())))
        net.advance(2.5)
        assert sorted(set(places)) == [("a", "a"), ("b", "b")]


def _steps(places: list[str], count: int = 1000) -> Iterator[None]:
    for _ in range(count):
        places.append(here())
        yield


def test_each_host_has_a_cooperator_that_works_on_it() -> None:
    with Network() as net:
        places: dict[str, list[str]] = {"a": [], "b": []}
        for host in two_hosts(net):
            host.callWhenRunning(lambda mine: task.cooperate(_steps(mine)), places[host.name])
        net.advance(1)
        assert places == {"a": ["a"] * 1000, "b": ["b"] * 1000}


def test_a_crash_ends_the_cooperation_on_its_host_and_on_no_other() -> None:
    with Network() as net:
        places: dict[str, list[str]] = {"a": [], "b": []}
        for host in two_hosts(net):
            host.callWhenRunning(lambda mine: task.cooperate(_steps(mine)), places[host.name])
        net.advance(0.002)
        net.crash("a")
        done = len(places["a"])
        net.advance(1)
        assert 0 < done == len(places["a"]) < 1000
        assert len(places["b"]) == 1000
        net.restart("a")
        again: list[str] = []
        with net.on("a"):
            task.cooperate(_steps(again))
        net.advance(1)
        assert again == ["a"] * 1000


def test_the_cooperator_of_a_host_that_crashes_now_is_new_at_once() -> None:
    with Network() as net:
        a, _ = two_hosts(net)
        with net.on(a):
            before = task._theCooperator
            net.crash(a)
            net.restart(a)
            assert task._theCooperator is a.cooperator
            assert task._theCooperator is not before


def test_the_real_reactor_and_cooperator_come_back() -> None:
    reactor: Any = import_module("twisted.internet.reactor")
    before = reactor.__class__, reactor.__dict__, task._theCooperator
    with Network() as net:
        a, _ = two_hosts(net)
        with net.on(a):
            assert isinstance(reactor, Host)
    assert (reactor.__class__, reactor.__dict__, task._theCooperator) == before


def test_a_network_that_is_entered_twice_is_left_twice() -> None:
    with Network() as net:
        net.host("a")
        with net:
            assert here() == "a"
        assert here() == "a"


def test_a_network_within_another_gives_the_reactor_back_to_it() -> None:
    outer, inner = Network(), Network()
    outer.host("outer")
    inner.host("inner")
    with outer:
        with inner:
            assert here() == "inner"
        assert here() == "outer"


def test_of_two_networks_each_has_the_reactor_while_it_runs() -> None:
    nets = [Network() for _ in range(2)]
    hosts = [net.host(f"host{number}") for number, net in enumerate(nets)]
    places: list[str] = []
    with nets[0], nets[1]:
        for time in range(1, 5):
            for host, net in zip(hosts, nets, strict=True):
                host.callLater(0.5, lambda: places.append(here()))
                net.advance(1)
                assert here() == "host1"
            assert places == ["host0", "host1"] * time


def test_the_real_reactor_comes_back_in_whatever_order_networks_are_left() -> None:
    reactor: Any = import_module("twisted.internet.reactor")
    before = reactor.__class__, reactor.__dict__, task._theCooperator
    first, second = Network(), Network()
    first.host("first")
    second.host("second")
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert here() == "second"
    second.__exit__(None, None, None)
    assert (reactor.__class__, reactor.__dict__, task._theCooperator) == before


async def _listen() -> Any:
    from twisted.internet import reactor

    return await TCP4ServerEndpoint(reactor, 7).listen(Factory.forProtocol(Protocol))


def test_a_coroutine_begins_where_it_is_run() -> None:
    with Network() as net:
        a, b = two_hosts(net)
        assert net.run(_listen(), on=a).getHost().host == "0.0.0.0"
        net.run(_listen(), on="b")
        assert len(a.getReaders()) == len(b.getReaders()) == 1


def test_a_coroutine_begins_on_the_host_whose_callback_starts_it() -> None:
    with Network() as net:
        a, b = two_hosts(net)
        places: list[str] = []

        def start() -> None:
            net.start(_listen())
            places.append(here())

        b.callLater(1, start)
        net.advance(2)
        assert (len(a.getReaders()), len(b.getReaders())) == (0, 1)
        assert places == ["b"]


def test_a_coroutine_begins_on_the_host_that_boots() -> None:
    with Network() as net:
        net.host("other")
        host = net.host("booting", boot=lambda host: net.start(_listen()))
        assert len(host.getReaders()) == 1
        net.crash(host)
        net.restart(host)
        assert len(host.getReaders()) == 1


def test_a_host_that_a_test_names_stays_named_while_the_network_runs() -> None:
    with Network() as net:
        a, b = two_hosts(net)
        b.callLater(1, here)
        with net.on(a):
            net.advance(2)
            assert here() == "a"
            net.run(_soon(b))
            assert here() == "a"
            net.settle()
            assert here() == "a"
            with net.on(b):
                net.host("c")
                assert here() == "b"
            assert here() == "a"


async def _soon(host: Host) -> None:
    await task.deferLater(host, 1, lambda: None)


def test_nobody_is_guessed() -> None:
    with Network() as net:
        net.host("a")
        net.advance(1)
        assert here() == "a"
        net.host("b")
        assert here() == "outside"
        with pytest.raises(WrongReactor, match="runs on no host"):
            net.run(_listen())


def test_a_callback_that_adds_a_host_or_runs_the_network_goes_on_where_it_was() -> None:
    with Network() as net:
        a, b = two_hosts(net)
        places: list[str] = []

        def grow() -> None:
            net.host("c")
            places.append(here())
            net.advance(1)
            places.append(here())

        a.callLater(1, grow)
        b.callLater(1.5, here)
        net.advance(5)
        assert places == ["a", "a"]
        assert here() == "outside"


def test_nobody_is_named_after_a_run_that_has_failed() -> None:
    with Network(patience=100) as net:
        a, _ = two_hosts(net)

        def spin() -> None:
            a.callLater(0, spin)

        spin()
        with pytest.raises(Livelock):
            net.run(Deferred())
        assert here() == "outside"


def test_names_may_be_octets() -> None:
    with Network() as net:
        a, b = two_hosts(net)
        b.listenTCP(7, Factory.forProtocol(Protocol))
        places: list[str] = []
        a.connectTCP(b"b", 7, _client(Seen(places)))  # type: ignore[arg-type]
        net.advance(1)
        assert places == ["a"]
