"""The one wrapper of stream connections: the protocol around the protocol, for all that watches and all that decides.

The rule of this module: the protocol inside can tell no difference, but for what a policy forbids. Half-close, producers,
TLS, file descriptors and the log context go through. Every connection that was made is taken leave of once, whatever
became of it, and leaves no timer behind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
    ISSLTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.log import callWithContext
from zope.interface import directlyProvides, implementer

from ..errors import PolicyViolation
from ..tls import flush_of, is_shaking_hands
from .arrival import Arrival
from .decisions import Decision
from .gate import Pass
from .guarded_transport import GuardedTransport
from .stages import Stage
from .unsent import forget_unsent, rename
from .watch import Watch

if TYPE_CHECKING:
    from .guarded_factory import GuardedFactory

__all__ = ["ConnectionObserver", "GuardedConnection"]

_log = Logger("twistnet")

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
        wrapped: The transport that the protocol inside writes to; `None` before it is let in.
        opened_at: When the connection was made, in seconds of the clock.
        heard_at: When something was last received, or it was let in.
        wrote_at: When something was last written by the protocol inside.
        seconds: How long it has been open, or was.
        octets_in: Octets received.
        octets_out: Octets written by the protocol inside.
        closing: Whether this side asked for the connection to be closed, before the peer finished sending.
        aborted: Whether this guard has aborted it.
        stage: How far it has come.
        violation: Why a policy ended it, or `None`.
        proxy_header: What a PROXY header said, or `None`.
        place: What it holds of the gate.
        arrival: How it is let in.
        watch: Its deadlines.
        allowance: Octets that may be delivered as they come, with nothing to be decided.
    """

    def __init__(self, factory: GuardedFactory, inner: IProtocol | None) -> None:
        self.octets_in = 0
        self.octets_out = 0
        self.closing = False
        self.aborted = False
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
        self._told: set[type] = set()
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

    @property
    def ended_by(self) -> PolicyViolation | None:
        """Why a policy ended it, this guard's or that of one around it."""
        return self.violation or getattr(self.transport, "ended_by", None)

    @property
    def was_aborted(self) -> bool:
        """Whether this side has aborted it, here or in a guard around this one."""
        return self.aborted or bool(getattr(self.transport, "was_aborted", False))

    @property
    def unsent(self) -> int:
        """Octets that were written and are still in this process."""
        return self.wrapped.unsent if self.wrapped is not None else 0

    def hand_over(self, inner: Any) -> None:
        """Another protocol takes the connection over, and may be half-closed or not."""
        self.inner = inner
        directlyProvides(self, *(i for i in _OPTIONAL if i.providedBy(inner)))
        if self._factory.config.handshake_timeout is not None:
            directlyProvides(self, IHandshakeListener, *(i for i in _OPTIONAL if i.providedBy(inner)))
        if isinstance(self.transport, GuardedTransport):
            self.transport.protocol_changed()

    def close_asked(self) -> None:
        """This side has asked for the connection to be closed."""
        self.closing = self.closing or not self._peer_finished

    def finish(self) -> None:
        """Say that nothing more is sent, and go on reading; where that cannot be, nothing happens."""
        if self.wrapped is not None and self.stage is Stage.OPEN and self._can_half_close:
            self.wrapped.loseWriteConnection()

    @property
    def _can_half_close(self) -> bool:
        """Not where TLS is under the protocol inside, or is that protocol; nor on a transport that knows nothing of it."""
        inner = self.inner
        while isinstance(inner, GuardedConnection):
            inner = inner.inner
        carries_tls = ISSLTransport.providedBy(self.transport) or ISSLTransport.providedBy(inner)
        return not carries_tls and hasattr(self.transport, "loseWriteConnection")

    def abort(self) -> None:
        """End the connection now, whatever is still unsent."""
        self.close_asked()
        self.aborted = True
        if self.wrapped is not None:
            self.wrapped.abortConnection()
        elif self.transport is not None:
            getattr(self.transport, "abortConnection", self.transport.loseConnection)()

    def note(self, policy: str, outcome: str, detail: str) -> None:
        """A policy has done something to it."""
        self._factory.tell(self, policy, outcome, detail)

    def tell(self, violation: PolicyViolation, how: Decision) -> None:
        """A policy was violated."""
        self.note(violation.policy, how.value, violation.detail)

    # How it is let in

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        self.peer, self.host = transport.getPeer(), transport.getHost()
        self.opened_at = self.heard_at = self._seconds()
        self.watch = Watch(self, self._factory)
        self.arrival = Arrival(self, self._factory)
        self._factory.open.opened(self)
        self.arrival.begin()

    def begin_anew(self) -> None:
        """It has waited for a slot; from here on its time counts."""
        self.heard_at = self._seconds()
        self.watch.begin_anew(self.heard_at)

    def open(self) -> None:
        """Let it in: from here on the protocol inside has it."""
        self.stage = Stage.OPEN
        self.watch.handshake_ended()
        self.heard_at = self._seconds()
        if self.inner is None and not self._build():
            return
        self._factory.counters.add("connections", Decision.ADMIT.value)
        self._flush = flush_of(self.transport)
        self.wrapped = GuardedTransport(self, self.transport, self._factory.clock, self._factory.config)
        self.allowance = float("inf") if self.wrapped.intake is None else 0
        if is_shaking_hands(self.transport):
            self.watch.handshake_begins()
        else:
            self.watch.look_later()
        self._tell_observers("opened")
        self.inner.makeConnection(self.wrapped)

    def _build(self) -> bool:
        """The protocol inside, where it could not be built before; without one the connection is closed."""
        inner = self._factory.build_inner(self.peer)
        if inner is None:
            self.stage = Stage.REFUSED
            self.watch.call_after(self._factory.config.graceful_timeout, self.abort)  # TLS waits for its peer
            self.transport.loseConnection()
            return False
        self.hand_over(inner)
        rename(self.transport, self, inner, str(getattr(self.peer, "host", "")))
        return True

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
            self.arrival.received(data)
        elif self.stage is Stage.OPEN and self.wrapped is not None and self.wrapped.intake is not None:
            self.wrapped.intake.receive(data)

    def deliver(self, data: bytes) -> None:
        """Give the protocol inside what was read."""
        self.inner.dataReceived(data)
        if self._flush is not None:
            self._flush()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        was_open = self.wrapped is not None
        if self.stage is Stage.HEADER and not self.was_aborted:
            self.note("proxy_protocol", "lost", "it ended before its PROXY header did")
        try:
            if self.wrapped is not None:
                self.wrapped.lost()
        finally:
            self.stage = Stage.LOST
            self.watch.stop()
            self.arrival.lost()
            try:
                if was_open:
                    self.inner.connectionLost(reason)
            finally:
                self._take_leave(reason, was_open)

    def _take_leave(self, reason: Failure, was_open: bool) -> None:
        forget_unsent(self.transport)
        self._factory.open.closed(self, reason)
        if was_open:
            self._tell_observers("closed", reason)
        self._factory.reception.left(self)

    def _tell_observers(self, event: str, *details: Any) -> None:
        """What goes wrong with one of them is logged, and disturbs nobody."""
        for observer in self._factory.observers:
            try:
                getattr(observer, event)(self, *details)
            except Exception:
                _log.failure(
                    "{service}: {observer!r} has failed", service=self._factory.name, observer=observer
                )

    def readConnectionLost(self) -> None:
        self._peer_finished = True
        if self.wrapped is not None and self.wrapped.intake is not None:
            self.wrapped.intake.peer_finished()
        self.inner.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self.inner.writeConnectionLost()

    def handshakeCompleted(self) -> None:
        self.watch.handshake_ended()
        if IHandshakeListener.providedBy(self.inner):
            self.inner.handshakeCompleted()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        self.inner.fileDescriptorReceived(descriptor)

    def logPrefix(self) -> str:
        return str(self.inner.logPrefix())

    # What policies do to it

    def excused(self, violation: PolicyViolation, how: Decision) -> bool:
        """Whether this is a dry run: then it is counted, once a connection, and that is all."""
        if self._factory.config.dry_run and type(violation) not in self._told:
            self._told.add(type(violation))
            self.tell(violation, how)
        return self._factory.config.dry_run

    def end(self, violation: PolicyViolation, how: Decision) -> None:
        """A policy ends the connection: it is closed, and aborted if it is not closed in time."""
        if (
            self.is_lost
            or (self.violation is not None and how is Decision.CLOSE)
            or self.excused(violation, how)
        ):
            return
        self.watch.stop()
        self.tell(violation, how)
        self.violation = self.violation or violation
        if how is Decision.ABORT or self.wrapped is None:
            self.abort()
        else:
            self.watch.call_after(self._factory.config.graceful_timeout, self._cut)
            self.wrapped.loseConnection()

    def _cut(self) -> None:
        """The peer has had the time to read what was written."""
        assert self.violation is not None
        self.tell(self.violation, Decision.ABORT)
        self.abort()

    def in_context(self, what: Callable[[], None], *, fatal: bool = True) -> None:
        """Do something later that the transport would have done, as it would have.

        Its log lines are the connection's. An error in `dataReceived` ends the connection, one in `connectionMade` does not.
        """
        prefix = getattr(self.transport, "logPrefix", lambda: "-")()
        try:
            callWithContext({"system": prefix}, what)
        except Exception:
            _log.failure("{service}: the protocol has failed", service=self._factory.name)
            if fatal:
                self.abort()
