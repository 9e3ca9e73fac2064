"""`twistnet send`: standard input to a peer, its answer to standard output.

The rule of this module: it reads the arguments and calls; nothing heavier than click is imported before the command runs.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

import click

from .durations import Duration

__all__ = ["send"]


@click.command()
@click.argument("target", nargs=-1, required=True, metavar="ENDPOINT | HOST PORT")
@click.option(
    "--timeout", type=Duration(), default="30s", show_default=True, help="How long any one wait may take."
)
@click.option(
    "--wait",
    type=Duration(may_be_zero=True),
    help="Over datagrams: take all replies for so long, not just the first.",
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    default=1,
    metavar="NUMBER",
    help="How often to do it; each time over a connection, or from a port, of its own.",
)
@click.option(
    "--interval",
    type=Duration(may_be_zero=True),
    default="0",
    help="With --count: from one beginning to the next.",
)
@click.option("--hex-dump", is_flag=True, help="Show what is sent (>) and what comes (<) on standard error.")
@click.option(
    "--proxy-protocol",
    type=click.Choice(["v1", "v2"]),
    help="Over streams: send the header of the PROXY protocol first, of this version.",
)
def send(
    target: tuple[str, ...],
    timeout: float,
    wait: float | None,
    count: int,
    interval: float,
    hex_dump: bool,
    proxy_protocol: str | None,
) -> None:
    """Send standard input to a peer, and its answer to standard output.

    Over a stream, sending ends with the input (half-close), and the command with the peer's end. Over datagrams the
    whole input is one datagram, and the command ends with its reply. With --count the same input is sent again and
    again, one time after the other; the first that fails is the last. Of an input of more than a megabyte, a terminal on
    standard error shows how much was sent.

    ENDPOINT is tcp:HOST:PORT, tcp6:HOST:PORT, unix:PATH, tls:HOST:PORT, udp:HOST:PORT, udp6:HOST:PORT or
    unix-datagram:PATH.
    """
    from .outcome import INTERRUPTED, NetworkProblem, run, told
    from .send_datagram import exchange_datagrams, read_datagram
    from .send_stream import exchange_stream
    from .sending import Repetition, rewindable_input
    from .targets import datagram_target

    if len(target) > 2:
        raise click.UsageError(f"an endpoint or a host and a port, not {len(target)} words")
    shown = " ".join(target)
    try:
        peer = datagram_target(target)
        if peer is not None:
            if proxy_protocol:
                raise ValueError("--proxy-protocol is for streams")
            datagram = read_datagram()
            once: Any = partial(
                exchange_datagrams, target=peer, shown=shown, datagram=datagram, timeout=timeout, wait=wait
            )
        else:
            if wait is not None:
                raise ValueError("--wait is for datagrams; over a stream the peer's end is waited for")
            once = partial(exchange_stream, target=target, timeout=timeout, proxy_protocol=proxy_protocol)
        rewind = rewindable_input() if count > 1 and peer is None else None
        times = Repetition(count=count, interval=interval, hex_dump=hex_dump, rewind=rewind)
        sys.exit(run(lambda reactor: times.of(reactor, once)))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except NetworkProblem as problem:
        sys.exit(told(problem))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
