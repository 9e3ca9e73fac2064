"""How long `import twistnet` takes, beside `import twisted.internet.endpoints`: whole processes, in turn.

    python benchmarks/import_time.py [--runs 15]

Prints medians and ratios; once for the package alone, and once with every public name used.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

PROGRAMS = {
    "nothing": "pass",
    "import twisted.internet.endpoints": "import twisted.internet.endpoints",
    "import twistnet": "import twistnet",
    "every name of twistnet": "import twistnet; [getattr(twistnet, name) for name in twistnet.__all__]",
}


def seconds(program: str) -> float:
    """The wall time of one process."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Measure all, interleaved."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    for program in PROGRAMS.values():
        seconds(program)
    times: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(runs):
        for name, program in PROGRAMS.items():
            times[name].append(seconds(program))
    medians = {name: statistics.median(values) for name, values in times.items()}
    base = medians["import twisted.internet.endpoints"]
    for name, median in medians.items():
        print(f"{name}: {median * 1000:.0f} ms, {median / base:.2f} of import twisted.internet.endpoints")


if __name__ == "__main__":
    main()
