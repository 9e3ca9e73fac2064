"""How the servers are loaded, and what is shown of it: a table."""

from __future__ import annotations

from fnmatch import fnmatchcase

from attrs import evolve, frozen


@frozen
class Measure:
    """One of the figures that the generator or the server reports.

    Attributes:
        key: its name there.
        title: of its column.
        digits: after the point.
        more_is_better: or less.
    """

    key: str
    title: str
    digits: int = 0
    more_is_better: bool = False


RATE = Measure("rate", "requests/s", more_is_better=True)
CPU = Measure("cpu", "CPU µs a request", 2)
P50 = Measure("p50", "p50 µs")
P99 = Measure("p99", "p99 µs")
BUSY = Measure("generator_busy", "generator busy", 2)
USUAL = (RATE, CPU, P50, P99, BUSY)


@frozen(kw_only=True)
class Scenario:
    """One way to load every server.

    Attributes:
        name: as `--scenario` takes it.
        title: what is done.
        job: what the server does.
        load: the kind of the load, and its options.
        measures: what is shown; ratios are of the first.
        alone: each server is started for each measurement and ended after it; else all wait while one is measured.
        timer: the server keeps a timer at the same time.
        most_rounds: further ones would show nothing.
    """

    name: str
    title: str
    job: str
    load: tuple[str, ...]
    measures: tuple[Measure, ...] = USUAL
    alone: bool = False
    timer: bool = False
    most_rounds: int = 1000


def _options(**values: int) -> tuple[str, ...]:
    return tuple(word for name, value in values.items() for word in (f"--{name}", str(value)))


def _count(number: int, of: str) -> str:
    return f"{number:,} {of}{'s' if number > 1 else ''}"


def _echo(name: str, octets: str, size: int, connections: int) -> Scenario:
    return Scenario(
        name=f"{name}-{connections}",
        title=f"TCP echo, {octets}, {_count(connections, 'connection')}",
        job="echo",
        load=("echo", *_options(size=size, connections=connections)),
    )


def _lines(connections: int) -> Scenario:
    return Scenario(
        name=f"lines-{connections}",
        title=f"TCP, 16 lines of 64 B a read, {_count(connections, 'connection')}",
        job="lines",
        load=("lines", "--batch", *_options(window=16, connections=connections)),
    )


def _datagrams(sockets: int, window: int) -> Scenario:
    lost = Measure("lost", "lost")
    return Scenario(
        name=f"udp-{sockets}x{window}",
        title=f"UDP echo, 64 B, {_count(sockets, 'socket')}, {_count(window, 'datagram')} under way on each",
        job="datagrams",
        load=("datagrams", *_options(connections=sockets, window=window)),
        measures=(*USUAL, lost),
    )


def _tls(connections: int) -> Scenario:
    return Scenario(
        name=f"tls-{connections}",
        title=f"TLS echo, 1 KiB, {_count(connections, 'connection')}",
        job="tls",
        load=("tls", *_options(size=1024, connections=connections)),
    )


def _web(connections: int) -> Scenario:
    return Scenario(
        name=f"web-{connections}",
        title=f"a page of twisted.web, 1 KiB, {_count(connections, 'connection')} kept alive",
        job="web",
        load=("web", *_options(size=1024, connections=connections)),
    )


def _awake(scenario: Scenario) -> Scenario:
    return evolve(
        scenario,
        name=f"{scenario.name}-awake",
        title=f"{scenario.title}; the generator never sleeps",
        load=(*scenario.load, "--awake"),
    )


FLOOD = Scenario(
    name="flood",
    title="UDP echo, 64 B, a flood of 400,000 datagrams/s from 10 sockets",
    job="datagrams",
    load=("flood", *_options(connections=10, rate=400_000)),
    measures=(
        Measure("loss", "lost %", 1),
        Measure("sent", "sent/s", more_is_better=True),
        Measure("rate", "returned/s", more_is_better=True),
        CPU,
        BUSY,
    ),
)
ACCEPTS = Scenario(
    name="accepts",
    title="TCP connect, echo 64 B, close; 32 at a time",
    job="echo",
    load=("accepts", *_options(connections=32)),
    measures=(
        Measure("rate", "connections/s", more_is_better=True),
        Measure("cpu", "CPU µs a connection", 1),
        P50,
        P99,
        BUSY,
        Measure("failed", "failed"),
    ),
)
MEMORY = Scenario(
    name="memory",
    title="memory of an idle TCP connection, of 10,000 that have each echoed 64 B",
    job="echo",
    load=("idle", *_options(connections=10_000)),
    measures=(Measure("memory", "KiB a connection", 2),),
    alone=True,
    most_rounds=3,
)
FAIRNESS = Scenario(
    name="fairness",
    title="TCP round trips of 64 B, and a timer of 10 ms, beside a peer that sends blocks of 64 KiB without end",
    job="echo",
    load=("fairness",),
    measures=(
        P99,
        P50,
        Measure("timer_p50", "timer's error p50 µs"),
        Measure("timer_p99", "timer's error p99 µs"),
        Measure("timer_max", "timer's error, largest µs"),
        Measure("greedy", "the other peer's MB/s", more_is_better=True),
        BUSY,
    ),
    alone=True,
    timer=True,
)
SCENARIOS = (
    *(_echo("echo-64", "64 B", 64, connections) for connections in (1, 10, 100, 1000)),
    *(_echo("echo-1k", "1 KiB", 1024, connections) for connections in (1, 10, 100, 1000)),
    *(_echo("blocks", "64 KiB", 65536, connections) for connections in (10, 100)),
    *(_lines(connections) for connections in (10, 100)),
    *(_datagrams(sockets, window) for sockets in (1, 100) for window in (1, 16)),
    FLOOD,
    ACCEPTS,
    MEMORY,
    FAIRNESS,
    *(_tls(connections) for connections in (10, 100)),
    *(_web(connections) for connections in (10, 100)),
    *(_awake(_web(connections)) for connections in (10, 100)),
)


def chosen(patterns: list[str]) -> list[Scenario]:
    """Those whose names match a shell pattern; all, without any."""
    return [
        scenario
        for scenario in SCENARIOS
        if not patterns or any(fnmatchcase(scenario.name, pattern) for pattern in patterns)
    ]
