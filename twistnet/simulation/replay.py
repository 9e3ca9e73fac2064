"""What a failure shows: its seed, the one command with which it fails again, and how the network came to that.

The rule of this module: the command can be pasted into a shell where the run was started, and it runs that one test, with
that seed, under the same configuration.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

    from .network import Network

__all__ = ["explained", "pytest_command", "trial_command"]

CONFIGURATION = ("-c", "-o", "-p", "-W", "--confcutdir", "--import-mode", "--rootdir")
"""Options of pytest that decide how tests are found and run, and that take a value."""


def explained(network: Network, command: str, lines: int) -> str:
    """The seed, the command and the last lines of the trace."""
    return f"seed {network.seed}; to see it again:\n\n  {command}\n\n{network.trace.last(lines)}"


def pytest_command(item: pytest.Item, seed: int, seeds: int | None) -> str:
    """What runs one test of pytest again.

    Args:
        item: The test.
        seed: Its network's.
        seeds: What `--network-seeds` must be for the test to have the id that it has; `None` if it need not be given.
    """
    _, colons, name = item.nodeid.partition("::")
    given = item.config.invocation_params
    where = os.path.relpath(item.path, given.dir)
    words = [*_pytest(item.config), *_configuration(given.args), f"{where}{colons}{name}"]
    as_many = [] if seeds is None else ["--network-seeds", str(seeds)]
    return shlex.join([*words, "--network-seed", str(seed), *as_many])


def _pytest(config: pytest.Config) -> list[str]:
    """How pytest was started; as a module it finds what is in the working directory."""
    started: dict[str, list[str]] = getattr(
        config, "workerinput", {}
    )  # of pytest-xdist, in a process of its own
    program = started.get("mainargv", sys.argv)[0]
    return ["python", "-m", "pytest"] if _is_module(program) else ["pytest"]


def _is_module(program: str) -> bool:
    return Path(program).name == "__main__.py"


def _configuration(arguments: Sequence[str | os.PathLike[str]]) -> list[str]:
    """Those of the arguments that hold for any test."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option in CONFIGURATION:
        parser.add_argument(option, dest=option, action="append", default=[])
    known = vars(parser.parse_known_args([os.fspath(argument) for argument in arguments])[0])
    return [word for option in CONFIGURATION for value in known[option] for word in (option, value)]


def trial_command(test: str, seed: int) -> str:
    """What runs one test of trial again, given by its dotted name."""
    trial = ["python", "-m", "twisted.trial"] if _is_module(sys.argv[0]) else ["trial"]
    return f"TWISTNET_SEED={seed} {shlex.join([*trial, test])}"
