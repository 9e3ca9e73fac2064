"""`twistnet send` over a stream: standard input to a peer, its answer to standard output.

The rule of this module: nothing is held that cannot be passed on. A peer that does not read stops standard input, and
a reader that does not read stops the peer; the first is a silence of the peer's, the second is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IReactorTime,
    ISSLTransport,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from .outcome import BROKEN_PIPE, NetworkProblem, network_problems
from .standard import Output, Producer, StandardStreams, terminal_kept
from .targets import stream_target
from .traffic import Traffic

__all__ = ["exchange_stream"]


async def exchange_stream(
    reactor: Any, target: Sequence[str], timeout: float, proxy_protocol: str | None, traffic: Traffic
) -> int:
    """Send standard input to a stream endpoint, half-close, and write what comes until the peer's end.

    Args:
        reactor: The reactor that is running.
        target: An endpoint string, or a host and a port.
        timeout: Seconds that connecting, and then each silence of the peer once all is sent, may take.
        proxy_protocol: The version of the PROXY protocol's header to send first, if any.
        traffic: Is told of what is sent and what comes.

    Returns:
        The exit status.

    Raises:
        ValueError: The target is none.
        NetworkProblem: The network would not have it.
    """
    endpoint = stream_target(reactor, target, proxy_protocol)
    with network_problems(" ".join(target), timeout), terminal_kept():
        exchange = _StreamExchange(reactor, timeout, traffic)
        connecting = endpoint.connect(Factory.forProtocol(lambda: exchange))
        await connecting.addTimeout(timeout, reactor)
        return await exchange.done


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class _StreamExchange(Protocol):
    """The peer's side; it opens standard input and output once there is a connection.

    The peer is waited for, for `timeout` seconds of silence at most, while it does not take what it is sent, and once
    it has been sent everything; not while it cannot speak because standard output is full.
    """

    transport: Any

    def __init__(self, clock: IReactorTime, timeout: float, traffic: Traffic) -> None:
        self.done: Deferred[int] = Deferred()
        self._clock = clock
        self._timeout = timeout
        self._traffic = traffic
        self._ends_with: Failure | None = None
        self._status = 0
        self._timer: IDelayedCall | None = None
        self._standard: Any = None
        self._output: Output | None = None
        self._peer_is_full = self._output_is_full = self._all_sent = False
        self._hands_shaken = False

    def connectionMade(self) -> None:
        self._output = Output()
        open_streams: Any = StandardStreams  # whose arguments differ between systems
        self._standard = open_streams(
            _StandardStreams(self), stdout=self._output.descriptor, reactor=self._clock
        )
        self._standard.registerProducer(Producer(self._output_full, self._output_free), True)
        self.transport.registerProducer(Producer(self._peer_full, self._peer_free), True)

    def dataReceived(self, data: bytes) -> None:
        assert self._output is not None
        self._traffic.received(data)
        try:
            self._output.write(data, self._standard)
        except OSError as problem:
            self._give_up(Failure(NetworkProblem("FAILED", f"standard output: {problem.strerror}")))
        self._watch()

    def readConnectionLost(self) -> None:
        """The peer has said all that it will."""
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Everything has been sent."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._stop_watching()
        if self._ends_with is None:
            self._ends_with = reason
        self._standard.unregisterProducer()
        if self._status == BROKEN_PIPE:
            self.standard_lost()
        else:
            self._standard.loseConnection()  # once all is written; then comes standard_lost

    def send(self, data: bytes) -> None:
        """Pass on what standard input says."""
        self._traffic.sent(data)
        self.transport.write(data)

    def input_ended(self) -> None:
        """Standard input has ended: say so to the peer. TLS says it with its own farewell, and reads on."""
        if not self.transport.connected:
            return
        self._all_sent = True
        self._watch()
        if not ISSLTransport.providedBy(self.transport):
            self.transport.unregisterProducer()
            self.transport.loseWriteConnection()
        elif self._hands_shaken:
            self._say_farewell()

    def input_failed(self, problem: NetworkProblem) -> None:
        """Standard input cannot be read: the peer is not to take what it has for the whole."""
        self._give_up(Failure(problem))

    def handshakeCompleted(self) -> None:
        """TLS is ready: a farewell before that would be an abort."""
        self._hands_shaken = True
        if self._all_sent:
            self._say_farewell()

    def _say_farewell(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def output_ended(self) -> None:
        """Nobody reads standard output any more: there is nothing left to do."""
        self._status = BROKEN_PIPE
        self._give_up(Failure(ConnectionDone()))

    def standard_lost(self) -> None:
        """Standard input and output are closed, and all is written."""
        ends_with = self._ends_with or Failure(ConnectionDone())
        if self._output is not None:
            self._output.close()
        done, self.done = self.done, Deferred()
        if ends_with.check(ConnectionDone):
            done.callback(self._status)
        else:
            done.errback(ends_with)

    def _peer_full(self) -> None:
        self._standard.pauseProducing()
        self._peer_is_full = True
        self._watch()

    def _peer_free(self) -> None:
        self._standard.resumeProducing()
        self._peer_is_full = False
        self._watch()

    def _output_full(self) -> None:
        self.transport.pauseProducing()
        self._output_is_full = True
        self._watch()

    def _output_free(self) -> None:
        self.transport.resumeProducing()
        self._output_is_full = False
        self._watch()

    def _watch(self) -> None:
        """Something happened: wait anew, if it is for the peer that we wait."""
        self._stop_watching()
        if (self._all_sent or self._peer_is_full) and not self._output_is_full and self._ends_with is None:
            self._timer = self._clock.callLater(self._timeout, self._give_up, Failure(error.TimeoutError()))

    def _stop_watching(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _give_up(self, reason: Failure) -> None:
        if self._ends_with is None:
            self._ends_with = reason
            self.transport.abortConnection()


@implementer(IHalfCloseableProtocol)
class _StandardStreams(Protocol):
    """Standard input and output."""

    def __init__(self, exchange: _StreamExchange) -> None:
        self._exchange = exchange

    def dataReceived(self, data: bytes) -> None:
        self._exchange.send(data)

    def readConnectionLost(self) -> None:
        self._exchange.input_ended()

    def input_failed(self, problem: NetworkProblem) -> None:
        """See `StandardStreams`."""
        self._exchange.input_failed(problem)

    def writeConnectionLost(self) -> None:
        self._exchange.output_ended()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._exchange.standard_lost()
