"""The `twistnet` command line.

The rule of this module: it reads the arguments and calls; Twisted is imported when a command runs, not before.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import click

from .._version import __version__
from .bench_command import bench
from .connect_command import connect
from .files_commands import FILES_COMMANDS
from .request_command import request
from .send_command import send
from .services_command import services
from .talk_command import talk

__all__ = ["main"]

_OUTPUT_ERRORS = {errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""What becomes of writing a line, to a pipe, a file or a terminal, that nobody has caught: the command has nothing else to do."""


def _fill_closed_descriptors() -> None:
    """Put nothing in the place of standard streams that were closed, or the next file opened would be one of them."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # So that using it fails, as it should.
            os.open(os.devnull, os.O_RDONLY if descriptor else os.O_WRONLY)


class Commands(click.Group):
    """Commands that end as programs do when they are interrupted, or when their output goes nowhere."""

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Command.invoke`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from .outcome import INTERRUPTED

            sys.exit(INTERRUPTED)
        except OSError as error:
            if error.errno not in _OUTPUT_ERRORS:
                raise
            from .outcome import BROKEN_PIPE

            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would complain as it exits
            if error.errno == errno.EPIPE:
                sys.exit(BROKEN_PIPE)
            click.echo(f"FAILED standard output: {error.strerror}", err=True)
            sys.exit(1)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="twistnet %(version)s")
def main() -> None:
    """Talk to network services. Data goes to standard output, everything else to standard error.

    Exit status: 0 done, 1 the network would not have it (REFUSED, TIMEOUT, DNS, RESET, UNREACHABLE, TLS or
    FAILED comes first on standard error), 2 wrong usage.
    """
    _fill_closed_descriptors()


for command in (bench, connect, *FILES_COMMANDS, request, send, services, talk):
    main.add_command(command)
