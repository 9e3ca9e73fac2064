"""Interleaving: within a round every server is measured once, in an order that is shuffled anew; the next round does so again.

All servers of a scenario run all the while, and wait but for one; those of a scenario that looks at memory or at timers run one at a time.
"""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from attrs import define, frozen

from benchmarks.comparison.processes import (
    Failed,
    ServerProcess,
    holding,
    on_processor,
    processors,
    python,
    run_load,
)
from benchmarks.comparison.results import DISTURBED, Outcome, Sample, disturbance, number
from benchmarks.comparison.scenarios import Scenario
from benchmarks.comparison.servers.table import Server

WARM = 0.3
Tell = Callable[[str], None]


@frozen(kw_only=True)
class Plan:
    """What is to be done.

    Attributes:
        scenarios: in their order.
        servers: those that are there.
        rounds: of each scenario, if it has no use for fewer.
        seconds: of one measurement.
        awake: the generator in C never sleeps.
        tries: for a measurement that is disturbed; the least disturbed counts.
        folder: with the programs that were compiled, and the certificate.
    """

    scenarios: list[Scenario]
    servers: list[Server]
    rounds: int
    seconds: float
    awake: bool
    tries: int
    folder: Path

    def measurements(self) -> int:
        """How many there are in all."""
        return sum(self.rounds_of(scenario) * len(self.servers_of(scenario)) for scenario in self.scenarios)

    def servers_of(self, scenario: Scenario) -> list[Server]:
        """Those that can do its job."""
        return [server for server in self.servers if scenario.job in server.jobs]

    def rounds_of(self, scenario: Scenario) -> int:
        """How many of them it has."""
        return min(self.rounds, scenario.most_rounds)


@define
class Progress:
    """Says what is measured, what came out, and how long the rest may take."""

    tell: Tell
    total: int
    done: int = 0
    begun: float = 0.0

    def step(self, text: str) -> None:
        """One more measurement."""
        self.begun = self.begun or time.monotonic()
        self.done += 1
        each = (time.monotonic() - self.begun) / max(1, self.done - 1)
        left = each * (self.total - self.done) / 60
        self.tell(f"[{self.done}/{self.total}, {left:.0f} min left] {text}")


def allow_many_files() -> int:
    """Raise the soft limit of open files to the hard one, which the servers inherit; what it is now."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


class Runner:
    """Runs a plan.

    Args:
        plan: what is to be done.
        tell: called with lines about how it goes.

    Attributes:
        outcomes: of the scenarios that were begun; good whenever it is interrupted.
    """

    def __init__(self, plan: Plan, tell: Tell) -> None:
        self.outcomes: list[Outcome] = []
        self._plan = plan
        self._progress = Progress(tell, plan.measurements())
        self._server_processor, self._load_processor = processors()

    def run(self) -> None:
        """Do all of it, scenario by scenario."""
        allow_many_files()
        with on_processor(self._load_processor):
            for scenario in self._plan.scenarios:
                outcome = Outcome(scenario)
                self.outcomes.append(outcome)
                (self._alone if scenario.alone else self._together)(outcome)

    def _start(self, server: Server, scenario: Scenario) -> ServerProcess:
        command = server.command(self._plan.folder, scenario.job)
        if scenario.job == "tls":
            command += ["--certificate", str(self._plan.folder / "certificate.pem")]
        if scenario.timer and server.keeps_timers:
            command += ["--timer"]
        with on_processor(self._server_processor):
            return ServerProcess(command)

    def _rounds(self, scenario: Scenario) -> Iterable[list[Server]]:
        servers = self._plan.servers_of(scenario)
        for turn in range(self._plan.rounds_of(scenario)):
            yield random.Random(f"{scenario.name} {turn}").sample(servers, len(servers))

    def _together(self, outcome: Outcome) -> None:
        scenario = outcome.scenario
        with ExitStack() as stack:
            running = {
                server.name: stack.enter_context(self._start(server, scenario))
                for server in self._plan.servers_of(scenario)
            }
            ports: dict[str, int] = {}
            for order in self._rounds(scenario):
                for server in order:
                    process = running[server.name]
                    self._try(outcome, server, partial(self._measure, scenario, server, process, ports))

    def _alone(self, outcome: Outcome) -> None:
        scenario = outcome.scenario
        for order in self._rounds(scenario):
            for server in order:
                self._try(outcome, server, partial(self._start_and_measure, scenario, server))

    def _start_and_measure(self, scenario: Scenario, server: Server) -> Sample:
        with self._start(server, scenario) as process:
            return self._measure(scenario, server, process, {})

    def _try(self, outcome: Outcome, server: Server, measure: Callable[[], Sample]) -> None:
        name = f"{outcome.scenario.name} {server.name}"
        if server.name in outcome.failures:
            self._progress.step(f"{name}: left out, it has failed")
            return
        try:
            sample = measure()
        except Failed as failure:
            outcome.fail(server.name, str(failure))
            self._progress.step(f"{name}: {failure}")
            return
        outcome.add(server.name, sample)
        first = outcome.scenario.measures[0]
        self._progress.step(f"{name}: {number(sample.get(first.key), first.digits)} {first.title}")

    def _measure(
        self, scenario: Scenario, server: Server, process: ServerProcess, ports: dict[str, int]
    ) -> Sample:
        if server.name not in ports:
            ports[server.name] = process.port()
        kind, *options = scenario.load
        command = python("tls_load") if kind == "tls" else [str(self._plan.folder / "load"), kind]
        command += [*options, "--port", str(ports[server.name])]
        if self._plan.awake and kind != "tls":
            command += ["--awake"]
        if kind == "idle":
            return self._memory(process, command)
        warm = min(WARM, self._plan.seconds)
        command += ["--server", str(process.pid), "--warm", str(warm), "--seconds", str(self._plan.seconds)]
        keeps_timer = scenario.timer and server.keeps_timers
        return self._least_disturbed(lambda: self._load(command, process, keeps_timer))

    def _load(self, command: list[str], process: ServerProcess, keeps_timer: bool) -> Sample:
        """What one load shows, and the timer that the server keeps meanwhile."""
        if keeps_timer:
            process.report()
        sample = run_load(command, self._plan.seconds)
        return sample | process.report() if keeps_timer else sample

    def _least_disturbed(self, measure: Callable[[], Sample]) -> Sample:
        best = measure()
        for _ in range(self._plan.tries - 1):
            if disturbance(best) <= DISTURBED:
                break
            best = min(best, measure(), key=disturbance)
        return best

    def _memory(self, process: ServerProcess, command: list[str]) -> Sample:
        """Of a connection: what the server has grown by, after one that it had before."""
        count = int(command[command.index("--connections") + 1])
        with holding([*command, "--connections", "1"]):
            before = process.memory()
        with holding(command):
            return {"memory": (process.memory() - before) / count}
