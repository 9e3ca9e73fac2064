"""Who comes in: the policies that are asked when a connection is made, in their order, and what it holds while it is open.

The rule of this module: what is taken for a connection is in its pass, and is given back with it, once.

The order: `deny`, `allow`, `accept_rate`, `per_source`, then `max_connections`. Nothing is spent for a connection that one
of the first four refuses. With a PROXY header `proxy_allow_from` and `max_connections` come first, because the client's
address is not known before the header is; the others follow it, unless the proxy speaks for itself or does not know its
client.
"""

from __future__ import annotations

from attrs import define, field

from ..config import ConnectionConfig
from ..errors import PolicyViolation, ProxyNotAllowed
from .accept_rate import AcceptRate
from .max_connections import MaxConnections
from .networks import Networks
from .per_source import PerSource
from .sources import Address, Source, contains, source_of

__all__ = ["Gate", "Pass"]


@define(eq=False)
class Pass:
    """What one connection holds."""

    slot: bool = False
    source: Source | None = None


@define(eq=False)
class Gate:
    """Decides who comes in. Several listeners may have one gate: then its limits are for all of them together.

    Attributes:
        config: What is allowed.
        slots: The policy `max_connections`.
    """

    config: ConnectionConfig
    slots: MaxConnections = field(init=False)
    _networks: Networks | None = field(init=False)
    _per_source: PerSource | None = field(init=False)
    _accept_rate: AcceptRate | None = field(init=False)

    def __attrs_post_init__(self) -> None:
        config = self.config
        self.slots = MaxConnections(config.max_connections, config.overflow)
        self._networks = Networks(config.allow, config.deny) if config.allow or config.deny else None
        self._per_source = None if config.per_source is None else PerSource(config.per_source)
        self._accept_rate = (
            None
            if config.accept_rate is None
            else AcceptRate(config.accept_rate, config.accept_burst or max(1, round(config.accept_rate)))
        )

    @property
    def sources(self) -> int:
        """How many sources are known."""
        known = (self._per_source, self._accept_rate)
        return sum(len(table) for table in known if table is not None)

    def check_proxy(self, address: Address | None) -> PolicyViolation | None:
        """What forbids a peer to send a PROXY header; nothing does on a UNIX socket."""
        trusted = self.config.proxy_allow_from
        if not trusted or address is None or contains(trusted, address):
            return None
        return ProxyNotAllowed("its PROXY header does not count")

    def check(self, now: float, address: Address | None) -> PolicyViolation | None:
        """What forbids a client to connect, but for `max_connections`; nothing does on a UNIX socket."""
        if address is None:
            return None
        violation = self._networks.check(address) if self._networks else None
        if violation is None and self._accept_rate is not None:
            violation = self._accept_rate.check(now, source_of(address))
        if violation is None and self._per_source is not None:
            violation = self._per_source.check(source_of(address))
        return violation

    def enter(self, now: float, address: Address | None, place: Pass) -> None:
        """A client comes in: it is counted among those of its source."""
        if address is None or (self._per_source is None and self._accept_rate is None):
            return
        source = source_of(address)
        if self._accept_rate is not None:
            self._accept_rate.enter(now, source)
        if self._per_source is not None and place.source is None:
            self._per_source.enter(source)
            place.source = source

    def enter_slot(self, place: Pass) -> None:
        """A connection takes its slot."""
        if not place.slot:
            place.slot = True
            self.slots.enter()

    def leave(self, place: Pass) -> None:
        """All that a connection held is given back; a second call does nothing."""
        if place.slot:
            place.slot = False
            self.slots.leave()
        if place.source is not None and self._per_source is not None:
            self._per_source.leave(place.source)
            place.source = None
