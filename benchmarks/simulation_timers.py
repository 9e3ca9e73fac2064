"""What a timer costs: `callLater` of a simulated host beside the real reactor's and `task.Clock`'s, in one process, in turn.

    python benchmarks/simulation_timers.py [--timers 200000] [--repeats 3] [--full]

Three loads, all at random times within an hour: every timer fires; every other one is cancelled first; every one is
reset to a later time first, as an idle timeout is. The real reactor's timers are made to be due by a clock of our own.
Prints the CPU of a timer, set, changed and fired, and the median of the ratios of each repetition. Exit status 1 if a
simulated timer that fires costs 3 microseconds or more.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.task import Clock

from twistnet.simulation import Network, Trace

LIMIT = 3.0
HOUR = 3600.0
Pass = Callable[[float], object]


def simulated(trace: Trace) -> tuple[Any, Pass]:
    """A simulated host, and what lets time pass."""
    network = Network(trace=trace)
    return network.host("host"), network.advance


def real() -> tuple[Any, Pass]:
    """The real reactor, never run, on a clock that we move."""
    reactor: Any = EPollReactor()
    now = [0.0]
    reactor.seconds = lambda: now[0]

    def advance(seconds: float) -> None:
        now[0] += seconds
        reactor.runUntilCurrent()

    return reactor, advance


def clock() -> tuple[Any, Pass]:
    """Twisted's own clock for tests."""
    made = Clock()
    return made, made.advance


WORLDS: dict[str, Callable[[], tuple[Any, Pass]]] = {
    "simulated": lambda: simulated(Trace(limit=0)),
    "simulated, traced": lambda: simulated(Trace()),
    "real reactor": real,
    "task.Clock": clock,
}


def nothing(calls: list[Any]) -> None:
    """Every timer fires."""


def cancel_half(calls: list[Any]) -> None:
    """Every other timer is cancelled."""
    for call in calls[::2]:
        call.cancel()


def reset_all(calls: list[Any]) -> None:
    """Every timer is set anew, for later than it was."""
    for call in calls:
        call.reset(HOUR)


LOADS = {"set and fired": nothing, "half of them cancelled": cancel_half, "all of them reset": reset_all}


def cost(world: str, load: str, delays: list[float]) -> float:
    """CPU in microseconds a timer."""
    host, advance = WORLDS[world]()
    fired = [0]

    def fire() -> None:
        fired[0] += 1

    gc.collect()
    begun = time.process_time()
    call_later = host.callLater
    calls = [call_later(delay, fire) for delay in delays]
    LOADS[load](calls)
    advance(HOUR)
    spent = time.process_time() - begun
    expected = len(delays) // 2 if load == "half of them cancelled" else len(delays)
    if fired[0] != expected:
        sys.exit(f"{world}: {fired[0]} of {expected} timers fired")
    return spent / len(delays) * 1e6


def compare(load: str, count: int, repeats: int, worlds: list[str]) -> float:
    """Measure one load in some worlds, interleaved, and print a line; the simulation's cost."""
    costs: dict[str, list[float]] = {world: [] for world in worlds}
    for seed in range(repeats):
        chance = random.Random(seed)
        delays = [chance.random() * HOUR for _ in range(count)]
        for world in worlds:
            costs[world].append(cost(world, load, delays))
    parts = []
    for world, values in costs.items():
        ratio = statistics.median(a / b for a, b in zip(values, costs["simulated"], strict=True))
        of = "" if world == "simulated" else f" ({ratio:.1f} times as much)"
        parts.append(f"{world} {statistics.median(values):.2f} us{of}")
    print(f"{count} timers, {load}: {'; '.join(parts)}", flush=True)
    return statistics.median(costs["simulated"])


def _count(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError("must be 2 or more")
    return number


def main() -> None:
    """Compare under all loads, `task.Clock` with few timers only: it sorts them all whenever one is set."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--timers", type=_count, default=200_000)
    parser.add_argument("--few", type=_count, default=3000, help="timers beside task.Clock")
    parser.add_argument("--repeats", type=int, choices=range(1, 100), metavar="1-99", default=3)
    parser.add_argument("--full", action="store_true", help="1,000,000 timers, and 10,000 beside task.Clock")
    options = parser.parse_args()
    many, few = (1_000_000, 10_000) if options.full else (options.timers, options.few)
    worlds = [world for world in WORLDS if world != "task.Clock"]
    costs = {load: compare(load, many, options.repeats, worlds) for load in LOADS}
    for load in LOADS:
        compare(load, few, options.repeats, list(WORLDS))
    if costs["set and fired"] >= LIMIT:
        sys.exit(f"a timer costs {costs['set and fired']:.2f} us: {LIMIT:.0f} us or more")


if __name__ == "__main__":
    main()
