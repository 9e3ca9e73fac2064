"""One use of the command: from a plan to what is shown of it.

The rule of this module: whatever was measured is shown, however it ended.
"""

from __future__ import annotations

import errno
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import click
from attrs import frozen

from ...endpoints.datagram_client import DatagramTarget
from ..outcome import INTERRUPTED, NetworkProblem, run, told
from .descriptors import allow_connections
from .findings import Findings
from .generator import generate_load
from .live import shown_live
from .measurement import Measurement
from .plan import Plan
from .report import ReportFile, page
from .verdict import check_answered

__all__ = ["Output", "run_bench"]


@frozen(kw_only=True)
class Output:
    """How to show it.

    Attributes:
        as_json: Whether as JSON.
        report: The file that a report goes to, if any.
    """

    as_json: bool
    report: str | None


def run_bench(target: Sequence[str], peer: DatagramTarget | None, plan: Plan, output: Output) -> int:
    """Measure, and show what came of it.

    Args:
        target: An endpoint string, or a host and a port.
        peer: The same, if it is for datagrams.
        plan: What to do.
        output: How to show it.

    Returns:
        The exit status.

    Raises:
        ValueError: The target is none, or there can be no such report.
    """
    allow_connections(plan.connections)
    measurement = Measurement()
    problems: list[NetworkProblem] = []

    async def measure(reactor: Any) -> int:
        _end_when_hung_up(reactor)
        try:
            await generate_load(reactor, target, peer, plan, measurement, show)
            check_answered(" ".join(target), plan, measurement)
        except NetworkProblem as problem:
            problems.append(problem)
            return 1
        return 0

    with _report_file(output.report) as file:
        try:
            with shown_live(plan) as show:
                status = run(measure)
        except KeyboardInterrupt:
            status = INTERRUPTED
        problem = problems[0] if status == 1 and problems else None
        ended = f"{problem.word} {problem.rest}" if problem else "interrupted" if status else None
        status = _show(Findings.of(" ".join(target), plan, measurement, ended), output, file) or status
    return told(problem) if problem is not None else status


def _end_when_hung_up(reactor: Any) -> None:
    """Have a terminal that goes away end it as SIGTERM does, unless that is ignored (nohup)."""
    number = getattr(signal, "SIGHUP", None)
    ends = getattr(reactor, "sigTerm", None)  # not on a simulated host
    if number is not None and ends is not None and signal.getsignal(number) is signal.SIG_DFL:
        signal.signal(number, ends)


def _show(findings: Findings, output: Output, file: ReportFile | None) -> int:
    """Write what is to be written; the exit status. Of what was not begun, a program is told."""
    status = 0
    if findings.is_begun:
        status = 0 if file is None else _write_report(findings, file, output.report)
        with suppress(OSError):  # a terminal may have gone away; standard output may be a file
            for warning in findings.warnings():
                click.echo(f"warning: {warning}", err=True)
    if output.as_json:
        click.echo(json.dumps(findings.as_data()))
    elif findings.is_begun:
        click.echo(_writable(findings.as_text()))
    return status


def _writable(text: str) -> str:
    """What standard output can write of a text: a measurement is not lost for the sign of a microsecond."""
    if sys.stdout is None:  # it is closed
        return text
    encoding = sys.stdout.encoding or "ascii"
    return text.encode(encoding, "replace").decode(encoding)


def _write_report(findings: Findings, file: ReportFile, path: str | None) -> int:
    try:
        file.write(page(findings, f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"))
    except OSError as error:
        click.echo(f"FAILED --report {path}: {error.strerror}", err=True)
        return 1
    return 0


@contextmanager
def _report_file(path: str | None) -> Iterator[ReportFile | None]:
    """What to write a report into, if one is wanted: opened at once, so that it is known whether that can be."""
    if path is None:
        yield None
        return
    if path == "-":
        raise ValueError(
            "--report -: the page goes into a file, and not to standard output (./- is a file of that name)"
        )
    if not path:
        raise ValueError("--report: the name of a file is missing")
    try:
        file = ReportFile(path)
    except OSError as error:
        why = "nobody reads this pipe" if error.errno == errno.ENXIO else error.strerror
        raise ValueError(f"--report {path}: {why}") from error
    try:
        yield file
    finally:
        file.close()
