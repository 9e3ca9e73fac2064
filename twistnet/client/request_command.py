"""`twistnet request`: the messages service.

The rule of this module: it reads the arguments and calls; nothing heavier than click is imported before the command runs.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from ..units import parse_size
from .durations import Duration

__all__ = ["request"]


class Size(click.ParamType[int]):
    """A number of octets of the command line."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType.convert`."""
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("target", nargs=-1, required=True, metavar="ENDPOINT | HOST PORT")
@click.option(
    "--framing",
    type=click.Choice(["lines", "length", "netstring"]),
    default="lines",
    show_default=True,
    help="How messages are told apart in a stream.",
)
@click.option(
    "--timeout", type=Duration(), default="30s", show_default=True, help="How long any one reply may take."
)
@click.option("--unordered", is_flag=True, help="Write whole replies as they come, errors among them.")
@click.option(
    "--in-flight",
    type=click.IntRange(1, 100_000),
    metavar="NUMBER",
    help="Requests under way at once; 100, or 20 over datagrams, if unset.",
)
@click.option(
    "--max-message", type=Size(), default="1MiB", show_default=True, help="The longest message, and line."
)
def request(
    target: tuple[str, ...],
    framing: str,
    timeout: float,
    unordered: bool,
    in_flight: int | None,
    max_message: int,
) -> None:
    """Ask a messages service what standard input says, in JSON, a value a line; the replies to standard output.

    Each reply is the value alone, in the order of the lines; an error goes to standard error, as {"id": LINE, "error":
    {"code": ..., "message": ...}}. With --unordered all go to standard output as they come, values as {"id": LINE,
    "value": ...}. Empty lines are skipped. The exit status is 1 if there was an error, and 2 if a line was no JSON: what
    comes before it is asked, and what comes after it is not.

    ENDPOINT is as for send. Over datagrams each request is one, and "no-reply" an error like another.
    """
    from .outcome import INTERRUPTED, run
    from .request import Asking, ask_datagrams, ask_stream
    from .targets import datagram_target

    if len(target) > 2:
        raise click.UsageError(f"an endpoint or a host and a port, not {len(target)} words")
    try:
        peer = datagram_target(target)
        asking = Asking(
            framing=framing,
            timeout=timeout,
            max_message=max_message,
            in_flight=in_flight or (100 if peer is None else 20),
            unordered=unordered,
        )
        if peer is not None:
            shown = target[0]
            sys.exit(run(lambda reactor: ask_datagrams(reactor, peer, shown, asking)))
        sys.exit(run(lambda reactor: ask_stream(reactor, target, asking)))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
