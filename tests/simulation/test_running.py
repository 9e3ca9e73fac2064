"""How time passes: what `run`, `advance` and `settle` wait for, and what they say instead of hanging."""

from __future__ import annotations

import signal
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import blockingCallFromThread, deferToThreadPool

from tests.simulation.stage import Stage
from twistnet.errors import Deadlock, ErrorsLogged, Livelock
from twistnet.simulation import Host, Network, Partition


def real_reactor() -> Any:
    """The global reactor, before anybody has lent it."""
    return import_module("twisted.internet.reactor")


def alone(**settings: Any) -> tuple[Network, Host]:
    """A network of one host."""
    net = Network(**settings)
    return net, net.host("a")


def never() -> Deferred[None]:
    """A Deferred that nobody fires."""
    return Deferred()


# Run


def test_run_returns_a_result_at_its_time_and_leaves_later_things_alone() -> None:
    net, host = alone()
    fired: list[str] = []
    host.callLater(5, fired.append, "before")
    host.callLater(15, fired.append, "after")

    async def task() -> str:
        await deferLater(host, 10)
        return "done"

    assert net.run(task()) == "done"
    assert net.clock.now == 10
    assert fired == ["before"]


def test_run_takes_a_deferred_and_what_is_done_already() -> None:
    net, host = alone()
    assert net.run(succeed(7)) == 7
    assert net.run(deferLater(host, 2, lambda: "later")) == "later"
    assert net.clock.now == 2


def test_run_raises_what_it_was_given_to_run_raises() -> None:
    net, host = alone()

    async def task() -> None:
        await deferLater(host, 1)
        raise ZeroDivisionError("of its own")

    with pytest.raises(ZeroDivisionError, match="of its own"):
        net.run(task())
    with pytest.raises(KeyError):
        net.run(fail(KeyError("at once")))
    net.check_errors(thoroughly=True)


def test_what_is_neither_a_coroutine_nor_a_deferred_is_refused() -> None:
    net, _ = alone()
    with pytest.raises(TypeError, match="a coroutine or a Deferred can be run, not 7"):
        net.run(7)  # type: ignore[arg-type]


def test_run_gives_up_after_a_time_and_says_what_goes_on() -> None:
    net, host = alone()
    ticking = LoopingCall(lambda: None)
    ticking.clock = host
    ticking.start(1)
    with pytest.raises(Livelock, match="the Deferred is not done after 60 s") as caught:
        net.run(never(), timeout=60)
    assert net.clock.now == 60
    assert any("a timer calls" in line for line in caught.value.waiting)


def test_a_run_within_a_callback_goes_on_where_it_was() -> None:
    net, host = alone()
    seen: list[Any] = []
    host.callLater(1, lambda: seen.append((net.run(deferLater(host, 2, lambda: "inner")), net.clock.now)))
    net.advance(10)
    assert seen == [("inner", 3.0)]
    assert net.clock.now == 10


# Advance and settle


def test_advance_lets_everything_happen_that_is_due_and_nothing_else() -> None:
    net, host = alone()
    fired: list[float] = []
    for delay in (0, 1, 2, 2.5):
        host.callLater(delay, lambda: fired.append(net.clock.now))
    net.advance(2)
    assert fired == [0, 1, 2]
    assert net.clock.now == 2
    net.advance(0)
    assert fired == [0, 1, 2]
    net.advance(0.5)
    assert fired == [0, 1, 2, 2.5]


def test_time_does_not_run_backwards() -> None:
    net, _ = alone()
    with pytest.raises(ValueError, match="-1"):
        net.advance(-1)


def test_time_does_not_run_backwards_when_a_callback_lets_more_of_it_pass() -> None:
    net, host = alone()
    host.callLater(1, net.advance, 10)
    net.advance(5)
    assert net.clock.now == 11


def test_a_day_in_which_nothing_happens_is_over_at_once() -> None:
    net, _ = alone()
    net.advance(86_400 * 365)
    assert net.clock.fired == 0


def test_settle_waits_for_what_is_on_its_way_and_for_no_timer() -> None:
    stage = Stage(latency=3.0)
    fired: list[str] = []
    stage.a.callLater(20, fired.append, "timer")
    client, server = stage.connected()
    begun = stage.net.clock.now
    client.transport.write(b"hello")
    stage.net.settle()
    assert server.octets == b"hello"
    assert 3 <= stage.net.clock.now - begun <= 6
    assert fired == []


def test_settle_waits_until_what_was_lost_has_been_sent_again() -> None:
    stage = Stage(loss=0.5)
    client, server = stage.connected()
    for _ in range(20):
        client.transport.write(b"x" * 2000)
    stage.net.settle()
    assert len(server.octets) == 40_000


def test_settle_does_not_wait_for_a_way_that_is_cut_off() -> None:
    stage = Stage()
    client, server = stage.connected()
    with stage.net.fault(Partition("a", "b")):
        client.transport.write(b"hello")
        begun = stage.net.clock.now
        stage.net.settle()
        assert stage.net.clock.now - begun < 1
    stage.net.settle()
    assert server.octets == b"hello"


# Deadlock


def test_a_deadlock_says_where_a_coroutine_waits() -> None:
    net, _ = alone()

    async def inner() -> None:
        await never()

    async def outer() -> None:
        await inner()

    with pytest.raises(Deadlock) as caught:
        net.run(outer())
    assert type(caught.value) is Deadlock
    assert "outer is not done, and nothing is left to happen at 0 s" in caught.value.summary
    where = [line for line in caught.value.waiting if " waits at test_running.py:" in line]
    assert [line.split()[0].rpartition(".")[2] for line in where] == ["outer", "inner"]


def test_a_deadlock_says_which_sockets_wait_for_what() -> None:
    stage = Stage()
    client, _ = stage.connected()
    client.transport.pauseProducing()
    with pytest.raises(Deadlock) as caught:
        stage.net.run(never())
    lines = caught.value.waiting
    port = client.transport.getHost().port
    own, server = stage.a.addresses[0], stage.b.addresses[0]
    assert f"b: End waits to read on {server}:7 -> {own}:{port}, connected" in lines
    assert f"a: nobody reads from or writes to {own}:{port} -> {server}:7, connected" in lines
    assert any(
        line.startswith("b: ") and line.endswith("waits to read on port 7, listening") for line in lines
    )


def test_a_deadlock_names_partitions_holds_and_crashes() -> None:
    stage = Stage()
    stage.net.partition("a", "b", both=False)
    stage.net.hold("c", "a", both=False)
    stage.net.crash("b")
    with pytest.raises(Deadlock) as caught:
        stage.net.run(never())
    assert {
        "a -> b is cut off by a partition",
        "c -> a holds 0 packets",
        "b has crashed",
    } <= set(caught.value.waiting)


def test_a_deadlock_names_what_waits_on_the_real_reactor() -> None:
    def on_the_real_one() -> None:
        pass

    call = real_reactor().callLater(3600, on_the_real_one)
    try:
        net, _ = alone()
        with pytest.raises(Deadlock, match=r"the real reactor is to call .*on_the_real_one"):
            net.run(never())
    finally:
        call.cancel()


def test_a_deadlock_says_what_was_logged() -> None:
    net, host = alone()
    host.callLater(1, lambda: 1 // 0)
    with pytest.raises(Deadlock, match=r"logged: ZeroDivisionError: .*, at test_running.py:\d+"):
        net.run(never())
    with pytest.raises(ErrorsLogged):
        net.check_errors()


def test_settling_says_who_waits_for_ever() -> None:
    net, host = alone()

    async def forlorn() -> None:
        await never()

    task = net.start(forlorn())
    timer = host.callLater(5, lambda: None)
    net.settle()
    timer.cancel()
    with pytest.raises(Deadlock, match="forlorn is not done"):
        net.settle()
    task.addErrback(lambda failure: None).cancel()


def test_what_was_started_and_is_done_is_waited_for_no_more() -> None:
    net, host = alone()
    task = net.start(deferLater(host, 5, lambda: "done"))
    net.settle()
    assert not task.called
    net.advance(5)
    net.settle()
    assert net.run(task) == "done"


def test_a_reactor_that_nobody_stops_is_a_deadlock() -> None:
    net, host = alone()
    host.callLater(5, host.stop)
    host.run()
    assert net.clock.now == 5
    second = net.host("b")
    with pytest.raises(Deadlock, match="the reactor of b is not stopped"):
        second.run()


# Livelock


def spinning(host: Host) -> Callable[[], None]:
    """A function that has itself called again, at once, for ever."""

    def again_and_again() -> None:
        host.callLater(0, again_and_again)

    again_and_again()
    return again_and_again


@pytest.mark.parametrize(
    "go", [lambda net: net.advance(1), lambda net: net.run(never()), lambda net: net.settle()]
)
def test_one_who_goes_round_in_circles_is_named(
    go: Callable[[Network], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twistnet.simulation.running.SPIN", 5000)
    net, host = alone()
    spinning(host)
    with pytest.raises(Livelock, match="at 0 s without an end") as caught:
        go(net)
    assert "a: a timer calls spinning.<locals>.again_and_again, 5000 times" in caught.value.waiting


def test_two_who_answer_each_other_for_ever_are_named_when_patience_is_at_an_end() -> None:
    net = Network(patience=2000)
    a, b = net.host("a"), net.host("b")

    class Answering(DatagramProtocol):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            self.transport.write(datagram, addr)  # type: ignore[union-attr]

    b.listenUDP(9, Answering())
    a.listenUDP(9, Answering()).write(b"ping", (b.addresses[0], 9))
    with pytest.raises(Livelock, match="the network does not settle") as caught:
        net.settle()
    assert {line.partition(",")[0] for line in caught.value.waiting} == {
        "a:9 -> b:9 (UDP)",
        "b:9 -> a:9 (UDP)",
    }


def test_much_work_is_no_livelock() -> None:
    net, host = alone()
    seen: list[int] = []
    for number in range(20_000):
        host.callLater(0, seen.append, number)
    net.advance(0)
    assert len(seen) == 20_000


class Chatterbox(Protocol):
    """Answers whatever it hears, and begins."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.write(b"?")

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


def chatting() -> tuple[Network, Host]:
    """A host that talks to itself without an end, where nothing takes any time."""
    net, host = alone()
    host.listenTCP(7, Factory.forProtocol(Chatterbox))
    host.connectTCP("127.0.0.1", 7, ClientFactory.forProtocol(Chatterbox))
    return net, host


def test_time_is_over_when_it_is_even_if_somebody_goes_on_talking_to_himself() -> None:
    net, host = chatting()
    later: list[float] = []
    host.callLater(0.0021, lambda: later.append(net.clock.now))
    for end in (0.0005, 0.0025):
        net.advance(end - net.clock.now)
        assert net.clock.now == end
        assert max(packet.sent for packet in net.trace.packets) <= end
    assert later == [0.0021]


def test_a_run_is_given_up_in_time_even_if_somebody_goes_on_talking_to_himself() -> None:
    net, _ = chatting()
    with pytest.raises(Livelock, match=r"not done after 0.002 s"):
        net.run(never(), timeout=0.002)
    assert net.clock.now == 0.002


# Calls from within what runs


async def test_settle_within_a_coroutine_waits_for_others_and_not_for_itself(network: Network) -> None:
    host = network.host("a")
    await deferLater(host, 1)
    network.settle()


def test_what_a_run_has_given_up_is_nobodys_deadlock_later() -> None:
    net, _ = alone()
    with pytest.raises(Deadlock):
        net.run(Deferred())
    net.settle()


async def test_the_only_host_of_a_coroutine_that_has_not_waited_yet_is_the_global_reactors(
    network: Network,
) -> None:
    network.host("a")
    port = real_reactor().listenTCP(7, Factory())
    assert port.getHost().port == 7


def test_who_blocks_a_thread_lets_the_network_go_on() -> None:
    net, host = alone()
    answer: Deferred[str] = deferToThreadPool(
        host,
        host.getThreadPool(),
        lambda: blockingCallFromThread(host, lambda: deferLater(host, 5, lambda: "answer")),  # type: ignore[arg-type]
    )
    assert net.run(answer) == "answer"
    assert net.clock.now == 5


def test_who_blocks_a_thread_for_ever_is_told() -> None:
    net, host = alone()
    with pytest.raises(Deadlock, match="blockingCallFromThread is not done"):
        net.run(deferToThreadPool(host, host.getThreadPool(), lambda: blockingCallFromThread(host, never)))  # type: ignore[arg-type]


def test_a_run_may_be_given_longer() -> None:
    net, host = alone()
    with pytest.raises(Livelock, match="is not done after 864000 s"):
        net.run(deferLater(host, 1e6))
    assert net.run(deferLater(host, 1e6, lambda: "late"), timeout=2e6) == "late"
    assert Network(timeout=2e6).timeout == 2e6
    with pytest.raises(ValueError, match="timeout must be seconds, above 0"):
        net.run(Deferred(), timeout=0)


def test_signals_are_whose_they_were_when_a_host_has_run() -> None:
    _, host = alone()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    during = []
    host.callLater(1, lambda: during.append(signal.getsignal(signal.SIGTERM)))
    host.callLater(2, host.stop)
    host.run()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    assert during != before[1:]
