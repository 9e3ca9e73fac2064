"""Servers side by side: every server under every load, round after round, and a report with medians and ratios.

    python -m benchmarks.comparison [--rounds 5] [--seconds 1] [--tries 3] [--awake] [--scenario NAME …] [--server NAME …] [--out FOLDER] [--json]

Names may be shell patterns; --list tells them. The report goes to standard output, in Markdown or as JSON; with --out also into a
folder: comparison.md, comparison.svg, comparison.json. How it goes is told on standard error. A server whose library is not
installed is left out (benchmarks/comparison/requirements.txt has them). Needs Linux, a C compiler, and two processors that have
nothing else to do. Interrupted, it reports what it has measured until then.
Exit status 1 if a server has failed; 2 if nothing could be measured, or a name matches nothing.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.comparison.build import CannotBuild, build
from benchmarks.comparison.certificate import write_certificate
from benchmarks.comparison.plot import svg
from benchmarks.comparison.processes import processors
from benchmarks.comparison.report import environment, made, markdown
from benchmarks.comparison.results import Outcome
from benchmarks.comparison.runner import Plan, Runner, allow_many_files
from benchmarks.comparison.scenarios import SCENARIOS, Scenario, chosen
from benchmarks.comparison.servers.table import SERVERS, Server


def tell(line: str) -> None:
    """To the person who waits: over the last line, on a terminal."""
    start, end = ("\r\x1b[K", "") if sys.stderr.isatty() else ("", "\n")
    print(f"{start}{line}", end=end, file=sys.stderr, flush=True)


def read_command_line(words: list[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.comparison",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rounds", type=int, default=5, help="of each scenario (default: 5)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement (default: 1)")
    parser.add_argument("--scenario", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--server", nargs="+", default=[], metavar="NAME")
    parser.add_argument(
        "--list", action="store_true", help="name the scenarios and the servers, and measure nothing"
    )
    parser.add_argument(
        "--awake", action="store_true", help="the generator in C never sleeps, so that no server wakes it"
    )
    parser.add_argument(
        "--tries",
        type=int,
        default=3,
        help="for a measurement that other work disturbs; the least disturbed counts (default: 3)",
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER")
    parser.add_argument("--json", action="store_true", help="print JSON instead of Markdown")
    options = parser.parse_args(words)
    if min(options.rounds, options.tries) < 1 or not 0 < options.seconds < math.inf:
        parser.error("at least one round and one try, of more than no seconds")
    for option, patterns, there in (
        ("--scenario", options.scenario, SCENARIOS),
        ("--server", options.server, SERVERS),
    ):
        for pattern in patterns:
            if not any(fnmatchcase(one.name, pattern) for one in there):
                parser.error(f"{option}: nothing is called {pattern!r}; --list names what there is")
    return options


def give_list() -> str:
    """What there is to choose from."""
    lines = ["scenarios:", *(f"  {scenario.name:18} {scenario.title}" for scenario in SCENARIOS), "servers:"]
    for server in SERVERS:
        missing = server.missing()
        lines.append(f"  {server.name:18} {server.title}{not_installed(missing) if missing else ''}")
    return "\n".join(lines)


def not_installed(missing: list[str]) -> str:
    """As a remark on a server."""
    return f" (left out: {', '.join(missing)} is not installed)"


def choose_servers(patterns: list[str]) -> tuple[list[Server], list[str]]:
    """Those that match and are installed, and a line about each that is not."""
    asked = [
        server for server in SERVERS if not patterns or any(fnmatchcase(server.name, one) for one in patterns)
    ]
    skipped = [f"{server.name}{not_installed(server.missing())}" for server in asked if server.missing()]
    return [server for server in asked if not server.missing()], skipped


def choose_scenarios(patterns: list[str]) -> tuple[list[Scenario], list[str]]:
    """Those that match and that the limit of open files allows, and a line about each that it does not."""
    limit, fit, skipped = allow_many_files(), [], []
    for scenario in chosen(patterns):
        words = dict(zip(scenario.load, scenario.load[1:], strict=False))
        if int(words.get("--connections", 1)) + 100 > limit:
            skipped.append(
                f"{scenario.name} (left out: it needs more open files than {limit}, see ulimit -Hn)"
            )
        else:
            fit.append(scenario)
    return fit, skipped


def write_report(
    options: argparse.Namespace, plan: Plan, outcomes: list[Outcome], skipped: list[str]
) -> None:
    """Into the folder, and to standard output."""
    said = made(plan.rounds, plan.seconds, awake=plan.awake)
    facts = {
        "environment": environment(),
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "awake": plan.awake,
        "left_out": skipped,
        "scenarios": [outcome.as_json() for outcome in outcomes],
    }
    as_json = json.dumps(facts, indent=1, ensure_ascii=False)
    if options.out is not None:
        text = markdown(outcomes, plan.servers, skipped, said, "comparison.svg")
        with folder_problems(options.out):
            (options.out / "comparison.md").write_text(text, "utf-8")
            (options.out / "comparison.svg").write_text(svg(outcomes, plan.servers), "utf-8")
            (options.out / "comparison.json").write_text(as_json, "utf-8")
    give(as_json if options.json else markdown(outcomes, plan.servers, skipped, said, None))


@contextmanager
def folder_problems(folder: Path) -> Iterator[None]:
    """Whatever is wrong with the folder of the report ends it, with a line."""
    try:
        yield
    except OSError as error:
        print(f"--out {folder}: {error.strerror}", file=sys.stderr)
        sys.exit(2)


def give(text: str = "") -> None:
    """Write to standard output, or what is left of it; if it cannot be written, that is the end, with a line."""
    try:
        print(text, end="\n" * bool(text), flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would complain as it exits
        if error.errno == errno.EPIPE:
            sys.exit(141)
        print(f"standard output: {error.strerror}", file=sys.stderr)
        sys.exit(1)


def compare(options: argparse.Namespace, folder: Path) -> int:
    """Build, measure, report; the exit status."""
    servers, skipped = choose_servers(options.server)
    scenarios, too_large = choose_scenarios(options.scenario)
    skipped += too_large
    plan = Plan(
        scenarios=scenarios,
        servers=servers,
        rounds=options.rounds,
        seconds=options.seconds,
        awake=options.awake,
        tries=options.tries,
        folder=folder,
    )
    for line in skipped:
        print(line, file=sys.stderr)
    if plan.measurements() == 0:
        print("no server is there for any scenario: see --list", file=sys.stderr)
        return 2
    if len(set(processors())) == 1:
        print("only one processor may be used: the load takes what the servers would need", file=sys.stderr)
    build(folder)
    write_certificate(folder / "certificate.pem")
    outcomes, interrupted = measure(plan)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if interrupted:
        skipped.append(interruption(plan, outcomes))
    write_report(options, plan, outcomes, skipped)
    return 130 if interrupted else int(any(outcome.failures for outcome in outcomes))


def measure(plan: Plan) -> tuple[list[Outcome], bool]:
    """What the scenarios have shown, as far as it came, and whether somebody has interrupted it."""
    runner, interrupted = Runner(plan, tell), False
    try:
        runner.run()
    except KeyboardInterrupt:
        interrupted = True
    return [outcome for outcome in runner.outcomes if outcome.samples or outcome.failures], interrupted


def interruption(plan: Plan, outcomes: list[Outcome]) -> str:
    """How far it came."""
    number = sum(len(samples) for outcome in outcomes for samples in outcome.samples.values())
    cut = [
        f"{outcome.scenario.name} has {outcome.rounds()} of {plan.rounds_of(outcome.scenario)} rounds"
        for outcome in outcomes
        if outcome.rounds() < plan.rounds_of(outcome.scenario)
    ]
    return "; ".join([f"interrupted: {number} of {plan.measurements()} measurements were made", *cut])


def main(words: list[str] | None = None) -> None:
    """Do what the command line says."""
    try:
        _main(words)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        give()  # what argparse has printed


def _main(words: list[str] | None) -> None:
    options = read_command_line(words)
    if options.list:
        give(give_list())
        return
    if not sys.platform.startswith("linux"):
        sys.exit("the comparison needs Linux: epoll, processors to pin to, /proc")
    if options.out is not None:
        with folder_problems(options.out):
            options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            sys.exit(compare(options, Path(folder)))
        except CannotBuild as failure:
            print(failure, file=sys.stderr)
            sys.exit(2)
