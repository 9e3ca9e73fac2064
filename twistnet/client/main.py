"""The `twistnet` command line.

The rule of this module: it reads the arguments and calls; Twisted is imported when a command runs, not before.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from .._version import __version__
from .connect_command import connect
from .durations import Duration
from .files_commands import FILES_COMMANDS
from .request_command import request
from .services_command import services

__all__ = ["main"]


def _fill_closed_descriptors() -> None:
    """Put nothing in the place of standard streams that were closed, or the next file opened would be one of them."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDONLY)  # so that writing to it fails, as it should


class Commands(click.Group):
    """Commands that end as programs do when they are interrupted, or when nobody reads their output."""

    def invoke(self, ctx: click.Context) -> Any:
        """See `click.Command.invoke`."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            from .outcome import INTERRUPTED

            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            from .outcome import BROKEN_PIPE

            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter would complain as it exits
            sys.exit(BROKEN_PIPE)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="twistnet %(version)s")
def main() -> None:
    """Talk to network services. Data goes to standard output, everything else to standard error.

    Exit status: 0 done, 1 the network would not have it (REFUSED, TIMEOUT, DNS, RESET, UNREACHABLE, TLS or
    FAILED comes first on standard error), 2 wrong usage.
    """
    _fill_closed_descriptors()


for command in (connect, *FILES_COMMANDS, request, services):
    main.add_command(command)


@main.command()
@click.argument("target", nargs=-1, required=True, metavar="ENDPOINT | HOST PORT")
@click.option(
    "--timeout", type=Duration(), default="30s", show_default=True, help="How long any one wait may take."
)
@click.option(
    "--wait", type=Duration(), help="Over datagrams: take all replies for so long, not just the first."
)
def send(target: tuple[str, ...], timeout: float, wait: float | None) -> None:
    """Send standard input to a peer, and its answer to standard output.

    Over a stream, sending ends with the input (half-close), and the command with the peer's end. Over datagrams the
    whole input is one datagram, and the command ends with its reply.

    ENDPOINT is tcp:HOST:PORT, tcp6:HOST:PORT, unix:PATH, tls:HOST:PORT, udp:HOST:PORT, udp6:HOST:PORT or
    unix-datagram:PATH.
    """
    from .outcome import INTERRUPTED, run
    from .send_datagram import exchange_datagrams, read_datagram
    from .send_stream import exchange_stream
    from .targets import datagram_target

    if len(target) > 2:
        raise click.UsageError(f"an endpoint or a host and a port, not {len(target)} words")
    shown = " ".join(target)
    try:
        peer = datagram_target(target)
        if peer is not None:
            datagram = read_datagram()
            sys.exit(run(lambda reactor: exchange_datagrams(reactor, peer, shown, datagram, timeout, wait)))
        if wait is not None:
            raise ValueError("--wait is for datagrams; over a stream the peer's end is waited for")
        sys.exit(run(lambda reactor: exchange_stream(reactor, target, timeout)))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
