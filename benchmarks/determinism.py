"""Whether the same seed gives the same trace: a busy scenario, with many seeds, each in two different processes.

    python benchmarks/determinism.py [--first 0] [--seeds 1000]

The processes differ in PYTHONHASHSEED, in the order of the seeds and in when garbage is collected; what must be the same,
octet by octet, is the trace as a diagram and as a capture, and what every program was told. The scenario is that of
`tests/simulation/busy.py`. Prints one line, and progress on stderr. Exit status 1 if a seed differs, or two seeds give
the same.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = Path(__file__).parent.parent / "tests" / "simulation" / "busy.py"
AT_ONCE = 50


def begin(seeds: list[str], hash_seed: int, *options: str) -> subprocess.Popen[str]:
    """Play the scenario with some seeds, in another process."""
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), *options, *seeds],
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed)},
        stdout=subprocess.PIPE,
        text=True,
    )


def lines(process: subprocess.Popen[str]) -> list[str]:
    """What it printed, in the order of seeds."""
    out, _ = process.communicate()
    if process.returncode:
        sys.exit(f"the scenario ended with status {process.returncode}")
    return sorted(out.splitlines())


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def main() -> None:
    """Play all seeds twice, some at a time, and compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--first", type=_count, default=0, help="the first seed")
    parser.add_argument("--seeds", type=_count, default=1000, help="how many")
    options = parser.parse_args()
    begun, differing, digests, records = time.monotonic(), [], set(), 0
    end = options.first + options.seeds
    for first in range(options.first, end, AT_ONCE):
        seeds = [str(seed) for seed in range(first, min(first + AT_ONCE, end))]
        processes = begin(seeds, 1), begin(seeds[::-1], first + 2, "--collect-often")
        for one, other in zip(*(lines(process) for process in processes), strict=True):
            seed, digest, count, _ = one.split()
            differing += [seed] if one != other else []
            digests.add(digest)
            records += int(count)
        print(f"{first + len(seeds) - options.first} of {options.seeds} seeds", file=sys.stderr)
    print(
        f"{options.seeds} seeds, {records} records, each played in two processes in "
        f"{time.monotonic() - begun:.0f} s: {len(differing)} differ, {len(digests)} different traces"
    )
    if differing:
        sys.exit(f"these seeds differ: {' '.join(differing)}")
    if len(digests) != options.seeds:
        sys.exit("different seeds give the same trace")


if __name__ == "__main__":
    main()
