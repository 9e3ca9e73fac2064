"""A thousand random kills of connections, clients and servers while files of 0 to 50 MiB are put and got.

After each, the final name stands for no file, the one before, or the whole new one; the same command then ends with the right
file, and nothing is left behind. Whatever does not hold ends this with an error.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.killing import Arena, errors_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    killed: Counter[str] = Counter()
    transfers = runs = octets = 0
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as name, Arena.opened(Path(name), arguments.seed) as arena:
        while killed.total() < arguments.kills:
            try:
                outcome = arena.transfer(arena.chance.randrange(1, 5))
            except BaseException:
                print(errors_of(arena.folder), *arena.program.lines[-5:], sep="\n")
                raise
            transfers, runs, octets = transfers + 1, runs + outcome.runs, octets + outcome.octets
            killed.update(victim.name.lower() for victim in outcome.killed)
            if sys.stdout.isatty():
                print(f"\r{killed.total()} kills", end="", flush=True)
    what = ", ".join(f"{count} {victim}s" for victim, count in sorted(killed.items()))
    print(
        f"\rkilled {what}, in {transfers} transfers of {octets >> 20} MiB in all, by {runs} runs of the client,"
    )
    print(
        f"in {time.perf_counter() - begun:.0f} s: every digest right, never half a file, nothing left behind"
    )


if __name__ == "__main__":
    main()
