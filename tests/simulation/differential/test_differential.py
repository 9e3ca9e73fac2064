"""One set of scripts: the same events in the same order on three real reactors, on the fast transports and on the simulation.

Each script states one fact about Twisted on Linux. Where real reactors are known to differ from each other, the script says
which of them does and why; it is held to that, and the simulation to the others.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .script import FAST, REACTORS
from .scripts import SCRIPTS
from .simulated import simulate

ROOT = Path(__file__).parents[3]
PATIENCE = 120.0
"""Seconds that one real reactor may take for all scripts; it needs about ten."""

Events = dict[str, list[Any]]


def start(reactor: str) -> subprocess.Popen[bytes]:
    """All scripts, on a real reactor in a process of its own."""
    command = [sys.executable, "-m", f"{__package__}.real", reactor]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def events_of(process: subprocess.Popen[bytes]) -> Events:
    """What such a process has found."""
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors.decode()
    found: Events = json.loads(output)
    return found


@pytest.fixture(scope="module")
def real() -> dict[str, Events]:
    """The events of each script on each real reactor."""
    processes = {reactor: start(reactor) for reactor in (*REACTORS, *FAST)}
    try:
        return {reactor: events_of(process) for reactor, process in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()


@pytest.mark.parametrize("name", SCRIPTS)
def test_real_reactors_agree(name: str, real: dict[str, Events]) -> None:
    script = SCRIPTS[name]
    expected = real[script.agreeing[0]][name]
    assert not [event for event in expected if event[0] == "unexpected"]
    for reactor in (*REACTORS, *FAST):
        if (reason := script.reason(reactor)) is not None:
            assert real[reactor][name] != expected, f"{reactor} does not differ any more: {reason}"
        else:
            assert real[reactor][name] == expected, reactor


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")  # Twisted does
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_simulation_agrees(name: str, real: dict[str, Events], pytestconfig: pytest.Config) -> None:
    """And with `--transport fast`, where its hosts make the fast transports, it differs as they are known to do."""
    script, expected = SCRIPTS[name], real[SCRIPTS[name].agreeing[0]][name]
    reason = script.differs.get("fast") if pytestconfig.getoption("--transport") == "fast" else None
    events = simulate(script)
    if reason is None:
        assert events == expected
    else:
        assert events != expected, reason


def test_every_script_says_what_it_shows() -> None:
    assert not [script.name for script in SCRIPTS.values() if not script.body.__doc__]
