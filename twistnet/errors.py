"""Every exception that twistnet raises on purpose.

The rule of this module: an error says what a person can do about it, in one line, and carries the parts of that
line as attributes. Nothing here knows where it will be shown.
"""

from __future__ import annotations

from typing import Any, Self

from .units import one_line

__all__ = [
    "BadMessage",
    "ConfigurationError",
    "ConnectingTooFast",
    "Deadlock",
    "Denied",
    "EndpointStringError",
    "ErrorsLogged",
    "FilesError",
    "HandshakeTimeout",
    "IdleTimeout",
    "LifetimeExceeded",
    "ListeningError",
    "Livelock",
    "LocalProtocolError",
    "MessageError",
    "NotAllowed",
    "PolicyViolation",
    "ProtocolError",
    "ProxyHeaderRefused",
    "ProxyNotAllowed",
    "RemoteError",
    "RemoteProtocolError",
    "SimulationError",
    "TooManyConnections",
    "TooManyFromSource",
    "TwistnetError",
    "WriteBufferExceeded",
    "WrongReactor",
]


class TwistnetError(Exception):
    """What all of the errors below have in common: `str()` of it is one line fit to be shown."""


class ConfigurationError(TwistnetError):
    """A setting that cannot be used.

    Attributes:
        problem: What is wrong and what would be right.
        path: Where the setting stands, outermost first: `("services", "echo", "idle_timeout")`; may be empty.
        source: The file it came from, or `None`.
    """

    def __init__(self, problem: str, path: tuple[str, ...] = (), source: str | None = None) -> None:
        super().__init__(problem, path, source)
        self.problem = problem
        self.path = path
        self.source = source

    def within(self, *outer: str, source: str | None = None) -> Self:
        """The same error, seen from further outside: `outer` goes before the path."""
        return type(self)(self.problem, (*outer, *self.path), source or self.source)

    def __str__(self) -> str:
        return one_line(": ".join(part for part in (self.source, ".".join(self.path), self.problem) if part))


class EndpointStringError(ConfigurationError, SystemExit):
    """An endpoint string that cannot be used, made by a program that is not ours.

    Twisted's own programs make their endpoints where they turn no error into a message. One that is not caught ends
    the program with its line on standard error and status 1, and no traceback; to whoever catches an `Exception` it is
    one.
    """

    def __init__(self, problem: str, path: tuple[str, ...] = (), source: str | None = None) -> None:
        super().__init__(problem, path, source)
        self.code = str(self)


class ListeningError(TwistnetError):
    """A listener could not be opened.

    Attributes:
        description: The endpoint string that was asked for.
        reason: Why not.
        service: The name of the service that asked.
    """

    def __init__(self, description: str, reason: str, service: str = "") -> None:
        super().__init__(description, reason, service)
        self.description = description
        self.reason = reason
        self.service = service

    def __str__(self) -> str:
        who = f"{self.service}: " if self.service else ""
        return f"{who}cannot listen on {self.description}: {self.reason}"


class ProtocolError(TwistnetError):
    """Something was sent that the protocol does not allow."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what it must not.

    Attributes:
        reason: What was wrong with it.
        offset: How many octets of this direction came before the fault.
    """

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(reason, offset)
        self.reason = reason
        self.offset = offset

    def __str__(self) -> str:
        return f"{self.reason} at octet {self.offset}"


class LocalProtocolError(ProtocolError):
    """Our own side asked for what the protocol does not allow; a bug in the caller."""


class FilesError(TwistnetError):
    """What a folder would not have, here or at the other end.

    Attributes:
        code: A word that programs compare: `not-found`, `is-folder`, `no-file`, `not-empty`, `bad-name`, `read-only`,
            `denied`, `too-large`, `quota`, `no-space`, `digest-mismatch`, `changed`, `busy`, `protocol` or `failed`.
        text: A sentence.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return one_line(f"{self.text} ({self.code})")


class BadMessage(RemoteProtocolError):
    """The peer sent a message that is none.

    Attributes:
        code: For programs; one of `twistnet.wire.messages.CODES`, or `bad-reply`.
        reason: What was wrong with it.
        request: The id of the message, if it has one that could be read.
        offset: How many octets of the message came before the fault, if that is known.
    """

    def __init__(self, code: str, reason: str, request: int | str | None = None, offset: int = 0) -> None:
        super().__init__(reason, offset)
        self.args = (code, reason, request, offset)
        self.code = code
        self.request = request

    def __str__(self) -> str:
        return super().__str__() if self.offset else self.reason


class MessageError(TwistnetError):
    """A request is answered with an error. What answers requests raises it, to say what the peer is told.

    Attributes:
        code: For programs, such as `"no-such-user"`.
        message: For people; one line.
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return one_line(f"{self.code}: {self.message}" if self.message else self.code)


class RemoteError(MessageError):
    """The peer has answered a request with an error."""


class PolicyViolation(TwistnetError):
    """What a connection did that a policy does not allow; one subclass for each policy.

    Attributes:
        policy: The name of the setting.
        detail: What it was, in a few words.
    """

    policy = ""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.detail} ({self.policy})"


class TooManyConnections(PolicyViolation):
    """As many connections as there may be are open."""

    policy = "max_connections"


class TooManyFromSource(PolicyViolation):
    """One source has as many connections open as it may have."""

    policy = "per_source"


class ConnectingTooFast(PolicyViolation):
    """One source connects more often than it may."""

    policy = "accept_rate"


class NotAllowed(PolicyViolation):
    """The peer is in none of the networks that may connect."""

    policy = "allow"


class Denied(PolicyViolation):
    """The peer is in a network that may not connect."""

    policy = "deny"


class IdleTimeout(PolicyViolation):
    """Nothing was sent either way for too long."""

    policy = "idle_timeout"


class LifetimeExceeded(PolicyViolation):
    """The connection was open for too long."""

    policy = "lifetime"


class HandshakeTimeout(PolicyViolation):
    """TLS, or the PROXY header, took too long."""

    policy = "handshake_timeout"


class WriteBufferExceeded(PolicyViolation):
    """The peer left too much unread."""

    policy = "write_buffer_limit"


class ProxyHeaderRefused(PolicyViolation):
    """There was no PROXY header, or not a right one."""

    policy = "proxy_protocol"


class ProxyNotAllowed(PolicyViolation):
    """The peer is in none of the networks whose PROXY headers count."""

    policy = "proxy_allow_from"


class SimulationError(TwistnetError):
    """A simulated network cannot go on, or was asked for what it does not have."""


class Deadlock(SimulationError):
    """Nothing is left to happen, and somebody still waits.

    Attributes:
        waiting: Who waits for what, a line each.
    """

    def __init__(self, summary: str, waiting: tuple[str, ...] = ()) -> None:
        super().__init__(summary, waiting)
        self.summary = summary
        self.waiting = waiting

    def __str__(self) -> str:
        return "\n".join([self.summary, *(f"  {line}" for line in self.waiting)])


class Livelock(Deadlock):
    """Something goes on happening, and nobody gets any further.

    Attributes:
        waiting: Who spins, a line each.
    """


class WrongReactor(SimulationError):
    """Code under simulation has used a reactor, or a descriptor, that is not simulated."""


class ErrorsLogged(SimulationError):
    """Errors were logged, or Deferreds failed with nobody listening, while a network ran.

    Attributes:
        failures: What was logged, as `twisted.python.failure.Failure`s, the first first.
    """

    def __init__(self, failures: tuple[Any, ...]) -> None:
        super().__init__(failures)
        self.failures = failures

    def __str__(self) -> str:
        count = len(self.failures)
        heading = "1 error was logged" if count == 1 else f"{count} errors were logged"
        return "\n".join(
            [f"{heading} while the network ran:", *(one.getTraceback() for one in self.failures)]
        )
