"""Virtual time: what happens in which order, and how delayed calls behave."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import Clock as TwistedClock
from twisted.internet.task import LoopingCall
from zope.interface.verify import verifyObject

from twistnet.simulation import Host, Network, Trace
from twistnet.simulation.clock import Clock, Later

TIMES = st.sampled_from([0.0, 0.25, 0.999, 1.0, 1.5, 2.0, 59.0, 3600.5, 1e12, 1e17, float("inf")])


def alone() -> tuple[Network, Host]:
    """A network of one host."""
    net = Network()
    return net, net.host("alone")


class Alarm(Later):
    """An event that may be called off."""

    def __init__(self, clock: Clock, delay: float, ring: Callable[[], object]) -> None:
        self.due, self.order, self.state = clock.now + delay, next(clock.order), 0
        self.call = lambda alarm: alarm.state or ring()
        clock.wait_for(self)


# The heap


def test_events_of_one_instant_happen_in_the_order_of_scheduling() -> None:
    clock, seen = Clock(), list[int]()
    for number in range(20):
        (clock.carry if number % 3 else clock.after)(1.0, seen.append, number)
    clock.now = 1.0
    clock.fire_due()
    assert seen == list(range(20))
    assert clock.fired == 20


def test_nothing_happens_before_its_time() -> None:
    clock, seen = Clock(), list[str]()
    clock.after(2.0, seen.append, "late")
    clock.carry(1.0, seen.append, "early")
    assert clock.next_time == 1.0
    clock.now = 1.0
    clock.fire_due()
    assert seen == ["early"]
    assert clock.next_time == 2.0


def test_what_an_event_schedules_for_its_own_instant_waits_for_the_next_turn() -> None:
    clock, seen = Clock(), list[str]()

    def first(_: object) -> None:
        seen.append("first")
        clock.after(0.0, seen.append, "later")
        clock.carry(0.0, seen.append, "later still")

    clock.after(0.0, first)
    clock.after(0.0, seen.append, "second")
    clock.fire_due()
    assert seen == ["first", "second"]
    clock.fire_due()
    assert seen == ["first", "second", "later", "later still"]
    assert clock.next_time is None


@given(st.lists(st.tuples(TIMES, st.lists(TIMES, max_size=3)), max_size=30), st.sets(st.integers(0, 29)))
def test_timers_fire_in_order_however_far_apart(
    plan: list[tuple[float, list[float]]], taken: set[int]
) -> None:
    clock, fired, due = Clock(), list[tuple[float, int]](), list[tuple[float, int]]()
    number, alarms = count(), list[Alarm]()

    def wait(delay: float, then: list[float]) -> None:
        due.append((clock.now + delay, next(number)))
        if due[-1][1] in taken:
            alarms.append(Alarm(clock, delay, lambda: None))
        else:
            clock.after(delay, fire, (due[-1], then))

    def fire(what: tuple[tuple[float, int], list[float]]) -> None:
        fired.append(what[0])
        assert clock.now == what[0][0]
        for delay in what[1]:
            wait(delay, [])

    for delay, then in plan:
        wait(delay, then)
    for alarm in alarms:
        alarm.state = 1
    clock.discard_dead()
    assert clock.waiting == len(plan) - len(alarms)
    taken &= {number for _, number in due}
    due = [timer for timer in due if timer[1] not in taken]
    while (soonest := clock.next_time) is not None:
        clock.now = soonest
        clock.fire_due()
    assert fired == sorted(due)
    assert not clock.timers


def test_what_was_called_off_is_taken_out_and_nothing_else() -> None:
    clock, seen = Clock(), list[int]()
    alarms = [Alarm(clock, 1.0, lambda number=number: seen.append(number)) for number in range(10)]  # type: ignore[misc]
    clock.after(1.0, seen.append, 98)
    clock.carry(1.0, seen.append, 99)
    for alarm in alarms[::2]:
        alarm.state = 1
    clock.discard_dead()
    assert clock.waiting == 6
    clock.now = 1.0
    clock.fire_due()
    assert seen == [1, 3, 5, 7, 9, 98, 99]


# Delayed calls


def test_a_call_is_made_at_its_time_and_sees_it() -> None:
    net, host = alone()
    seen = list[float]()
    for delay in (3.0, 0.0, 1.5, 1.5, 2.25):
        host.callLater(delay, lambda: seen.append(host.seconds()))
    net.advance(2.0)
    assert seen == [0.0, 1.5, 1.5]
    assert host.seconds() == 2.0
    net.advance(1.0)
    assert seen == [0.0, 1.5, 1.5, 2.25, 3.0]


def test_a_call_is_given_its_arguments() -> None:
    net, host = alone()
    seen = list[Any]()
    host.callLater(1, lambda *args, **kw: seen.append((args, kw)), 1, "two", three=3)
    net.advance(1)
    assert seen == [((1, "two"), {"three": 3})]


def test_calls_of_several_hosts_at_one_instant_keep_their_order() -> None:
    net = Network()
    hosts = [net.host(name) for name in "abc"]
    seen = list[str]()
    for host in [*hosts, *reversed(hosts)]:
        host.callLater(1, seen.append, host.name)
    net.advance(1)
    assert seen == ["a", "b", "c", "c", "b", "a"]


def test_calls_for_now_are_made_in_the_next_turn_after_those_that_are_due() -> None:
    net, host = alone()
    seen = list[str]()

    def first() -> None:
        seen.append("first")
        host.callLater(0, seen.append, "from the first")

    host.callLater(1, first)
    host.callLater(1, seen.append, "second")
    net.advance(1)
    assert seen == ["first", "second", "from the first"]


def test_a_negative_delay_is_refused() -> None:
    _, host = alone()
    with pytest.raises(AssertionError):
        host.callLater(-0.1, lambda: None)


def test_a_call_that_was_cancelled_is_not_made() -> None:
    net, host = alone()
    seen = list[int]()
    call = host.callLater(1, seen.append, 1)
    assert verifyObject(IDelayedCall, call)
    assert call.active()
    call.cancel()
    assert not call.active()
    for again in (call.cancel, lambda: call.reset(1), lambda: call.delay(1)):
        with pytest.raises(AlreadyCancelled):
            again()
    net.advance(5)
    assert seen == []


def test_a_call_that_was_made_cannot_be_changed() -> None:
    net, host = alone()
    call = host.callLater(1, lambda: None)
    net.advance(1)
    assert not call.active()
    for again in (call.cancel, lambda: call.reset(1), lambda: call.delay(1)):
        with pytest.raises(AlreadyCalled):
            again()


def test_a_call_is_moved() -> None:
    net, host = alone()
    seen = list[tuple[str, float]]()

    def note(name: str) -> None:
        seen.append((name, host.seconds()))

    calls = {name: host.callLater(10, note, name) for name in ("reset", "delayed", "brought forward", "both")}
    net.advance(1)
    calls["reset"].reset(2)
    calls["delayed"].delay(5)
    calls["brought forward"].delay(-4)
    calls["both"].reset(1)
    calls["both"].reset(20)
    assert {name: call.getTime() for name, call in calls.items()} == {
        "reset": 3.0,
        "delayed": 15.0,
        "brought forward": 6.0,
        "both": 21.0,
    }
    net.advance(30)
    assert seen == [("reset", 3.0), ("brought forward", 6.0), ("delayed", 15.0), ("both", 21.0)]


def test_a_call_that_is_brought_forward_past_now_is_made_now() -> None:
    net, host = alone()
    seen = list[float]()
    call = host.callLater(5, lambda: seen.append(host.seconds()))
    net.advance(3)
    call.delay(-4)
    net.advance(0)
    assert seen == [3.0]


Step = tuple[str, int, float]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["later", "reset", "delay", "cancel", "advance"]),
        st.integers(0, 5),
        st.sampled_from([0.0, 0.5, 1.0, 2.0, -0.5]),
    ),
    max_size=30,
)


def replay(
    steps: list[Step], later: Callable[..., Any], advance: Callable[[float], Any], now: Any
) -> list[Any]:
    """What a reactor makes of some steps."""
    calls, seen = list[Any](), list[Any]()
    for number, (what, which, seconds) in enumerate(steps):
        if what == "later":
            calls.append(later(abs(seconds), lambda number=number: seen.append((number, now()))))
        elif what == "advance":
            advance(abs(seconds))
            seen.append("|")
        elif which < len(calls) and calls[which].active():
            change = getattr(calls[which], what)
            change() if what == "cancel" else change(abs(seconds))
    advance(1000)
    return seen


@given(STEPS)
def test_calls_are_made_when_twisted_says(steps: list[Step]) -> None:
    """The set of calls at each instant is the same; their order within one is the simulation's own."""
    net, host = alone()
    clock = TwistedClock()

    def each_instant(seconds: float) -> None:
        clock.pump([0.5] * int(seconds * 2))

    mine = replay(steps, host.callLater, net.advance, host.seconds)
    theirs = replay(steps, clock.callLater, each_instant, clock.seconds)
    split = [index for index, one in enumerate(theirs) if one == "|"]
    if not any(what == "later" and not seconds for what, _, seconds in steps):
        assert [one for one in mine if one != "|"] == sorted(
            [one for one in mine if one != "|"], key=lambda one: one[1]
        )
        if not any(what in {"reset", "delay"} and not seconds for what, _, seconds in steps):
            assert sorted(map(str, mine)) == sorted(map(str, theirs)), split


def test_the_calls_that_wait_are_listed() -> None:
    net = Network()
    host, other = net.host("one"), net.host("other")
    kept = [host.callLater(delay, lambda: None) for delay in (1, 2, 3)]
    other.callLater(1, lambda: None)
    kept[1].cancel()
    kept[2].reset(1)
    kept[2].reset(9)
    assert set(host.getDelayedCalls()) == {kept[0], kept[2]}
    assert len(host.getDelayedCalls()) == 2
    net.advance(5)
    assert host.getDelayedCalls() == [kept[2]]


def test_cancelled_calls_do_not_pile_up() -> None:
    net, host = alone()
    host.callLater(1000, lambda: None)
    for _ in range(50_000):
        host.callLater(500, lambda: None).cancel()
    assert len(net.clock.timers) < 5_000
    assert len(host.getDelayedCalls()) == 1


def test_cancelled_calls_of_many_hosts_do_not_pile_up_together() -> None:
    net, live = Network(), 0
    for number in range(50):
        host = net.host(f"h{number}")
        for seconds in range(200):
            host.callLater(seconds, lambda: None)
            live += 1
        for seconds in range(900):
            host.callLater(seconds, lambda: None).cancel()
    assert live <= net.clock.waiting <= 2 * live + 2_000
    assert sum(len(host.getDelayedCalls()) for host in net.hosts.values()) == live


def test_calls_that_are_moved_again_and_again_do_not_pile_up() -> None:
    net, host = alone()
    call = host.callLater(500, lambda: None)
    for _ in range(20_000):
        call.reset(500)
    assert len(net.clock.timers) < 5_000
    for seconds in range(20_000, 0, -1):
        call.reset(seconds / 100)
    assert len(net.clock.timers) < 25_000


def test_a_cancelled_call_keeps_nothing_alive() -> None:
    net, host = alone()
    tracemalloc.start()
    try:
        calls = [host.callLater(500, lambda data: None, bytes(10_000)) for _ in range(500)]
        for call in calls:
            call.cancel()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
    assert net.clock.now == 0.0


def test_a_call_that_fails_is_logged_and_stops_nobody() -> None:
    net, host = alone()
    seen = list[int]()

    def fail() -> None:
        raise ZeroDivisionError("on purpose")

    host.callLater(1, fail)
    host.callLater(1, seen.append, 1)
    with net.expected_errors(ZeroDivisionError) as caught:
        net.advance(2)
    assert seen == [1]
    assert len(caught) == 1


def test_a_looping_call_is_called_at_each_of_its_times() -> None:
    net, host = alone()
    seen = list[float]()
    loop = LoopingCall(lambda: seen.append(host.seconds()))
    loop.clock = host
    with net:
        done = loop.start(0.25, now=False)
        net.advance(2.6)
        loop.stop()
        assert net.run(done) is loop
    assert seen == [number / 4 for number in range(1, 11)]


# A host's own clock


def test_a_clock_that_is_ahead_changes_nothing_but_what_it_shows() -> None:
    net, host = alone()
    host.skew = 3600.0
    seen = list[float]()
    call = host.callLater(10, lambda: seen.append(host.seconds()))
    assert host.seconds() == 3600.0
    assert call.getTime() == 3610.0
    net.advance(10)
    assert seen == [3610.0]
    assert net.clock.now == 10.0


def test_a_clock_that_is_fast_measures_less_of_the_networks_time() -> None:
    net = Network()
    fast, true, slow = net.host("fast"), net.host("true"), net.host("slow")
    fast.rate, slow.rate = 1.25, 0.5
    seen = dict[str, tuple[float, float]]()
    for host in (fast, true, slow):
        host.callLater(10, lambda host=host: seen.update({host.name: (net.clock.now, host.seconds())}))
    net.advance(100)
    assert seen == {"fast": (8.0, 10.0), "true": (10.0, 10.0), "slow": (20.0, 10.0)}


def test_a_call_is_moved_by_the_clock_of_its_host() -> None:
    net, host = alone()
    host.rate = 2.0
    seen = list[float]()
    calls = [host.callLater(100, lambda: seen.append(net.clock.now)) for _ in range(2)]
    net.advance(10)
    calls[0].reset(30)
    calls[1].delay(-40)
    assert [call.getTime() for call in calls] == [50.0, 60.0]
    net.advance(100)
    assert seen == [25.0, 30.0]


def test_each_host_has_its_own_time() -> None:
    net = Network(trace=Trace(limit=0))
    one, other = net.host("one"), net.host("other")
    one.skew, other.skew = 5.0, -5.0
    net.advance(10)
    assert (one.seconds(), other.seconds()) == (15.0, 5.0)


def test_a_time_too_short_for_the_clock_of_the_network_passes_all_the_same() -> None:
    net = Network()
    host = net.host("a")
    net.advance(1e9)
    times: list[float] = []
    for _ in range(3):
        host.callLater(1e-9, lambda: times.append(net.clock.now))
        net.advance(1)
    assert times[0] > 1e9


def test_a_loop_goes_on_by_a_clock_that_tells_shorter_times_than_the_network_s() -> None:
    net = Network()
    host = net.host("a")
    net.advance(1e9)
    host.skew = -1e9
    times: list[float] = []
    looping = LoopingCall(lambda: times.append(host.seconds()))
    looping.clock = host
    looping.start(0.1)
    net.advance(10)
    assert 100 <= len(times) <= 202
