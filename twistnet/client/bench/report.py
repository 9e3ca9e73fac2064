"""A report: one page that needs nothing else.

The rule of this module: whether it can be written is known before anything is measured, and a file that is there is
changed only when there is something to write.
"""

from __future__ import annotations

import os
from html import escape
from pathlib import Path

from ..._version import __version__
from .findings import Findings
from .plots import percentile_curve, throughput_curve

__all__ = ["ReportFile", "page"]

_STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --faint: #d5d8dc; --curve: #0b6bcb; --wrong: #a40e0e }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e5e8; --paper: #16181b; --faint: #3a3e44; --curve: #6cb3ff; --wrong: #ff8f8f }
}
body { margin: 2rem auto; max-width: 50rem; padding: 0 1rem; color: var(--ink); background: var(--paper);
  font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.4rem; overflow-wrap: anywhere } h2 { font-size: 1.1rem; margin-top: 2rem }
table { border-collapse: collapse } th, td { padding: .15rem 1.5rem .15rem 0; border-bottom: 1px solid var(--faint) }
th { font-weight: normal; text-align: left } td { text-align: right; font-variant-numeric: tabular-nums }
.tables { display: flex; flex-wrap: wrap; gap: 0 4rem } .warning { color: var(--wrong) }
svg { width: 100%; height: auto } svg text { fill: var(--ink); font-size: 12px }
.grid { stroke: var(--faint) } .curve { fill: none; stroke: var(--curve); stroke-width: 2; stroke-linejoin: round }
.point { fill: var(--curve); opacity: 0 } .point:hover { opacity: 1 }
"""


def page(findings: Findings, when: str) -> str:
    """The whole page.

    Args:
        findings: What is on it.
        when: The time, as a person reads it.
    """
    problems = [findings.problem] if findings.problem else []
    told = "".join(f'<p class="warning">{escape(text)}</p>' for text in [*problems, *findings.warnings()])
    plots = ""
    if findings.latency is not None:
        plots += f"<h2>Latency by percentile</h2>{percentile_curve(findings.latency.curve)}"
    if findings.throughput:
        drawn = throughput_curve(findings.throughput, findings.measurement.seconds)
        plots += f"<h2>Throughput over time</h2>{drawn}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(findings.target)}</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(findings.target)}</h1><p>{escape(findings.headline())}</p>{told}"
        f'<div class="tables"><div><h2>Figures</h2>{_table(findings.rows())}</div>'
        f"<div><h2>Settings</h2>{_table(_settings(findings))}</div></div>{plots}"
        f"<p>twistnet bench {escape(__version__)}, {escape(when)}</p></body></html>\n"
    )


def _settings(findings: Findings) -> list[tuple[str, str]]:
    units = {"size": " octets", "duration": " s", "warm_up": " s", "timeout": " s", "rate": " a second"}
    return [
        (name.replace("_", "-"), _setting(value) + units.get(name, "") if value is not None else "none")
        for name, value in findings.plan.settings().items()
    ]


def _setting(value: object) -> str:
    return f"{value:,.12g}" if isinstance(value, (int, float)) else str(value)


def _table(rows: object) -> str:
    cells = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(figure)}</td></tr>"
        for name, figure in rows  # type: ignore[attr-defined]
    )
    return f"<table>{cells}</table>"


class ReportFile:
    """Where a report goes.

    Args:
        path: The file.

    Raises:
        OSError: Nothing can be written there.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._is_new = not self._path.exists()
        how = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY
        self._descriptor = os.open(path, how | os.O_NONBLOCK, 0o666)  # a pipe may have no reader
        os.set_blocking(self._descriptor, True)

    def write(self, text: str) -> None:
        """Write it, in the place of what is there.

        Raises:
            OSError: It cannot be written, after all.
        """
        self._is_new = False
        with os.fdopen(os.dup(self._descriptor), "w", encoding="utf-8") as file:
            if self._path.is_file():
                file.truncate(0)
            file.write(text)

    def close(self) -> None:
        """It is written, or there is nothing to write: then what was not there is not there."""
        os.close(self._descriptor)
        if self._is_new:
            self._path.unlink(missing_ok=True)
