"""A few of the kills of `benchmarks/files_kills.py`, with real processes: see `tests.killing` for what must hold."""

from __future__ import annotations

from pathlib import Path

from tests.killing import Arena, Victim


def test_transfers_survive_kills(tmp_path: Path) -> None:
    killed: list[Victim] = []
    with Arena.opened(tmp_path, seed=1) as arena:
        for _ in range(100):
            killed += arena.transfer(kills=2, largest=3 << 20).killed
            if set(killed) == set(Victim):
                break
    assert set(killed) == set(Victim)
