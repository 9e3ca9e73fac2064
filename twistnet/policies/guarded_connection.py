"""The one wrapper of stream connections: the protocol around the protocol, for all that watches and all that decides.

The rule of this module: the protocol inside can tell no difference, but for what a policy forbids. Half-close, producers,
TLS, file descriptors and the log context go through. Every connection that was made is taken leave of once, whatever
became of it, and leaves no timer behind.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import (
    IDelayedCall,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
    ISSLTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.python.log import callWithContext
from zope.interface import directlyProvides, implementer

from ..errors import PolicyViolation
from ..tls import flush_of
from .deadlines import HEADER_TIMEOUT, Deadlines
from .decisions import Decision
from .gate import Pass
from .guarded_transport import GuardedTransport
from .intake import Stop
from .preamble import Preamble
from .sources import address_of

if TYPE_CHECKING:
    from .guarded_factory import GuardedFactory

__all__ = ["ConnectionObserver", "GuardedConnection", "Stage"]

_OPTIONAL: tuple[Any, ...] = (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
)
"""What a protocol may or may not provide, and its wrapper then does too."""


class ConnectionObserver(Protocol):
    """Somebody who is told of connections."""

    def opened(self, connection: GuardedConnection) -> None:
        """A connection was let in, before the protocol inside hears of it."""

    def closed(self, connection: GuardedConnection, reason: Failure) -> None:
        """A connection was lost, after the protocol inside has heard of it."""


class Stage(Enum):
    """How far a connection has come."""

    ARRIVING = "arriving"
    WAITING = "waiting for a slot"
    HEADER = "sending its PROXY header"
    OPEN = "open"
    REFUSED = "refused"
    LOST = "lost"


@implementer(IProtocol)
class GuardedConnection:
    """A stream connection as its transport sees it.

    Args:
        factory: Knows what is allowed, builds the protocol inside, and is told.
        inner: The protocol inside, if it is built already.

    Attributes:
        peer: The address of the other side: the client's own where a PROXY header says it.
        host: The address of this side.
        inner: The protocol inside; `None` before there is one.
        opened_at: When the connection was made, in seconds of the clock.
        seconds: How long it has been open, or was.
        octets_in: Octets received.
        octets_out: Octets written by the protocol inside.
        closing: Whether this side asked for the connection to be closed, before the peer finished sending.
        stage: How far it has come.
        violation: Why a policy ended it, or `None`.
        proxy_header: What a PROXY header said, or `None`.
        place: What it holds of the gate.
        allowance: Octets that may be delivered as they come, with nothing to be decided.
    """

    def __init__(self, factory: GuardedFactory, inner: IProtocol | None) -> None:
        self.octets_in = 0
        self.octets_out = 0
        self.closing = False
        self.stage = Stage.ARRIVING
        self.violation: PolicyViolation | None = None
        self.proxy_header: Any = None
        self.place = Pass()
        self.allowance: float = -1
        self.transport: Any = None
        self.wrapped: GuardedTransport | None = None
        self.wrote_at = 0.0
        self._factory = factory
        self._seconds = factory.clock.seconds
        self._peer_finished = False
        self._flush: Callable[[], None] | None = None
        self._preamble: Preamble | None = None
        self._timer: IDelayedCall | None = None
        self._taken = 0
        self.inner: Any = None
        if inner is not None:
            self.hand_over(inner)

    # What others ask

    @property
    def seconds(self) -> float:
        """How long the connection has been open."""
        return self._seconds() - self.opened_at

    @property
    def is_lost(self) -> bool:
        """Whether it is over."""
        return self.stage is Stage.LOST

    def hand_over(self, inner: Any) -> None:
        """Another protocol takes the connection over, and may be half-closed or not."""
        self.inner = inner
        directlyProvides(self, *(i for i in _OPTIONAL if i.providedBy(inner)))
        if self._factory.config.handshake_timeout is not None:
            directlyProvides(self, IHandshakeListener, *(i for i in _OPTIONAL if i.providedBy(inner)))

    def close_asked(self) -> None:
        """This side has asked for the connection to be closed."""
        self.closing = self.closing or not self._peer_finished

    def finish(self) -> None:
        """Say that nothing more is sent, and go on reading; where that cannot be, nothing happens."""
        if self.stage is Stage.OPEN and not ISSLTransport.providedBy(self.transport):
            (self.wrapped or self.transport).loseWriteConnection()

    def abort(self) -> None:
        """End the connection now, whatever is still unsent."""
        self.close_asked()
        if self.wrapped is not None:
            self.wrapped.abortConnection()
        elif self.transport is not None:
            getattr(self.transport, "abortConnection", self.transport.loseConnection)()

    def count(self, policy: str, outcome: str) -> None:
        """Count a decision."""
        self._factory.count(policy, outcome)

    # How it is let in

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.peer, self.host = transport.getPeer(), transport.getHost()
        self.opened_at = self.heard_at = self._seconds()
        config = self._factory.config
        handshake = config.handshake_timeout
        self._deadlines = Deadlines(self.opened_at, config.idle_timeout, config.lifetime, handshake)
        self._factory.open.opened(self)
        gate, address = self._factory.gate, address_of(self.peer)
        if config.proxy_protocol != "off":
            violation = gate.check_proxy(address)
        else:
            violation = gate.check(self.opened_at, address)
        if violation is not None and not self._excused(violation):
            self.refuse(violation)
        else:
            if config.proxy_protocol == "off":
                gate.enter(self.opened_at, address, self.place)
            self._factory.reception.arrived(self)

    def refuse(self, violation: PolicyViolation, outcome: Decision = Decision.REFUSE) -> None:
        """Turn it away."""
        self.stage = Stage.REFUSED
        self.violation = violation
        self._stop_timer()
        self._factory.tell(self, violation, outcome)
        self.abort()

    def wait(self) -> None:
        """There is no slot: read nothing until there is one."""
        self.stage = Stage.WAITING
        self.transport.pauseProducing()

    def admit_soon(self) -> None:
        """There is a slot at last."""
        self._timer = self._factory.clock.callLater(0, self._admit_after_waiting)

    def _admit_after_waiting(self) -> None:
        self._timer = None
        self.heard_at = self._seconds()
        self._deadlines.opened = self.heard_at
        self.in_context(self.admit)
        if self.stage is not Stage.LOST and self._intake_is_free():
            self.transport.resumeProducing()

    def _intake_is_free(self) -> bool:
        intake = self.wrapped and self.wrapped.intake
        return not intake or not intake.is_stopped(Stop.PROTOCOL)

    def admit(self) -> None:
        """It has a slot. A PROXY header is awaited first."""
        config = self._factory.config
        if config.proxy_protocol != "off":
            self.stage = Stage.HEADER
            self._preamble = Preamble(config.proxy_protocol)
            self._deadlines.begin_handshake(self._seconds(), HEADER_TIMEOUT)
            self._watch()
        else:
            self._open()

    def _open(self) -> None:
        """Let it in: from here on the protocol inside has it."""
        self.stage = Stage.OPEN
        self._factory.count("connections", Decision.ADMIT.value)
        if self.inner is None:
            inner = self._factory.build_inner(self.peer)
            if inner is None:
                self.stage = Stage.REFUSED
                self.transport.loseConnection()
                return
            self.hand_over(inner)
        self._flush = flush_of(self.transport)
        self.wrapped = GuardedTransport(self, self.transport, self._factory.clock, self._factory.config)
        self.allowance = float("inf") if self.wrapped.intake is None else 0
        if ISSLTransport.providedBy(self.transport):
            self.handshake_begins()
        self._watch()
        for observer in self._factory.observers:
            observer.opened(self)
        self.inner.makeConnection(self.wrapped)

    # What the transport says

    def connectionMade(self) -> None:
        """Never called: `makeConnection` goes straight to the protocol inside."""

    def dataReceived(self, data: bytes) -> None:
        self.octets_in += len(data)
        self.heard_at = self._seconds()
        allowance = self.allowance - len(data)
        if allowance < 0:
            self._receive_slowly(data)
            return
        self.allowance = allowance
        self.inner.dataReceived(data)
        if self._flush is not None:
            self._flush()

    def _receive_slowly(self, data: bytes) -> None:
        if self.stage is Stage.HEADER:
            self._read_header(data)
        elif self.stage is Stage.OPEN and self.wrapped is not None and self.wrapped.intake is not None:
            self.wrapped.intake.receive(data)

    def deliver(self, data: bytes) -> None:
        """Give the protocol inside what was read."""
        self.inner.dataReceived(data)
        if self._flush is not None:
            self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        was_open = self.wrapped is not None
        try:
            if self.wrapped is not None:
                self.wrapped.lost()
        finally:
            self.stage = Stage.LOST
            self._stop_timer()
            try:
                if was_open:
                    self.inner.connectionLost(reason)
            finally:
                self._take_leave(reason, was_open)

    def _take_leave(self, reason: Failure, was_open: bool) -> None:
        self._factory.open.closed(self, reason)
        if was_open:
            for observer in self._factory.observers:
                observer.closed(self, reason)
        self._factory.reception.left(self)

    def readConnectionLost(self) -> None:
        self._peer_finished = True
        self.inner.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self.inner.writeConnectionLost()

    def handshakeCompleted(self) -> None:
        self._deadlines.end_handshake()
        if IHandshakeListener.providedBy(self.inner):
            self.inner.handshakeCompleted()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.inner.fileDescriptorReceived(descriptor)

    def logPrefix(self) -> str:
        return str(self.inner.logPrefix())

    # The PROXY header

    def _read_header(self, data: bytes) -> None:
        assert self._preamble is not None
        outcome = self._preamble.feed(data)
        if outcome is None:
            return
        if isinstance(outcome, PolicyViolation):
            self.refuse(outcome)
            return
        self.proxy_header, rest = outcome
        self._deadlines.end_handshake()
        self._meet(self._preamble)
        if self.stage is Stage.OPEN and rest:
            self.octets_in = 0
            self.dataReceived(rest)

    def _meet(self, preamble: Preamble) -> None:
        """Now that the client is known, the policies that ask for its address are asked."""
        gate, now = self._factory.gate, self._seconds()
        client = preamble.client
        if client is not None:
            self.peer, self.host = client, preamble.server
            violation = gate.check(now, address_of(client))
            if violation is not None and not self._excused(violation):
                self.refuse(violation)
                return
            gate.enter(now, address_of(client), self.place)
        self.heard_at = now
        self._open()

    # Time

    def handshake_begins(self) -> None:
        """TLS is being negotiated."""
        self._deadlines.begin_handshake(self._seconds())
        self._watch()

    def _watch(self) -> None:
        """Look again when the next of the deadlines may have passed."""
        self._stop_timer()
        if (due := self._deadlines.next(self._active_at())) is not None:
            self._timer = self._factory.clock.callLater(max(0.0, due - self._seconds()), self._look)

    def _active_at(self) -> float:
        """When something last went either way; what the peer has not taken has not gone."""
        unsent = self.wrapped.unsent if self.wrapped is not None else 0
        if not unsent:
            return max(self.heard_at, self.wrote_at)
        taken, self._taken = self._taken, self.octets_out - unsent
        if taken != self._taken:
            self.heard_at = self._seconds()
        return self.heard_at

    def _look(self) -> None:
        self._timer = None
        violation = self._deadlines.violation(self._seconds(), self._active_at())
        if violation is None:
            self._watch()
        elif self._excused(violation):
            self._deadlines.excuse(violation)
            self._watch()
        elif self.stage is Stage.HEADER:
            self.refuse(violation, Decision.ABORT)
        else:
            self.end(violation, Decision.CLOSE)

    def _excused(self, violation: PolicyViolation) -> bool:
        """Whether this is a dry run: then it is counted, and that is all."""
        if self._factory.config.dry_run:
            self._factory.tell(self, violation, None)
        return self._factory.config.dry_run

    def end(self, violation: PolicyViolation, how: Decision) -> None:
        """A policy ends the connection: it is closed, and aborted if it is not closed in time."""
        if self.is_lost or (self.violation is not None and how is Decision.CLOSE) or self._excused(violation):
            return
        self._stop_timer()
        self._factory.tell(self, violation, how)
        self.violation = self.violation or violation
        if how is Decision.ABORT or self.wrapped is None:
            self.abort()
        else:
            self._timer = self._factory.clock.callLater(self._factory.config.graceful_timeout, self._cut)
            self.wrapped.loseConnection()

    def _cut(self) -> None:
        """The peer has had the time to read what was written."""
        self._timer = None
        assert self.violation is not None
        self._factory.count(self.violation.policy, Decision.ABORT.value)
        self.abort()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def in_context(self, what: Callable[[], None]) -> None:
        """Do something later that the transport would have done, as it would have: its log lines are the connection's."""
        prefix = getattr(self.transport, "logPrefix", lambda: "-")()
        try:
            callWithContext({"system": prefix}, what)
        except Exception:
            self._factory.log.failure("{service}: the protocol has failed", service=self._factory.name)
            self.abort()
