"""`twistnet send` over datagrams: standard input as one datagram, its replies to standard output.

The rule of this module: what cannot be one datagram is not sent at all.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.error import MessageLengthError
from twisted.internet.task import deferLater

from ..endpoints.datagram_client import DatagramTarget
from ..units import LONGEST_DATAGRAM
from .outcome import BROKEN_PIPE, NetworkProblem, network_problems
from .standard import reading_standard_input
from .traffic import Traffic

__all__ = ["exchange_datagrams", "read_datagram"]


def read_datagram() -> bytes:
    """The whole of standard input, as one datagram.

    Raises:
        ValueError: It is too long for one.
        NetworkProblem: It cannot be read.
    """
    with reading_standard_input(), open(0, "rb", closefd=False) as standard_input:
        datagram = standard_input.read(LONGEST_DATAGRAM + 1)
    if len(datagram) > LONGEST_DATAGRAM:
        raise ValueError(
            f"standard input is longer than the {LONGEST_DATAGRAM} octets that a datagram can carry"
        )
    return datagram


async def exchange_datagrams(
    reactor: Any,
    target: DatagramTarget,
    shown: str,
    datagram: bytes,
    timeout: float,
    wait: float | None,
    traffic: Traffic,
) -> int:
    """Send one datagram and write its reply, or all replies that come within a time.

    Args:
        reactor: The reactor that is running.
        target: Whom to send it to.
        shown: What the peer is called in an error.
        datagram: What to send.
        timeout: Seconds to wait for the reply.
        wait: Seconds to take replies for; `None` for the first one alone.
        traffic: Is told of what is sent and what comes.

    Returns:
        The exit status.

    Raises:
        NetworkProblem: No reply came, or the network would not have it.
    """
    with network_problems(shown, timeout if wait is None else wait):
        peer = await Deferred.fromCoroutine(target.connect(reactor)).addTimeout(timeout, reactor)
        replies: list[bytes] = []
        first: Deferred[None] = Deferred()

        def received(reply: bytes) -> None:
            traffic.received(reply)
            replies.append(reply)
            if not first.called:
                first.callback(None)

        def refused() -> None:
            if not first.called:
                first.errback(error.ConnectionRefusedError("nothing listens there"))

        peer.received, peer.refused = received, refused
        try:
            peer.send(datagram)
            traffic.sent(datagram)
            collected = deferLater(reactor, wait, lambda: None) if wait is not None else None
            await first.addTimeout(timeout if wait is None else wait, reactor)
            if collected is not None:
                await collected
        except MessageLengthError:
            raise ValueError(f"{len(datagram)} octets are too long for a datagram to {shown}") from None
        finally:
            await peer.close()
    return _print(replies if wait is not None else replies[:1])


def _print(replies: Sequence[bytes]) -> int:
    """Write replies to standard output; the exit status.

    Raises:
        NetworkProblem: Standard output would not have them.
    """
    rest = b"".join(replies)
    try:
        while rest:
            rest = rest[os.write(1, rest) :]
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as problem:
        raise NetworkProblem("FAILED", f"standard output: {problem.strerror}") from problem
    return 0
