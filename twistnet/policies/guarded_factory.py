"""The one wrapping factory: policies around any Twisted Factory.

The rule of this module: what the factory inside does is left to it, refusals and errors included; neither disturbs
anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.interfaces import (
    ILoggingContext,
    IProtocol,
    IProtocolFactory,
    IProtocolNegotiationFactory,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from zope.interface import alsoProvides, implementer

from ..addresses import show_address
from ..config import ConnectionConfig
from .counters import PolicyCounters, Quiet, policy_counters
from .gate import Gate
from .guarded_connection import ConnectionObserver, GuardedConnection
from .observers import AccessLog, OpenConnections, SocketOptions
from .reception import Reception
from .sources import address_of

__all__ = ["GuardedFactory", "asks_nothing", "guard"]

_log = Logger("twistnet")

_AT_THE_GATE = ("max_connections", "per_source", "accept_rate", "accept_burst")
_GATE_WORDS = (
    "overflow",
    "allow",
    "deny",
    "proxy_protocol",
    "proxy_allow_from",
    "dry_run",
    "graceful_timeout",
)
"""The settings of the gate; the first are `None` where nothing is asked."""


class _Closing(Protocol):
    """Stands for a protocol that the factory inside would not build, or could not."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.loseConnection()


@implementer(IProtocolFactory, ILoggingContext)
class GuardedFactory:
    """Wraps the protocols of another factory in `GuardedConnection`.

    Args:
        inner: The factory inside.
        config: What is allowed.
        clock: Tells the time, and wakes (`IReactorTime`); a reactor, as a rule.
        name: What it is called in the log and in the counters; the name of the factory's class, if nothing is said.
        observers: Who is told of its connections, in this order.
        reception: Who lets connections in, if several factories share their limits.
        counters: Where every decision is counted; those of the process for this name, if nothing is said.
        open_connections: Where its connections are kept, if several factories share that.

    Attributes:
        open: Its connections, from the moment they are accepted.
    """

    noisy = False

    def __init__(
        self,
        inner: Factory | IProtocolFactory,
        config: ConnectionConfig,
        *,
        clock: IReactorTime,
        name: str = "",
        observers: Sequence[ConnectionObserver] = (),
        reception: Reception | None = None,
        counters: PolicyCounters | None = None,
        open_connections: OpenConnections | None = None,
    ) -> None:
        self.inner: Any = inner
        self.config = config
        self.clock = clock
        self.name = name or type(inner).__name__
        self.observers = tuple(observers)
        self.counters = policy_counters(self.name) if counters is None else counters
        self.reception = reception or Reception(Gate(config))
        self.gate = self.reception.gate
        self.open = OpenConnections() if open_connections is None else open_connections
        self._quiet = Quiet()
        if IProtocolNegotiationFactory.providedBy(inner):
            alsoProvides(self, IProtocolNegotiationFactory)

    def doStart(self) -> None:
        self.inner.doStart()

    def doStop(self) -> None:
        self.inner.doStop()

    def buildProtocol(self, addr: Any) -> IProtocol:
        """A guarded connection; the protocol inside is built with it, unless it is not sure yet that it is let in."""
        if self.config.proxy_protocol != "off" or self._would_stop(addr):
            return GuardedConnection(self, None)
        inner = self.build_inner(addr)
        return _Closing() if inner is None else GuardedConnection(self, inner)

    def around(self, wrap: Callable[[Any], Any]) -> GuardedFactory:
        """The same factory in two halves with something between them, such as TLS, that a PROXY header comes before.

        The outer half lets connections in, and knows their clients; the inner one, which `wrap` is given, has the
        other policies and the observers.
        """
        off: dict[str, Any] = dict.fromkeys(_AT_THE_GATE)
        inner = evolve(self.config, **off, proxy_protocol="off", allow=(), deny=(), proxy_allow_from=())
        outer = ConnectionConfig(
            **{name: getattr(self.config, name) for name in (*_AT_THE_GATE, *_GATE_WORDS)},
            handshake_timeout=self.config.handshake_timeout,
        )
        around = GuardedFactory(
            self,
            outer,
            clock=self.clock,
            name=self.name,
            reception=self.reception,
            counters=self.counters,
            open_connections=self.open,
        )
        self.config, self.open = inner, OpenConnections()
        self.reception = Reception(Gate(inner))
        self.gate = self.reception.gate
        around.inner = wrap(self)
        return around

    def attend(self, port: Any) -> Any:
        """Have a listening port of its own accept no more at once than there are slots; returns the port."""
        self.reception.attend(port)
        return port

    def _would_stop(self, addr: Any) -> bool:
        if self.config.dry_run:
            return False
        violation = self.gate.check(self.clock.seconds(), address_of(addr))
        return violation is not None or self.gate.slots.full

    def build_inner(self, addr: Any) -> Any:
        """The protocol inside; `None` if the factory refuses, or fails, which is logged."""
        try:
            return self.inner.buildProtocol(addr)
        except Exception:
            _log.failure("{service}: no protocol could be built for {peer}",
                             service=self.name, peer=show_address(addr))  # fmt: skip
            return None

    def acceptableProtocols(self) -> list[bytes]:
        return list(self.inner.acceptableProtocols())

    def logPrefix(self) -> str:
        return self.name

    def tell(self, connection: GuardedConnection, policy: str, outcome: str, detail: str) -> None:
        """Count what a policy did to a connection, or in a dry run would have done, and log it once a minute."""
        if self.config.dry_run:
            outcome = f"dry run: {outcome}"
        self.counters.add(policy, outcome)
        since = self._quiet.due(self.clock.seconds(), f"{policy} {outcome}")
        if since:
            _log.info(
                "{service}: {outcome} {peer}: {detail} ({policy}){since}",
                service=self.name, outcome=outcome, peer=show_address(connection.peer), detail=detail,
                policy=policy, since=f"; {since} since the last such line" if since > 1 else "",
            )  # fmt: skip


_POLICIES = (
    "max_connections",
    "per_source",
    "accept_rate",
    "idle_timeout",
    "lifetime",
    "handshake_timeout",
    "rate",
    "high_water_mark",
    "write_buffer_limit",
    "allow",
    "deny",
)


def guard(
    factory: Factory | IProtocolFactory,
    config: ConnectionConfig,
    *,
    clock: IReactorTime,
    name: str = "",
    counters: PolicyCounters | None = None,
) -> Any:
    """A factory with policies around it.

    Args:
        factory: Any factory of stream protocols.
        config: What is allowed. What concerns the listening port rather than its connections (`backlog`,
            `reuse_port`, `graceful_timeout` at a stop) is for whoever listens.
        clock: Tells the time, and wakes (`IReactorTime`); a reactor, as a rule.
        name: What it is called in the log and in the counters; the name of the factory's class, if nothing is said.
        counters: Where every decision is counted; those of the process for this name, if nothing is said.

    Returns:
        An `IProtocolFactory`: the factory itself if the configuration asks for nothing.
    """
    if not isinstance(config, ConnectionConfig):
        raise TypeError(f"{config!r} is not a ConnectionConfig")
    if isinstance(factory, type) or not hasattr(factory, "buildProtocol"):
        raise TypeError(f"{factory!r} is not a factory: it has no buildProtocol of its own")
    if asks_nothing(config):
        return factory
    name = name or type(factory).__name__
    observers: list[ConnectionObserver] = [SocketOptions(config)]
    if config.access_log:
        observers.append(AccessLog(name, every=True))
    return GuardedFactory(factory, config, clock=clock, name=name, observers=observers, counters=counters)


def asks_nothing(config: ConnectionConfig) -> bool:
    """Whether a configuration asks nothing of connections."""
    asked = (*_POLICIES, "no_delay", "keepalive", "access_log")
    return config.proxy_protocol == "off" and not any(getattr(config, name) for name in asked)
