"""A service that listens, in many places if need be, and stops without cutting anybody off.

The rule of this module: starting either opens every listener or none, and says in one error which would not open;
stopping closes the listeners first, all of them, then waits, then half-closes, then aborts. Both can be repeated.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.interfaces import IListeningPort, IProtocolFactory
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..addresses import show_address
from ..config import ConnectionConfig, DatagramConfig
from ..endpoints.descriptions import Description
from ..endpoints.unix_paths import OwnPath, give_up_path, own_path
from ..errors import ConfigurationError, ListeningError
from ..policies.counters import policy_counters
from ..policies.gate import Gate
from ..policies.guarded_datagrams import GuardedDatagramProtocol
from ..policies.guarded_factory import GuardedFactory
from ..policies.networks import Networks
from ..policies.observers import AccessLog, OpenConnections, SocketOptions
from ..policies.reception import Reception
from ..transport import fast
from .drain import Drain, ServiceState
from .last_accepts import accept_waiting, let_nobody_in
from .listeners import Listener, listening_error, parse_listener

__all__ = ["ListeningService"]

_log = Logger("twistnet")


class ListeningService(Service):
    """Listens wherever it is told to, and drains when it is stopped.

    Args:
        reactor: Listens, and tells the time.
        name: What the service is called in the log.
        listen: Server endpoint strings, of streams and datagrams; on loopback unless they name an interface.
        stream: What answers streams, or `None`.
        datagram: Makes what answers datagrams, anew for each socket, or `None`.
        connections: What holds for stream connections.
        datagrams: What holds for datagrams; its guard stands before the protocol.
        detail: What the lines that announce the listeners add in brackets.
        check: Raises `ValueError` for a listener that the service must not have.
        companion: A Twisted service that is started once the listeners are open, and stopped before connections are waited
            for; or `None`.
        transport: `"fast"` for the fast transports, where the reactor can have them, or `"stock"`.

    Attributes:
        open: The connections that are open, since the service was last started.
        counters: How often each policy has decided what, since the process began.
        ports: The listening ports.

    Raises:
        ConfigurationError: No string, a string that is no endpoint, or one of a kind that is not answered.
    """

    def __init__(
        self,
        reactor: Any,
        name: str,
        listen: Sequence[str],
        *,
        stream: Factory | IProtocolFactory | None = None,
        datagram: Callable[[], DatagramProtocol] | None = None,
        connections: ConnectionConfig | None = None,
        datagrams: DatagramConfig | None = None,
        detail: str = "",
        check: Callable[[Description], None] = lambda listener: None,
        companion: IService | None = None,
        transport: str = "fast",
    ) -> None:
        if not listen or isinstance(listen, str):
            raise ConfigurationError(f"{listen!r} is not a list of endpoint strings", ("listen",))
        self.name = name
        self.open = OpenConnections()
        self.counters = policy_counters(name)
        self.ports: list[IListeningPort] = []
        self._paths: list[tuple[IListeningPort, OwnPath]] = []
        self._reactor = reactor
        self._network = fast(reactor) if transport == "fast" else reactor
        self._check = check
        self._companion = companion
        self._stream = stream
        self._datagram = datagram
        self._connections = connections or ConnectionConfig()
        self._datagrams = datagrams or DatagramConfig()
        self._title = f"{name} ({detail})" if detail else name
        self._opening: list[Deferred[Any]] = []
        self._closing = 0
        self._waiting: list[Deferred[Any]] = []
        self._draining: list[Drain] = []
        self._stopping: dict[OpenConnections, list[Deferred[None]]] = {}
        self._started = False
        self._patient = True
        self._reception = Reception(Gate(self._connections))
        self._listeners = [self._listener(text, index) for index, text in enumerate(listen)]

    def privilegedStartService(self) -> None:
        """Open the listeners, while the process may still open any port.

        Right after a stop the ports are still closing; then they are opened as soon as they are closed, and what
        goes wrong is logged.

        Raises:
            ListeningError: One of them would not open; then none is.
        """
        if self._started:
            return
        self._started = True
        self._patient = True
        self.open = OpenConnections()
        self._reception = Reception(Gate(self._connections))
        for listener in self._listeners:
            self._open_one(listener)

    def startService(self) -> None:
        """Open the listeners, unless they are open already; raises as `privilegedStartService` does."""
        super().startService()
        self.privilegedStartService()
        if self._companion is not None and not self._companion.running:
            try:
                self._companion.startService()
            except BaseException:
                self.give_up()
                raise

    def stopService(self) -> Deferred[None]:
        """Close the listeners, let connections finish for `graceful_timeout`, and abort the rest.

        Returns:
            A Deferred that fires with `None` when no connection is left.
        """
        super().stopService()
        self._stop_companion()
        run = self.open
        if self._started:
            self._started = False
            self._stopping[run] = []
            Deferred.fromCoroutine(self._stop(run)).addBoth(self._stopped, run)
        if run not in self._stopping:
            return succeed(None)
        stopped: Deferred[None] = Deferred(self._stopping[run].remove)
        self._stopping[run].append(stopped)
        return stopped

    def _stopped(self, result: Any, run: OpenConnections) -> Any:
        waiting = self._stopping.pop(run)
        for deferred in waiting:
            deferred.callback(result)
        return None if waiting else result

    def give_up(self) -> None:
        """Close the listeners now, without waiting for the reactor: another service could not start."""
        self.running = 0
        self._started = False
        self._stop_companion()
        self._close_listeners(at_once=True)

    def abort(self) -> None:
        """End every connection now, and do not wait for any at the next stop."""
        self._patient = False
        for connections in (self.open, *(drain.connections for drain in self._draining)):
            connections.abort()

    @property
    def state(self) -> ServiceState:
        """What the service is doing."""
        if self._started:
            return ServiceState.LISTENING
        if self._closing:
            return ServiceState.CLOSING
        return self._draining[-1].state if self._draining else ServiceState.STOPPED

    @property
    def draining(self) -> int:
        """Connections that a stop still waits for."""
        return sum(len(run) for run in self._stopping)

    def _stop_companion(self) -> None:
        if self._companion is not None and self._companion.running:
            self._companion.stopService()

    def _listener(self, text: str, index: int) -> Listener:
        try:
            listener = parse_listener(self._network, text, self._connections, self._datagrams)
            if listener.answers_datagrams and self._datagram is None:
                raise ValueError(f"{text!r} is for datagrams, and {self.name} answers streams only")
            if not listener.answers_datagrams and self._stream is None:
                raise ValueError(
                    f"{text!r} is for streams, and {self.name} answers datagrams only (udp:, ...)"
                )
            self._check_listener(listener)
        except ValueError as error:
            raise ConfigurationError(str(error), (f"listen[{index}]",)) from error
        return listener

    def _check_listener(self, listener: Listener) -> None:
        try:
            self._check(listener.description)
        except ValueError as error:
            raise ValueError(f"{listener.text!r} {error}") from error

    def _open_one(self, listener: Listener) -> None:
        """Open a listener; what fails at once is raised, what fails later can only be logged."""
        at_once: list[ListeningError] = []
        starting = True

        def failed(failure: Failure) -> None:
            error = listening_error(failure, listener.text, str(self.name))
            if starting:
                at_once.append(error)
            elif self._started:
                _log.error("{error}", error=error)

        opening = self._when_closed()
        opening.addCallback(lambda _: self._listen(listener))
        self._opening.append(opening)
        opening.addBoth(self._no_longer_opening, opening)
        opening.addCallback(self._opened, listener)
        opening.addErrback(failed)
        starting = False
        if at_once:
            self.give_up()
            raise at_once[0]

    def _when_closed(self) -> Deferred[Any]:
        """Fires once the ports of the last stop are closed, which takes a turn of the reactor."""
        if not self._closing:
            return succeed(None)
        waiting: Deferred[Any] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    def _no_longer_opening(self, result: Any, opening: Deferred[Any]) -> Any:
        self._opening = [other for other in self._opening if other is not opening]
        return result

    def _opened(self, port: IListeningPort, listener: Listener) -> None:
        if not self._started:
            maybeDeferred(port.stopListening)
            return
        self.ports.append(port)
        if (path := own_path(port)) is not None:
            self._paths.append((port, path))
        _log.info(
            "{service} serves on {kind} {address}",
            service=self._title, kind=listener.kind, address=show_address(port.getHost()),
        )  # fmt: skip

    def _close_listeners(self, *, at_once: bool = False) -> list[Deferred[Any]]:
        """Close them; `at_once` if the reactor may never run to do what Twisted puts off."""
        for opening in list(self._opening):
            opening.cancel()
        ports, self.ports = self.ports, []
        paths, self._paths = self._paths, []
        for port, path in paths:
            if at_once or not path.is_ours:
                give_up_path(port, path)
        return [maybeDeferred(port.stopListening) for port in ports]

    async def _stop(self, connections: OpenConnections) -> None:
        for port in self.ports:
            let_nobody_in(port)
            accept_waiting(port, connections, self._connections.backlog)
            self._reactor.callLater(0, accept_waiting, port, connections, self._connections.backlog)
        self._closing += 1
        for closed, failure in await DeferredList(self._close_listeners(), consumeErrors=True):
            if not closed:
                _log.failure("{service}: a listener would not close", failure=failure, service=self.name)
        self._closing -= 1
        while self._waiting and not self._closing:
            self._waiting.pop(0).callback(None)
        await self._drain(connections)

    async def _drain(self, connections: OpenConnections) -> None:
        """Wait for connections that were open at a stop; another start has others."""
        if not len(connections):
            return
        timeout = self._connections.graceful_timeout if self._patient else 0.0
        drain = Drain(connections, str(self.name), timeout, self._reactor)
        self._draining.append(drain)
        try:
            await drain.run()
        finally:
            self._draining.remove(drain)

    def _listen(self, listener: Listener) -> Deferred[IListeningPort]:
        """Open the socket of a listener, with what stands before the service's own factory or protocol."""
        name, allowed, reactor = str(self.name), self._connections, self._reactor
        if listener.answers_datagrams:
            assert self._datagram is not None
            config = evolve(
                self._datagrams, max_datagram=listener.endpoint_limit(self._datagrams.max_datagram)
            )
            networks = Networks(allowed.allow, allowed.deny) if allowed.allow or allowed.deny else None
            guarded = GuardedDatagramProtocol(self._datagram(), config, reactor, name, networks=networks)
            return listener.listen(guarded)
        assert self._stream is not None
        observers = (SocketOptions(allowed), AccessLog(name, every=allowed.access_log))
        factory = GuardedFactory(
            self._stream,
            allowed, clock=reactor, name=name, observers=observers,
            reception=self._reception, counters=self.counters, open_connections=self.open,
        )  # fmt: skip
        return listener.listen(factory)
