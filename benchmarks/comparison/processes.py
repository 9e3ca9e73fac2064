"""The processes of a comparison: a server on one processor, the load on the other; what they use is in /proc."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.comparison.results import Sample

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30


class Failed(Exception):
    """A server, or the load that is put on it, has failed; the text says how."""


def processors() -> tuple[int, int]:
    """That of the servers and that of the load: the first and the last that may be used, which may be the same."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


@contextmanager
def on_processor(number: int) -> Iterator[None]:
    """What is started within runs there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {number})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class ServerProcess:
    """A server that runs; `with` ends it.

    Args:
        command: that starts it.
    """

    def __init__(self, command: list[str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _line(self) -> str:
        assert self._process.stdout is not None
        readable, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        if readable and (line := self._process.stdout.readline()):
            return line
        self._errors.seek(0)
        said = [line for line in self._errors if re.search(r"\w", line)] or ["it says nothing"]
        raise Failed(f"the server: {said[-1].strip()}")

    def port(self) -> int:
        """Where it listens; to be asked once.

        Raises:
            Failed: it does not.
        """
        return int(self._line())

    def report(self) -> Sample:
        """What it has kept since the last time.

        Raises:
            Failed: it has ended.
        """
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        report: Sample = json.loads(self._line())
        return report

    def memory(self) -> int:
        """Resident, in KiB."""
        lines = Path(f"/proc/{self.pid}/smaps_rollup").read_text("ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Rss:"))


def run_load(command: list[str], seconds: float) -> Sample:
    """What a load that takes so long has measured.

    Raises:
        Failed: it has found a wrong reply, or did not come to its end.
    """
    try:
        result = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise Failed("the load did not come to its end") from None
    if result.returncode != 0:
        raise Failed(
            f"the load: {(result.stderr.strip().splitlines() or [f'status {result.returncode}'])[-1]}"
        )
    sample: Sample = json.loads(result.stdout)
    if sample["requests"] == 0:
        for of_a_request in ("cpu", "p50", "p99", "p999"):
            del sample[of_a_request]
    return sample


@contextmanager
def holding(command: list[str]) -> Iterator[None]:
    """A load that holds its connections while the body runs.

    Raises:
        Failed: it could not open them.
    """
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as load:
        assert load.stdout is not None
        assert load.stderr is not None
        try:
            if not load.stdout.readline():
                raise Failed(f"the load: {load.stderr.read().strip()}")
            yield
        finally:
            load.kill()


def python(module: str) -> list[str]:
    """The words that start a module of this comparison."""
    return [sys.executable, "-m", f"{__package__}.{module}"]
