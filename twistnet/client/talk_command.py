"""`twistnet talk`: a conversation at a terminal.

The rule of this module: it reads the arguments and calls; nothing heavier than click is imported before the command runs.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from .durations import Duration
from .send_command import send

__all__ = ["talk"]


@click.command()
@click.argument("target", nargs=-1, required=True, metavar="ENDPOINT | HOST PORT")
@click.option("--encoding", metavar="NAME", help="Of what is said, both ways.  [default: utf-8]")
@click.option("--crlf", is_flag=True, help="End lines with a carriage return and a line feed.")
@click.option("--hex", "as_hex", is_flag=True, help="Type octets in hexadecimal, and show them so.")
@click.option(
    "--wait",
    type=Duration(may_be_zero=True),
    help="How long to hear the peer once you have ended.  [default: 1s over a stream, or else 0]",
)
@click.option(
    "--timeout", type=Duration(), default="30s", show_default=True, help="How long connecting may take."
)
@click.pass_context
def talk(
    context: click.Context,
    target: tuple[str, ...],
    encoding: str | None,
    crlf: bool,
    as_hex: bool,
    wait: float | None,
    timeout: float,
) -> None:
    """Talk with a peer: each line that you type is sent, and what the peer says appears at once.

    Lines are edited as in a shell, with a history. A line "q", or Ctrl-D, ends the conversation. Over datagrams each line
    is one, an empty line an empty one. Where standard input or output is no terminal, this is "twistnet send".

    ENDPOINT is tcp:HOST:PORT, tcp6:HOST:PORT, unix:PATH, tls:HOST:PORT, udp:HOST:PORT, udp6:HOST:PORT or
    unix-datagram:PATH.
    """
    from ..terminal.standard_input import at_terminal
    from ..terminal.typist import TerminalPerson
    from .outcome import run
    from .talk import talk_in_datagrams, talk_over_stream
    from .targets import datagram_target

    if as_hex and (crlf or encoding):
        raise click.UsageError(f"--hex goes not with --{'crlf' if crlf else 'encoding'}")
    if len(target) > 2:
        raise click.UsageError(f"an endpoint or a host and a port, not {len(target)} words")
    if not at_terminal():
        if crlf or as_hex or encoding:
            name = "--crlf" if crlf else "--hex" if as_hex else "--encoding"
            raise click.UsageError(f"{name} is for a terminal: what comes from a pipe is sent as it is")
        context.invoke(send, target=target, timeout=timeout, wait=wait)
        return

    async def conversation(reactor: Any) -> int:
        person = TerminalPerson(reactor)
        if peer is not None:
            return await talk_in_datagrams(
                reactor, peer, " ".join(target), person, speech, timeout, wait or 0.0
            )
        return await talk_over_stream(reactor, target, person, speech, timeout, 1.0 if wait is None else wait)

    try:
        peer = datagram_target(target)
        speech = _speech(encoding or "utf-8", crlf, as_hex, datagrams=peer is not None)
        sys.exit(run(conversation))
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _speech(encoding: str, crlf: bool, as_hex: bool, *, datagrams: bool) -> Any:
    from ..wire.transforms import text_encoding
    from .speech import HexSpeech, TextSpeech

    if as_hex:
        return HexSpeech()
    if datagrams and crlf:
        raise ValueError("--crlf is for streams: a datagram is what is typed, and has no end of a line")
    if datagrams:
        return TextSpeech(text_encoding(encoding), "", whole=True)
    return TextSpeech(text_encoding(encoding), "\r\n" if crlf else "\n")
