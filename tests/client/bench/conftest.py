"""Running the command on a simulated host."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.client.bench.served import SHORT, Bench, Figures
from twistnet.client.main import main
from twistnet.simulation import Network


@pytest.fixture
def bench(network: Network, capfd: pytest.CaptureFixture[str]) -> Bench:
    """Runs the command on a host of its own: exit status, output, error output, and how long it took."""

    def run(*words: str) -> tuple[int, str, str, float]:
        begun = network.clock.now
        with network.on(network.host(f"client{len(network.hosts)}")), pytest.raises(SystemExit) as ended:
            main.main(["bench", *SHORT, *words], prog_name="twistnet")
        seconds = network.clock.now - begun
        network.settle()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err, seconds

    return run


@pytest.fixture
def figures(bench: Bench) -> Figures:
    """Runs the command, which is to succeed without a word on standard error, and reads its JSON."""

    def run(*words: str) -> dict[str, Any]:
        status, out, err, _ = bench("--json", *words)
        assert (status, err) == (0, "")
        found: dict[str, Any] = json.loads(out)
        return found

    return run
