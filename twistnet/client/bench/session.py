"""One use of the command: from a plan to what is shown of it.

The rule of this module: whatever was measured is shown, however it ended.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any

import click
from attrs import frozen

from ...endpoints.datagram_client import DatagramTarget
from ..outcome import INTERRUPTED, NetworkProblem, run, told
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
    _raise_descriptor_limit()
    measurement = Measurement()
    problems: list[NetworkProblem] = []

    async def measure(reactor: Any) -> int:
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


def _show(findings: Findings, output: Output, file: ReportFile | None) -> int:
    """Write what is to be written; the exit status. Of what was not begun, a program is told."""
    status = 0
    if findings.is_begun:
        for warning in findings.warnings():
            click.echo(f"warning: {warning}", err=True)
        status = 0 if file is None else _write_report(findings, file, output.report)
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
    try:
        file = ReportFile(path)
    except OSError as error:
        raise ValueError(f"--report {path}: {error.strerror}") from error
    try:
        yield file
    finally:
        file.close()


def _raise_descriptor_limit() -> None:
    """Allow as many open files as the system's hard limit does: each connection is one."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
