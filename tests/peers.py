"""Peers of our services on a simulated network: they keep what comes, and otherwise do what a test tells them to.

The rule of this module: a peer decides nothing itself. It neither closes when the other end does, nor reads when it is told
not to.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import DatagramProtocol, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from twistnet.simulation import Host, Network

__all__ = ["DatagramPeer", "Peer", "connect", "datagram_peer"]


@implementer(IHalfCloseableProtocol)
class Peer(Protocol):
    """One end of a stream.

    Attributes:
        received: All octets so far.
        pieces: How many pieces they came in.
        ended: Fires with all octets once the other end has finished sending; not if the connection is lost before.
        lost: Fires with the class of the reason once the connection is lost.
    """

    transport: Any

    def __init__(self, *, reads: bool = True) -> None:
        self.received = b""
        self.pieces = 0
        self.ended: Deferred[bytes] = Deferred()
        self.lost: Deferred[Any] = Deferred()
        self._reads = reads

    def connectionMade(self) -> None:
        if not self._reads:
            self.transport.pauseProducing()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.pieces += 1

    def readConnectionLost(self) -> None:
        """The other end has finished sending."""
        self.ended.callback(self.received)

    def writeConnectionLost(self) -> None:
        """This end has."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(reason.type)

    def say(self, data: bytes, *, finish: bool = False) -> None:
        """Send octets, and perhaps the end."""
        self.transport.write(data)
        if finish:
            self.transport.loseWriteConnection()

    def read(self) -> None:
        """Begin to read, after all."""
        self.transport.resumeProducing()


def connect(network: Network, client: Host, host: str, port: int, *, reads: bool = True) -> Peer:
    """A peer on one host that is connected to a port of another."""
    peer: Peer = network.run(connectProtocol(HostnameEndpoint(client, host, port), Peer(reads=reads)))
    return peer


class DatagramPeer(DatagramProtocol):
    """A datagram socket.

    Attributes:
        received: The datagrams so far.
        refused: How often a machine said that nothing listens there.
    """

    noisy = False
    transport: Any

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.refused = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.received.append(datagram)

    def connectionRefused(self) -> None:
        self.refused += 1


def datagram_peer(client: Host, host: Host, port: int) -> DatagramPeer:
    """A socket on one host that is connected to a port of another."""
    peer = DatagramPeer()
    client.listenUDP(0, peer, maxPacketSize=65536)
    peer.transport.connect(host.addresses[0], port)
    return peer
