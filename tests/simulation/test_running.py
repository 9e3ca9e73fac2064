"""How time passes: what `run`, `advance` and `settle` wait for, and what they say instead of hanging."""

from __future__ import annotations

import socket
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from tests.simulation.stage import Stage
from twistnet.errors import Deadlock, ErrorsLogged, Livelock, SimulationError, WrongReactor
from twistnet.simulation import Host, Network, Partition

log = Logger()


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
    with pytest.raises(ValueError, match="backwards"):
        net.advance(-1)


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


# What goes wrong unnoticed


def log_an_error() -> None:
    try:
        raise ZeroDivisionError("logged")
    except ZeroDivisionError:
        log.failure("it went wrong")


def forget_a_failure() -> None:
    Deferred[None]().errback(ZeroDivisionError("forgotten"))


def raise_it() -> None:
    raise ZeroDivisionError("raised")


@pytest.mark.parametrize("wrong", [log_an_error, forget_a_failure, raise_it])
@pytest.mark.parametrize(
    "go",
    [
        lambda net, host: net.advance(1),
        lambda net, host: net.run(deferLater(host, 1)),
        lambda net, host: net.advance(1) or net.settle(),
    ],
)
def test_what_goes_wrong_unnoticed_fails_the_run(
    wrong: Callable[[], None], go: Callable[[Network, Host], Any]
) -> None:
    net, host = alone()
    host.callLater(0.5, wrong)
    with pytest.raises(ErrorsLogged, match="1 error was logged while the network ran") as caught:
        go(net, host)
    [failure] = caught.value.failures
    assert failure.check(ZeroDivisionError)
    assert "ZeroDivisionError" in str(caught.value)
    net.advance(1)


def test_what_goes_wrong_in_a_protocol_fails_the_run() -> None:
    class Failing(Protocol):
        def dataReceived(self, data: bytes) -> None:
            raise ZeroDivisionError

    stage = Stage()
    stage.c.listenTCP(7, Factory.forProtocol(Failing))
    endpoint = TCP4ClientEndpoint(stage.a, "c", 7)
    client: Any = stage.net.run(endpoint.connect(Factory.forProtocol(Protocol)))
    client.transport.write(b"x")
    with pytest.raises(ErrorsLogged, match="ZeroDivisionError"):
        stage.net.settle()


def test_what_goes_wrong_after_the_last_run_fails_the_block() -> None:
    net, _ = alone()
    with pytest.raises(ErrorsLogged), net:
        cycle: list[Any] = [Deferred[None]()]
        cycle.append(cycle)
        cycle[0].errback(ZeroDivisionError())
        del cycle


def test_a_test_that_fails_by_itself_is_not_hidden_by_what_was_logged() -> None:
    net, _ = alone()
    with pytest.raises(KeyError), net:
        log_an_error()
        raise KeyError


def test_what_was_logged_outside_is_nobody_s_business() -> None:
    net, _ = alone()
    log_an_error()
    net.advance(1)
    net.check_errors(thoroughly=True)


def test_errors_that_are_expected_are_handed_over() -> None:
    net, host = alone()
    for wrong in (log_an_error, forget_a_failure, raise_it):
        host.callLater(0.5, wrong)
    with net.expected_errors(ZeroDivisionError) as caught:
        net.advance(1)
    assert sorted(str(failure.value) for failure in caught) == ["forgotten", "logged", "raised"]
    net.check_errors(thoroughly=True)


def test_only_the_errors_that_are_named_are_expected() -> None:
    net, host = alone()
    host.callLater(0.5, raise_it)
    with net.expected_errors(KeyError) as caught, pytest.raises(ErrorsLogged):
        net.advance(1)
    assert caught == []


def test_without_a_name_any_error_is_expected_and_blocks_may_be_nested() -> None:
    net, host = alone()
    host.callLater(0.5, raise_it)
    host.callLater(0.5, lambda: ().index("missing"))
    with net.expected_errors() as rest, net.expected_errors(ValueError) as missing:
        net.advance(1)
    assert [failure.type for failure in missing] == [ValueError]
    assert [failure.type for failure in rest] == [ZeroDivisionError]
    host.callLater(0.5, raise_it)
    with pytest.raises(ErrorsLogged):
        net.advance(1)


# The wrong reactor


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
