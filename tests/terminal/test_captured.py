"""What the process prints, caught."""

from __future__ import annotations

from pathlib import Path

from twistnet.terminal.captured import Captured


def test_all_that_is_printed_is_caught_whoever_is_busy_and_nothing_afterwards(tmp_path: Path) -> None:
    """More than a pipe holds, while the thread that prints it does nothing else."""
    with (tmp_path / "printed").open("wb", buffering=0) as file:
        pieces: list[bytes] = []
        captured = Captured([file.fileno()], pieces.append)
        for number in range(1000):
            file.write(b"%04d" % number * 250)
        captured.stop()
        file.write(b"after")
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(3):
            Captured([file.fileno()], pieces.append).stop()
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert b"".join(pieces) == b"".join(b"%04d" % number * 250 for number in range(1000))
    assert (tmp_path / "printed").read_bytes() == b"after"
