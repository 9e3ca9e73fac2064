"""What every server program does besides serving: its command line, its port, its end, and a timer that it may be asked to keep.

A thread that waits for the standard input is the same in every loop and costs none of them anything: at each line it prints what
the timer has kept since the last, at the end of the input it ends the process.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Sequence

PERIOD = 0.01
PAGE_SIZE = 1024
PAGE = bytes(ord("a") + at % 26 for at in range(PAGE_SIZE))


class Punctuality:
    """How far a timer of 10 ms is from its time: it says when each period begins, and when it is over.

    A loop that calls back too early errs as well as one that calls back too late.
    """

    def __init__(self) -> None:
        self._errors: list[float] = []
        self._due = 0.0

    def begin(self) -> float:
        """A period begins; its seconds."""
        self._due = time.monotonic() + PERIOD
        return PERIOD

    def over(self) -> None:
        """The loop says that the period is over."""
        self._errors.append(abs(time.monotonic() - self._due))

    def report(self) -> dict[str, float]:
        """Microseconds of error since the last report: half of them within, 99 of 100 within, the largest."""
        errors, self._errors = sorted(self._errors), []
        if not errors:
            return {}
        shares = {"timer_p50": 0.5, "timer_p99": 0.99, "timer_max": 1.0}
        return {
            name: 1e6 * errors[min(int(len(errors) * share), len(errors) - 1)]
            for name, share in shares.items()
        }


def read_command_line(jobs: Sequence[str], loops: Sequence[str] = ()) -> argparse.Namespace:
    """The job, the loop to do it on, the certificate for TLS, and whether to keep a timer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("job", choices=jobs)
    parser.add_argument("--loop", choices=loops or None)
    parser.add_argument("--fast", action="store_true", help="listen with twistnet's transports")
    parser.add_argument("--certificate", help="a PEM file with a key and its certificate")
    parser.add_argument("--timer", action="store_true", help="keep a timer of 10 ms, too")
    return parser.parse_args()


def ready(port: int, punctuality: Punctuality) -> None:
    """Say where the server listens; from now on it ends with its standard input."""
    print(port, flush=True)
    threading.Thread(target=_watch_input, args=(punctuality,), daemon=True).start()


def _watch_input(punctuality: Punctuality) -> None:
    for _ in sys.stdin:
        print(json.dumps(punctuality.report()), flush=True)
    os._exit(0)
