"""How a client command ends.

The rule of this module: exit status 0 is done, 1 is the network's doing, 2 is wrong usage; and the network's doing
is one line on standard error whose first word a script can compare.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import click
from attrs import frozen
from twisted.internet import defer, error
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

__all__ = ["BROKEN_PIPE", "INTERRUPTED", "NetworkProblem", "network_problems", "run", "told"]

INTERRUPTED = 130
"""The exit status of a program that SIGINT ended: 128 and the number of the signal."""

BROKEN_PIPE = 141
"""The exit status of a program whose output nobody reads: 128 and the number of SIGPIPE."""

_WORDS: tuple[tuple[type[BaseException], str], ...] = (
    (error.DNSLookupError, "DNS"),
    (error.ConnectionRefusedError, "REFUSED"),
    (error.ConnectingCancelledError, "TIMEOUT"),  # nobody but a timeout cancels here
    (error.TimeoutError, "TIMEOUT"),
    (defer.TimeoutError, "TIMEOUT"),
    (error.NoRouteError, "UNREACHABLE"),
    (error.ConnectionLost, "RESET"),
)
_ERRNO_WORDS = {
    errno.ECONNREFUSED: "REFUSED",
    errno.ENOENT: "REFUSED",
    errno.ECONNRESET: "RESET",
    errno.EPIPE: "RESET",
    errno.ETIMEDOUT: "TIMEOUT",
    errno.EHOSTUNREACH: "UNREACHABLE",
    errno.ENETUNREACH: "UNREACHABLE",
}
_NUMBERS = {
    "REFUSED": errno.ECONNREFUSED,
    "TIMEOUT": errno.ETIMEDOUT,
    "RESET": errno.ECONNRESET,
    "UNREACHABLE": errno.EHOSTUNREACH,
}
"""What the kernel calls it where it was found out otherwise."""


@frozen
class NetworkProblem(Exception):
    """The network would not have it.

    Attributes:
        word: The first word of the line: `REFUSED`, `TIMEOUT`, `DNS`, `RESET`, `UNREACHABLE`, `TLS` or `FAILED`;
            `WRONG` if a reply is not what it should be.
        rest: The rest of the line.
        number: The error number that the kernel would give, or gave; `None` where there is none, as for a name.
    """

    word: str
    rest: str
    number: int | None = None


def _word_for(problem: BaseException) -> str:
    """The word for an exception that a connection ended with."""
    for kind, word in _WORDS:
        if isinstance(problem, kind):
            return word
    if type(problem).__module__.startswith(("OpenSSL", "service_identity")):
        return "TLS"
    return _ERRNO_WORDS.get(_kernels_number(problem) or 0, "FAILED")


def _kernels_number(problem: BaseException) -> int | None:
    code = getattr(problem, "osError", None) or getattr(problem, "errno", None)
    return code if isinstance(code, int) and code > 0 else None


@contextmanager
def network_problems(shown: str, timeout: float) -> Iterator[None]:
    """Whatever the network does to us within, as a `NetworkProblem`."""
    try:
        yield
    except (NetworkProblem, ValueError):
        raise
    except Exception as problem:
        word = _word_for(problem)
        number = _kernels_number(problem) or _NUMBERS.get(word)
        if word == "TIMEOUT":
            raise NetworkProblem(word, f"{shown}: no answer within {timeout:g} s", number) from problem
        text = " ".join(str(problem).split()).rstrip(".") or type(problem).__name__
        if "Traceback" in text:  # what Twisted says of a UNIX socket whose backlog is full
            text = "the connection was not accepted"
        raise NetworkProblem(word, f"{shown}: {text}", number) from problem


def run(command: Callable[[Any], Coroutine[Deferred[Any], Any, int]]) -> int:
    """Run a command in the reactor.

    Args:
        command: Takes the reactor; returns the exit status, or raises `NetworkProblem`.

    Returns:
        The exit status; 128 and the number of the signal that stopped the reactor first, if one did.
    """
    from twisted.internet import reactor

    outcomes: list[Any] = []

    def start() -> None:
        done = Deferred.fromCoroutine(command(reactor))
        done.addBoth(outcomes.append)
        done.addCallback(lambda _: reactor.stop() if reactor.running else None)

    def interrupted() -> None:
        if not outcomes:
            number = getattr(reactor, "_exitSignal", None)
            # Before everything is disconnected: that is no news then.
            outcomes.append(128 + number if number else INTERRUPTED)

    reactor.addSystemEventTrigger("before", "shutdown", interrupted)
    reactor.callWhenRunning(start)
    reactor.run()
    return _status(outcomes[0])


def told(problem: NetworkProblem) -> int:
    """Say what the problem is; the exit status."""
    click.echo(f"{problem.word} {problem.rest}", err=True)
    return 1


def _status(outcome: int | Failure) -> int:
    problem = outcome.value if isinstance(outcome, Failure) else None
    if isinstance(problem, NetworkProblem):
        return told(problem)
    if isinstance(outcome, Failure):
        outcome.raiseException()
    return outcome
