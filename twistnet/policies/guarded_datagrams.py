"""The wrapper that puts a `DatagramGuard` in front of any `DatagramProtocol`.

The rule of this module: the protocol inside sees only datagrams that may be answered, and what it sends is seen by
the guard. A reply that cannot be sent is counted and dropped; it never becomes an exception in the protocol.
"""

from __future__ import annotations

import os
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import InvalidAddressError, MessageLengthError
from twisted.internet.interfaces import IReactorTime, IUDPTransport
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger
from zope.interface import implementer

from ..addresses import show_address
from ..config import DatagramConfig
from .counters import PolicyCounters, Quiet, policy_counters
from .datagram_guard import HOLD, DatagramGuard, Drop, Source
from .networks import Networks

__all__ = ["GuardedDatagramProtocol"]

_log = Logger("twistnet.guard")


class GuardedDatagramProtocol(DatagramProtocol):
    """A datagram protocol whose port answers only what is safe to answer.

    Args:
        inner: The protocol that answers.
        config: What the guard allows.
        clock: Tells the time.
        name: What it is called in the log and in the counters.
        counters: Where every drop is counted, as `"guard"` and its reason; those of the process for this name, if
            nothing is said.
        networks: Who may send at all, if that is limited.

    Attributes:
        guard: The guard of the port that is open, with its counters; `None` before there is one.
    """

    noisy = False

    def __init__(
        self,
        inner: DatagramProtocol,
        config: DatagramConfig,
        clock: IReactorTime,
        name: str = "datagrams",
        counters: PolicyCounters | None = None,
        networks: Networks | None = None,
    ) -> None:
        self.guard: DatagramGuard | None = None
        self._inner = inner
        self._config = config
        self._clock = clock
        self._name = name
        self._counters = policy_counters(name) if counters is None else counters
        self._networks = networks
        self._quiet = Quiet()

    def startProtocol(self) -> None:
        self._quiet = Quiet()
        self.guard = DatagramGuard(self._config, _local(self.transport), _is_ours, self._networks)
        self._inner.noisy = False
        self._inner.makeConnection(_GuardedTransport(self, self.transport))

    def stopProtocol(self) -> None:
        self._inner.doStop()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        now = self._clock.seconds()
        guard = self.guard
        assert guard is not None
        drop = guard.receive(now, addr, datagram)
        if drop is not None:
            self._counters.add("guard", drop.value)
            self._tell(now, drop, addr)
            return
        self._inner.datagramReceived(datagram, addr)

    def connectionRefused(self) -> None:
        self._inner.connectionRefused()

    def logPrefix(self) -> str:
        return self._name

    def replied(self, reply: bytes, addr: Any) -> None:
        """A datagram was sent by the protocol inside."""
        assert self.guard is not None
        self.guard.replied(self._clock.seconds(), addr, reply)

    def not_sent(self, addr: Any, why: Exception) -> None:
        """A datagram of the protocol inside could not be sent."""
        assert self.guard is not None
        reason = f"not sent: {_why(why)}"
        self.guard.counters[reason] += 1
        self._tell(self._clock.seconds(), reason, addr)

    def _tell(self, now: float, reason: str, addr: Source) -> None:
        """One line when a reason comes up, and one a minute while it goes on."""
        since = self._quiet.due(now, reason)
        if since and reason == Drop.LOOP:
            self._tell_of_loop(addr)
        elif since:
            _log.info(
                "{service}: {count} dropped, the last from {peer}: {reason}",
                service=self._name, count=since, peer=show_address(addr), reason=str(reason),
            )  # fmt: skip

    def _tell_of_loop(self, addr: Source) -> None:
        assert self.guard is not None
        returns, seconds = self.guard.loop_of(addr)
        _log.warn(
            "{service}: {peer} sent {returns} payloads back within {seconds:.2f} s, as another service would: "
            "a loop, ended by not answering them for {hold:g} s",
            service=self._name, peer=show_address(addr), returns=returns, seconds=seconds, hold=HOLD,
        )  # fmt: skip


@implementer(IUDPTransport)
class _GuardedTransport:
    """The transport that the protocol inside writes to."""

    def __init__(self, shell: GuardedDatagramProtocol, transport: Any) -> None:
        self._shell = shell
        self._transport = transport

    def write(self, packet: bytes, addr: Any = None) -> None:
        try:
            self._transport.write(packet, addr)
        except (OSError, MessageLengthError, InvalidAddressError) as why:
            self._shell.not_sent(addr, why)
        else:
            self._shell.replied(packet, addr)

    def connect(self, host: str, port: int) -> None:
        self._transport.connect(host, port)

    def getHost(self) -> Any:
        return self._transport.getHost()

    def stopListening(self) -> Any:
        return self._transport.stopListening()

    def setBroadcastAllowed(self, enabled: bool) -> None:
        self._transport.setBroadcastAllowed(enabled)

    def getBroadcastAllowed(self) -> bool:
        return bool(self._transport.getBroadcastAllowed())


def _why(problem: Exception) -> str:
    """A reason that names no peer: reasons are counted, and there must not be one a peer."""
    if isinstance(problem, MessageLengthError):
        return "longer than the kernel takes"
    return getattr(problem, "strerror", None) or "to an address that this socket cannot reach"


def _local(transport: Any) -> Source:
    """The address of a datagram port, in the form in which sources come."""
    host = transport.getHost()
    if isinstance(host, (IPv4Address, IPv6Address)):
        return (host.host, host.port)
    return os.fsdecode(getattr(host, "name", None) or "")


def _is_ours(host: str) -> bool:
    """Whether an address is one of this machine's: only such an address can be bound to."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
