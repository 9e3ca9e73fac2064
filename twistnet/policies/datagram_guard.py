"""Which datagrams a service answers: what reflects, loops or floods is dropped.

The rule of this module: every datagram gets one verdict, and everything dropped is counted under one reason. The
sender of a datagram can be forged, so an answer may hit somebody who never asked (CERT CA-1996-01, CVE-2024-2169);
no reply is sent that could set two services talking to each other, or that makes a useful weapon.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Callable, Hashable
from enum import StrEnum
from functools import lru_cache
from typing import TypeAlias

from attrs import Factory, define, frozen

from ..config import DatagramConfig
from .networks import Networks
from .sources import numeric, source_of
from .token_bucket import Recent, TokenBucket

__all__ = ["DatagramGuard", "Drop", "Source"]

Source: TypeAlias = tuple[str, int] | str | bytes | None
"""Who sent a datagram, as the transport says it: host and port, a UNIX path, or nothing for an unbound socket."""

SOURCES, PEERS = 10_000, 4_000
"""Addresses, and addresses with their ports, remembered at once; the one idle longest is forgotten first."""

_NOBODY = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network (RFC 1122)
        "224.0.0.0/4",  # multicast (RFC 5771)
        "240.0.0.0/4",  # reserved, and the broadcast address within 255/8 (RFC 1112)
        "::/128",  # unspecified (RFC 4291)
        "::ffff:0:0/96",  # IPv4 mapped into IPv6, to slip past the rules above
        "ff00::/8",  # multicast (RFC 4291)
    )
)
NFS = 2049
RESERVED = 1024
RETURNS, LEAK = 2000, 100.0
"""A peer may send back so many payloads that it was sent itself, and so many a second beyond that: a fast loop."""

RUN, PROMPT = 5000, 0.5
"""And so many one after the other, each within so many seconds of what it was sent: a slow loop."""

HOLD = 2.0
"""Seconds without an answer that end a loop: whatever is still under way by then has been lost."""

PAYLOADS = 128
"""Replies to one peer that are remembered."""


class Drop(StrEnum):
    """Why a datagram is not answered."""

    SOURCE_PORT = "source port of a service"
    SPECIAL_ADDRESS = "source address that nobody has"
    LOOPBACK = "loopback source from outside"
    ITSELF = "from this very socket"
    UNBOUND = "sender has no address"
    TOO_LONG = "longer than max_datagram"
    SOURCE_RATE = "above packet_rate of its source"
    TOTAL_RATE = "above total_packet_rate"
    LOOP = "a payload that keeps coming back"
    NETWORK = "source network that may not send (allow, deny)"


@define(eq=False)
class _Peer:
    """What one address was sent lately, and how often it sent the same back."""

    sent: dict[int, None] = Factory(dict)
    credit: int = 0
    returns: float = 0.0
    returns_since: float = 0.0
    run: int = 0
    run_since: float = 0.0
    updated: float = 0.0
    closed_until: float = float("-inf")
    loop: tuple[int, float] = (0, 0.0)

    def remember(self, payload: bytes) -> None:
        key = hash(payload)
        self.sent.pop(key, None)
        self.sent[key] = None  # last: the most recent
        if len(self.sent) > PAYLOADS:
            del self.sent[next(iter(self.sent))]

    def loops(self, now: float, payload: bytes) -> bool:
        """Count a payload that came back; `True` once there are too many, and for `HOLD` seconds after that."""
        pause, self.updated = max(0.0, now - self.updated), now
        if hash(payload) not in self.sent:
            self.run = 0
            return False
        if 0 < self.closed_until - now <= HOLD:
            return True
        self.returns = max(0.0, self.returns - LEAK * pause) + 1
        self.run = self.run + 1 if pause <= PROMPT else 1
        if self.returns == 1:
            self.returns_since = now
        if self.run == 1:
            self.run_since = now
        if self.returns > RETURNS:
            self.loop = (RETURNS, now - self.returns_since)
        elif self.run > RUN:
            self.loop = (RUN, now - self.run_since)
        else:
            return False
        self.returns, self.run, self.closed_until = 0.0, 0, now + HOLD
        return True


@frozen
class _Verdict:
    """What is thought of an address, whatever it sends."""

    drop: Drop | None


class DatagramGuard:
    """Decides which datagrams are answered.

    Args:
        config: The rates and the limit of size; with `guard=False` only what cannot be answered at all is dropped.
        local: The address listened on, host and port, or a UNIX path; loopback peers are answered only where
            this is a loopback address.
        is_ours: Whether a numeric address is one of this machine's; asked where `local` is all of them.
        networks: Who may send at all, if that is limited; senders on UNIX sockets are not asked.

    Attributes:
        counters: Datagrams by what became of them: `"received"`, `"answered"`, `"amplified"` (answered with more
            octets than came), and each `Drop`.
    """

    def __init__(
        self,
        config: DatagramConfig,
        local: Source = None,
        is_ours: Callable[[str], bool] = lambda host: False,
        networks: Networks | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._config = config
        self._local = local
        self._is_ours = is_ours
        self._barred = None if networks is None else Recent[str, bool](_barred_by(networks), SOURCES)
        self._on_everything = isinstance(local, tuple) and ipaddress.ip_address(local[0]).is_unspecified
        self._on_loopback = isinstance(local, tuple) and ipaddress.ip_address(local[0]).is_loopback
        self._verdicts = Recent[str, _Verdict](lambda host: _Verdict(self._verdict_on(host)), SOURCES)
        self._buckets = Recent[Hashable, TokenBucket](self._new_bucket, SOURCES)
        self._peers = Recent[Hashable, _Peer](lambda _: _Peer(), PEERS)
        self._total = TokenBucket(config.total_packet_rate, config.total_packet_rate, now=0.0)

    def receive(self, now: float, source: Source, payload: bytes) -> Drop | None:
        """The verdict on one datagram.

        Args:
            now: Seconds of a clock.
            source: Who sent it, or who is said to have sent it.
            payload: What it carries.

        Returns:
            Why it is dropped, or `None` if it may be answered.
        """
        self.counters["received"] += 1
        verdict = self._judge(now, source, payload)
        if verdict is not None:
            self.counters[verdict] += 1
        return verdict

    def _judge(self, now: float, source: Source, payload: bytes) -> Drop | None:
        if not source:
            return Drop.UNBOUND
        if self._barred is not None and isinstance(source, tuple) and self._barred[source[0]]:
            return Drop.NETWORK
        if len(payload) > self._config.max_datagram:
            return Drop.TOO_LONG
        return self._suspect(now, source, payload) if self._config.guard else None

    def _suspect(self, now: float, source: tuple[str, int] | str | bytes, payload: bytes) -> Drop | None:
        if self._is_this_socket(source):
            return Drop.ITSELF
        if isinstance(source, tuple):
            if source[1] < RESERVED or source[1] == NFS:
                return Drop.SOURCE_PORT
            if (drop := self._verdicts[source[0]].drop) is not None:
                return drop
        if self._peers[source].loops(now, payload):
            return Drop.LOOP
        if not self._buckets[_origin(source)].take(now):
            return Drop.SOURCE_RATE
        if not self._total.take(now):
            return Drop.TOTAL_RATE
        self._peers[source].credit += len(payload)
        return None

    def _is_this_socket(self, source: Source) -> bool:
        if not self._on_everything or not isinstance(source, tuple) or not isinstance(self._local, tuple):
            return source == self._local
        return source[1] == self._local[1] and self._is_ours(source[0])

    def replied(self, now: float, source: Source, reply: bytes) -> None:
        """Note an answer that was sent; what is longer than what its receiver has sent costs that source more.

        Args:
            now: The time, as in `receive`.
            source: Whom it was sent to.
            reply: The answer.
        """
        self.counters["answered"] += 1
        if not self._config.guard or not source:
            return
        peer = self._peers[source]
        peer.remember(reply)
        credit, peer.credit = peer.credit, max(0, peer.credit - len(reply))
        if len(reply) > credit:
            self.counters["amplified"] += 1
            self._buckets[_origin(source)].charge(now, len(reply) / max(1, credit) - 1)

    def loop_of(self, source: Source) -> tuple[int, float]:
        """How many payloads came back from a source before it was last taken for a loop, and in how many seconds."""
        return self._peers[source].loop

    def _new_bucket(self, _: Hashable) -> TokenBucket:
        return TokenBucket(self._config.packet_rate, self._config.packet_burst, now=0.0)

    def _verdict_on(self, host: str) -> Drop | None:
        """The rules of OpenBSD inetd's `dg_badinput`, for both families."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return Drop.SPECIAL_ADDRESS
        if any(address in network for network in _NOBODY if network.version == address.version):
            return Drop.SPECIAL_ADDRESS
        if address.is_loopback and not self._on_loopback:
            return Drop.LOOPBACK
        return None


@lru_cache(SOURCES)
def _prefix(host: str) -> str:
    address = numeric(host)
    return host if address is None else source_of(address)


def _origin(source: Source) -> Hashable:
    return _prefix(source[0]) if isinstance(source, tuple) else source


def _barred_by(networks: Networks) -> Callable[[str], bool]:
    """What tells whether a numeric address may not send."""

    def is_barred(host: str) -> bool:
        address = numeric(host)
        return address is not None and networks.check(address) is not None

    return is_barred
