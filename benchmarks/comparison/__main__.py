"""`python -m benchmarks.comparison`, or `python benchmarks/comparison`: the whole comparison, as one command."""

import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from benchmarks.comparison.command import main

    main()
