"""Timed calls, and what else a reactor promises about the order of things."""

from __future__ import annotations

import functools
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorMulticast,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
    IReactorUNIX,
    IReactorUNIXDatagram,
)
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure

from .script import script
from .world import World


@script()
async def a_call_after_nothing_lets_others_go_first(world: World) -> None:
    """callLater(0) from within a callback runs in the next turn, after I/O had its chance."""
    server, client = await world.pair()
    server.hooks["data"] = lambda p, data: world.record("server", "data", data)
    server.transport.pauseProducing()
    client.transport.write(b"x")
    await world.settle()

    def turns(left: int) -> None:
        world.record("turn", left)
        if left:
            world.later(0, turns, left - 1)

    server.transport.resumeProducing()
    turns(3)
    await world.settle()


@script()
async def calls_of_one_callback_run_in_the_next_turn(world: World) -> None:
    """What a timed call schedules for now comes after all that was scheduled before."""
    world.later(0, lambda: world.later(0, world.record, "scheduled by the first"))
    world.later(0, world.record, "second")
    world.later(0, world.record, "third")
    await world.settle()


@script()
async def calls_come_in_the_order_of_their_times(world: World) -> None:
    """Timed calls run in the order of their times, whatever the order in which they were made."""
    for milliseconds in (80, 20, 60, 40):
        world.later(milliseconds / 1000, world.record, milliseconds)
    await world.sleep(0.1)
    await world.settle()


@script()
async def calls_of_one_time_keep_their_order(world: World) -> None:
    """Calls with one delay run in the order in which they were made."""
    for number in range(20):
        world.later(0.005, world.record, number)
    await world.sleep(0.01)
    await world.settle()


@script()
async def a_cancelled_call_does_not_run(world: World) -> None:
    """cancel makes a call inactive; once more raises AlreadyCancelled."""
    call = world.later(0.001, world.record, "never")
    world.record("active", bool(call.active()))
    call.cancel()
    world.record("active", bool(call.active()))
    world.attempt("cancel", call.cancel)
    world.attempt("reset", call.reset, 1)
    world.attempt("delay", call.delay, 1)
    await world.settle()


@script()
async def a_call_that_has_run_cannot_be_changed(world: World) -> None:
    """cancel, reset and delay of a call that has run raise AlreadyCalled."""
    call = world.later(0, world.record, "runs")
    await world.settle()
    world.record("active", bool(call.active()))
    for name in ("cancel", "reset", "delay"):
        world.attempt(name, getattr(call, name), *([] if name == "cancel" else [1]))


@script()
async def cancelling_a_call_of_the_same_turn(world: World) -> None:
    """A call may cancel another that is due at the same time."""
    calls = [world.later(0, lambda: [call.cancel() for call in calls[1:]])]
    calls.append(world.later(0, world.record, "never"))
    world.later(0, world.record, "third")
    await world.settle()


@script()
async def resetting_and_delaying(world: World) -> None:
    """reset makes a call sooner or later, counted from now; delay adds to what is left."""
    call = world.later(5000, world.record, "was in hours")
    call.reset(0)
    await world.settle()
    call = world.later(0, world.record, "was now")
    call.delay(5000)
    await world.settle()
    world.record("delayed")
    call.reset(0)
    await world.settle()


@script()
async def when_a_call_is_due(world: World) -> None:
    """getTime is the time of the call: now and the delay."""
    before = world.reactor.seconds()
    call = world.later(100, world.record, "never")
    world.record("due", 100 <= call.getTime() - before < 101)
    call.delay(50)
    world.record("delayed", 150 <= call.getTime() - before < 151)
    call.reset(10)
    world.record("reset", 10 <= call.getTime() - before < 11)


@script()
async def the_list_of_calls(world: World) -> None:
    """getDelayedCalls has what is to come, and nothing that was cancelled."""
    call = world.later(100, world.record, "never")
    world.record("listed", call in world.reactor.getDelayedCalls())
    call.cancel()
    world.record("listed", call in world.reactor.getDelayedCalls())


@script()
async def there_is_no_past(world: World) -> None:
    """A negative delay is an AssertionError."""
    world.attempt("callLater", world.reactor.callLater, -1, world.record, "never")


@script()
async def time_passes(world: World) -> None:
    """A call does not come before its time, and seconds never runs backwards."""
    start = world.reactor.seconds()
    await world.sleep(0.01)
    now = world.reactor.seconds()
    world.record("passed", now - start >= 0.01)


@script(logs=(ZeroDivisionError,))
async def an_error_in_a_call(world: World) -> None:
    """An exception in a timed call is logged; the calls after it run."""
    world.later(0, lambda: 1 / 0)
    world.later(0, world.record, "next")
    await world.settle()


@script()
async def arguments_are_passed_on(world: World) -> None:
    """callLater, callWhenRunning and callFromThread pass arguments and keywords on."""
    note = functools.partial(lambda *words, end: world.record(*words, end))
    for call in (functools.partial(world.reactor.callLater, 0), world.reactor.callWhenRunning):
        call(note, "one", "two", end="three")
        await world.settle()
    world.reactor.callFromThread(note, "four", end="five")
    await world.settle()


@script()
async def a_running_reactor_calls_at_once(world: World) -> None:
    """callWhenRunning on a running reactor calls at once."""
    world.record("running", bool(world.reactor.running))
    world.reactor.callWhenRunning(world.record, "called")
    world.record("returned")


@script()
async def calls_from_threads_keep_their_order(world: World) -> None:
    """callFromThread is asynchronous and keeps the order, also of what a call adds."""
    world.reactor.callFromThread(world.record, "first")
    world.reactor.callFromThread(lambda: world.reactor.callFromThread(world.record, "added by the second"))
    world.reactor.callFromThread(world.record, "third")
    world.record("returned")
    await world.settle()


@script(
    differs={
        "asyncio": "callFromThread is a callLater(0) of the turn after",
        "fast-asyncio": "it is asyncio's reactor",
    }
)
async def calls_from_threads_before_timed_ones(world: World) -> None:
    """What comes from a thread runs before the timed calls of the same turn."""
    world.later(0, world.record, "timed")
    world.reactor.callFromThread(world.record, "from a thread")
    await world.settle()


@script()
async def a_later_deferred_can_be_cancelled(world: World) -> None:
    """deferLater fires with what its function returns; cancelled, it fails with CancelledError and never calls it."""
    world.record("result", await deferLater(world.reactor, 0, lambda: "done"))

    def note(failure: Failure) -> None:
        world.record("failed", failure.value.__class__.__name__)

    waiting: Deferred[Any] = deferLater(world.reactor, 0.001, world.record, "never")
    waiting.addErrback(note)
    waiting.cancel()
    await world.settle()


@script()
async def a_looping_call(world: World) -> None:
    """A LoopingCall runs at once and then every interval, until it is stopped."""
    counts: list[int] = []

    def count() -> None:
        counts.append(len(counts))
        if len(counts) == 4:
            looping.stop()

    looping = LoopingCall(count)
    looping.clock = world.reactor
    done = looping.start(0.002)
    world.record("at once", len(counts))
    await done
    world.record("in the end", counts)


@script()
async def what_a_reactor_provides(world: World) -> None:
    """The interfaces that the scripts here rely on."""
    for interface in (
        IReactorCore,
        IReactorMulticast,
        IReactorTCP,
        IReactorTime,
        IReactorUDP,
        IReactorUNIX,
        IReactorUNIXDatagram,
    ):
        world.record(interface.__name__, interface.providedBy(world.reactor))


@script()
async def an_address_resolves_to_itself(world: World) -> None:
    """resolve gives an address back, and 0.0.0.0 for nothing."""
    world.record("address", await world.reactor.resolve("127.0.0.1"))
    world.record("nothing", await world.reactor.resolve(""))


@script()
async def a_shutdown_trigger_can_be_removed(world: World) -> None:
    """addSystemEventTrigger gives what removeSystemEventTrigger takes, once."""
    trigger = world.reactor.addSystemEventTrigger("before", "shutdown", world.record, "never")
    world.attempt("remove", world.reactor.removeSystemEventTrigger, trigger)
