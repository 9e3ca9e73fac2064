"""The speed of the simulation: every one of its benchmarks, each in a process of its own.

    python benchmarks/simulation.py [--full] [--only round_trips timers hosts day]

Takes about a minute; with `--full`, about ten. Each benchmark is a program with options of its own. Exit status 1 if one
of them misses its target.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

NAMES = ("round_trips", "timers", "hosts", "day")


def run(name: str, full: bool) -> int:
    """Run one; its exit status."""
    program = Path(__file__).with_name(f"simulation_{name}.py")
    print(f"-- {program.name}", flush=True)
    command = [sys.executable, str(program), *(["--full"] if full and name != "hosts" else [])]
    return subprocess.run(command, check=False).returncode


def main() -> None:
    """Run those that are wanted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--full", action="store_true", help="1,000,000 timers, a whole day, more repetitions")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=list(NAMES))
    options = parser.parse_args()
    missed = [name for name in options.only if run(name, options.full)]
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()
