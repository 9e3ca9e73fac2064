"""A stage for faults: three hosts, one of which has open ports, and what its visitors see.

The rule of this module: it lets nothing go wrong; that is the affair of each test.
"""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from twistnet.simulation import Host, Network

__all__ = ["Datagrams", "End", "Stage"]


class End(Protocol):
    """One end of a connection.

    Attributes:
        heard: What came, and when.
        lost: When the connection ended.
        reasons: Why.
    """

    transport: Any

    def __init__(self, host: Host) -> None:
        self.host = host
        self.heard: list[tuple[float, bytes]] = []
        self.lost: list[float] = []
        self.reasons: list[object] = []

    @property
    def octets(self) -> bytes:
        """All that came."""
        return b"".join(data for _, data in self.heard)

    def _now(self) -> float:
        return round(self.host.network.clock.now, 6)

    def dataReceived(self, data: bytes) -> None:
        self.heard.append((self._now(), data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.append(self._now())
        self.reasons.append(reason.type)


class Datagrams(DatagramProtocol):
    """Counts what comes, and who is not there."""

    noisy = False
    transport: Any

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.refused = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.heard.append(datagram)

    def connectionRefused(self) -> None:
        self.refused += 1


class Stage:
    """Three hosts; `b` has an open port for streams and one for datagrams, whenever it has started.

    Attributes:
        served: The ends at `b`, the oldest first.
        datagrams: What `b` hears of datagrams, since it started last.
        sender: A socket of `a` for them.
    """

    def __init__(self, **link: Any) -> None:
        self.net = Network(link=link)
        self.served: list[End] = []
        self.boots = 0
        self.a, self.c = self.net.host("a"), self.net.host("c")
        self.b = self.net.host("b", boot=self._boot)
        self.sender = Datagrams()
        self.a.listenUDP(0, self.sender)
        self.sender.transport.connect(self.b.addresses[0], 9)

    def _boot(self, host: Host) -> None:
        self.boots += 1
        self.datagrams = Datagrams()
        host.listenTCP(7, Factory.forProtocol(self._serve))
        host.listenUDP(9, self.datagrams)

    def _serve(self) -> Any:
        self.served.append(End(self.net.host_named("b")))
        return self.served[-1]

    def calls(self, host: Host, timeout: float = 30) -> Deferred[End]:
        """Have a host connect to `b`."""
        end = End(host)
        endpoint = TCP4ClientEndpoint(host, "b", 7, timeout=timeout)
        calling: Any = endpoint.connect(Factory.forProtocol(lambda: end))
        return calling  # type: ignore[no-any-return]

    def connected(self, host: Host | None = None) -> tuple[End, End]:
        """The two ends of a new connection to `b`, which is the second."""
        end = self.net.run(self.calls(host or self.a))
        self.net.settle()
        return end, self.served[-1]

    def why_not(self, timeout: float = 30) -> type[BaseException]:
        """Why `a` can't connect to `b`."""
        with pytest.raises((ConnectError, DNSLookupError)) as caught:
            self.net.run(self.calls(self.a, timeout))
        return caught.type

    def a_datagram_arrives(self) -> bool:
        """Whether a datagram from `a` to `b` does, soon."""
        before = len(self.datagrams.heard)
        self.sender.transport.write(b"x")
        self.net.advance(0.01)
        return len(self.datagrams.heard) > before

    def a_name_is_found(self) -> bool:
        """Whether `a` finds `b` by its name, soon."""
        found: list[Any] = []
        self.a.resolve("b").addCallbacks(found.append, lambda failure: None)
        self.net.advance(0.01)
        return bool(found)

    def clocks_agree(self) -> bool:
        """Whether `a` and `b` have the same time."""
        return self.a.seconds() == self.b.seconds()
