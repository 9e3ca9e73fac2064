"""`twistnet connect`: does it answer?

The rule of this module: it reads the arguments and calls; nothing heavier than click is imported before the command runs.
"""

from __future__ import annotations

import sys

import click

from .durations import Duration

__all__ = ["connect"]


@click.command()
@click.argument("target", nargs=-1, required=True, metavar="ENDPOINT | HOST PORT")
@click.option(
    "--timeout", type=Duration(), default="5s", show_default=True, help="How long one attempt may take."
)
@click.option(
    "--count",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="How often to try; once if unset, or with --every until Ctrl-C.",
)
@click.option(
    "--every", type=Duration(may_be_zero=True), help="From one attempt to the next; 1s if there is a --count."
)
@click.option("--json", "as_json", is_flag=True, help="Tell each attempt in JSON, one a line.")
def connect(
    target: tuple[str, ...], timeout: float, count: int | None, every: float | None, as_json: bool
) -> None:
    """Find out whether a peer answers, and how long that takes.

    Each attempt is a line on standard output: OK, REFUSED, TIMEOUT, DNS, RESET, UNREACHABLE, TLS or FAILED; then the
    number and the name of the error (REFUSED 111 ECONNREFUSED), as a socket's connect_ex gives it, 0 for OK, nothing
    where the kernel has none; then the time, and who answered or what is wrong. After more than one attempt, a summary
    is on standard error.

    A stream answers when the connection is made; over TLS, when the peer has shown its certificate. Then it is
    closed, and nothing is sent. Over datagrams nothing is known unless something is sent: an empty datagram. Any reply
    is OK. TIMEOUT may also mean a service that does not answer empty datagrams.

    The exit status is 0 if every attempt was answered, and 1 if one was not.
    """
    from .connect import Attempts, try_to_connect
    from .outcome import INTERRUPTED, run
    from .targets import datagram_target

    if len(target) > 2:
        raise click.UsageError(f"an endpoint or a host and a port, not {len(target)} words")
    attempts = Attempts(
        count=count or (1 if every is None else None),
        every=1.0 if every is None else every,
        timeout=timeout,
        as_json=as_json,
    )
    status = INTERRUPTED
    try:
        peer = datagram_target(target)
        status = run(lambda reactor: try_to_connect(reactor, target, peer, attempts))
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except KeyboardInterrupt:
        pass
    finally:
        attempts.sum_up()
    sys.exit(status)
