"""The comparison in Markdown: what it was made on, the ratios to Twisted's epoll reactor in one table, and a table a scenario."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.comparison.build import compiler
from benchmarks.comparison.results import DISTURBED, Outcome, number
from benchmarks.comparison.servers.table import Server

REFERENCES = ("c", "twisted-epoll", "uvloop")
PACKAGES = ("twistnet", "Twisted", "uvloop", "rloop", "trio", "gevent", "pyOpenSSL")
NOTES = """\
Servers and load are on a processor each, on the loopback; within a round each server is measured once, in an order that is shuffled
anew. Figures are medians over the rounds; a ratio is the median of the ratios within each round, of the column before the ratios.
Every octet of every reply was compared. Where the generator was busy to more than 0.95, it was the limit and not the server:
compare the CPU a request there, and also where the machine had other work. Every server has the options that its users get: uvloop,
rloop, asyncio, trio and the one in C set TCP_NODELAY, Twisted, with and without twistnet, and gevent do not."""


def environment() -> dict[str, str]:
    """What the figures depend on, besides the programs."""
    return {
        "processor": _processor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "C compiler": _first_line([compiler(), "--version"]),
        "Python": platform.python_version(),
        **{name: found for name in PACKAGES if (found := _version(name))},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _first_line(command: list[str]) -> str:
    return (subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines() or [""])[
        0
    ]


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def made(rounds: int, seconds: float, *, awake: bool) -> str:
    """The options of the run, in words."""
    asleep = ", the generator never slept" if awake else ""
    return f"{rounds} round{'s' * (rounds != 1)}, {seconds:g} s each{asleep}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """In Markdown; so many columns to the left, the others, of figures, to the right."""
    lines = [head, [*["---"] * words, *["---:"] * (len(head) - words)], *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def scenario_table(outcome: Outcome, servers: Sequence[Server]) -> str:
    """The figures of each server, and the ratios of the first of them."""
    first, *others = outcome.scenario.measures
    head = ["server", first.title, *(f"÷ {name}" for name in REFERENCES), *(other.title for other in others)]
    rows = [
        [
            server.name,
            number(outcome.median(server.name, first.key), first.digits),
            *(number(outcome.ratio(server.name, reference, first.key), 2) for reference in REFERENCES),
            *(number(outcome.median(server.name, other.key), other.digits) for other in others),
        ]
        for server in servers
        if server.name in outcome.samples
    ]
    return table(head, rows)


def overview(outcomes: Sequence[Outcome], servers: Sequence[Server], key: str | None = None) -> str:
    """The ratios of all servers to Twisted's epoll reactor, a row a scenario: of its first measure, or of another that it has.

    Nothing, if there is no row.
    """
    shown = [server.name for server in servers if any(server.name in outcome.samples for outcome in outcomes)]
    rows = []
    for outcome in outcomes:
        for measure in outcome.scenario.measures:
            if measure.key == (key or outcome.scenario.measures[0].key):
                better = "more" if measure.more_is_better else "less"
                ratios = [outcome.ratio(name, "twisted-epoll", measure.key) for name in shown]
                label = f"{measure.title} ({better} is better)"
                rows.append([outcome.scenario.name, label, *(number(ratio, 2) for ratio in ratios)])
    return table(["scenario", "of", *shown], rows, words=2) if rows and shown else ""


def markdown(
    outcomes: Sequence[Outcome],
    servers: Sequence[Server],
    skipped: Sequence[str],
    made_with: str,
    plot: str | None,
) -> str:
    """The whole report.

    Args:
        outcomes: of the scenarios.
        servers: in the order of the rows.
        skipped: lines about what was left out.
        made_with: the options of the run, in words.
        plot: the name of the file with the plot, if there is one.
    """
    parts = ["# Servers side by side", NOTES, made_with]
    parts.append(table(["on", ""], environment().items(), words=2))
    parts.append(
        table(["server", "what it is"], [(server.name, server.title) for server in servers], words=2)
    )
    parts += skipped
    if plot is not None:
        parts.append(f"![The ratios as bars]({plot})")
    if ratios := overview(outcomes, servers):
        parts += ["## Relative to Twisted's epoll reactor", ratios]
    if ratios := overview(outcomes, servers, "cpu"):
        parts += ["## CPU, relative to Twisted's epoll reactor", ratios]
    for outcome in outcomes:
        parts.append(f"## {outcome.scenario.name}: {outcome.scenario.title}")
        if outcome.samples:
            parts.append(scenario_table(outcome, servers))
        if outcome.disturbance() > DISTURBED:
            parts.append(
                f"Disturbed: other work had the processors for {outcome.disturbance():.0%} of the time."
            )
        parts += [f"{name} has failed: {why}" for name, why in outcome.failures.items()]
    return "\n\n".join(parts) + "\n"
