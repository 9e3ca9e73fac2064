"""`twistnet bench`: how fast a service answers.

The rule of this module: it reads the arguments and calls; nothing heavier than click is imported before the command runs.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from ..units import parse_rate, parse_size, parse_whole
from .durations import Duration

__all__ = ["bench"]


class Size(click.ParamType[int]):
    """Octets."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType.convert`."""
        try:
            return parse_size(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Whole(click.ParamType[int]):
    """A whole number, from 1.

    Args:
        highest: What it can be at most.
    """

    name = "number"

    def __init__(self, highest: int) -> None:
        self._highest = highest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType.convert`."""
        try:
            return parse_whole(value, lowest=1, highest=self._highest)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Rate(click.ParamType[float]):
    """Requests a second."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        try:
            return parse_rate(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.argument("target", nargs=-1, required=True, metavar="ENDPOINT | HOST PORT")
@click.option(
    "--connections",
    type=Whole(65536),
    default=10,
    show_default=True,
    metavar="NUMBER",
    help="How many connections to make; over datagrams, sockets.",
)
@click.option(
    "--size", type=Size(), default="64", show_default=True, help="Octets of a request: 64, 16KiB, 1MB."
)
@click.option(
    "--window",
    type=Whole(1 << 20),
    metavar="NUMBER",
    help="Requests that may be unanswered on a connection.  [default: 1, or 1000 with --rate]",
)
@click.option("--duration", type=Duration(), default="10s", show_default=True, help="How long to measure.")
@click.option(
    "--warm-up",
    type=Duration(may_be_zero=True),
    default="1s",
    show_default=True,
    help="How long to send before that, unmeasured.",
)
@click.option(
    "--rate",
    type=Rate(),
    help="Open loop: send so many requests a second, over all connections, whether the last are answered or not.",
)
@click.option(
    "--timeout",
    type=Duration(),
    help="How long connecting may take, and a silence; a datagram without a reply is lost then."
    "  [default: 5s, over datagrams 1s]",
)
@click.option(
    "--expect",
    type=click.Choice(["echo", "upper"]),
    default="echo",
    show_default=True,
    help="What the service makes of a request.",
)
@click.option("--json", "as_json", is_flag=True, help="Tell the figures in JSON, on one line.")
@click.option("--report", metavar="FILE", help="Write an HTML page with the figures, and curves of them.")
def bench(target: tuple[str, ...], as_json: bool, report: str | None, **settings: Any) -> None:
    """Measure how fast a service answers, and how long each answer takes.

    Closed loop: each connection keeps --window requests under way, and sends the next when one is answered. With --rate,
    open loop: requests are due at equal distances, and the time that one takes counts from when it was due, though it could
    be sent only later; so a server that stands still for a second shows in all the requests that were due in it.

    Every octet of every reply is compared with what should come back. A wrong one ends it: WRONG names the connection,
    the offset, and both octets. A lost connection ends it too; a lost datagram is counted. The figures are on standard
    output, also those so far after Ctrl-C or a failure. Standard error says so if this program and not the server seems
    to have been the limit, and shows on a terminal how it goes.

    ENDPOINT is tcp:HOST:PORT, tcp6:HOST:PORT, unix:PATH, tls:HOST:PORT, udp:HOST:PORT, udp6:HOST:PORT or
    unix-datagram:PATH.
    """
    from .bench.plan import Plan
    from .bench.session import Output, run_bench
    from .targets import datagram_target

    if len(target) > 2:
        raise click.UsageError(f"an endpoint or a host and a port, not {len(target)} words")
    try:
        peer = datagram_target(target)
        plan = Plan.of(datagrams=peer is not None, **settings)
        sys.exit(run_bench(target, peer, plan, Output(as_json=as_json, report=report)))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
