"""Servers to measure on a simulated network, and who measures them.

The rule of this module: what a server does, it does in virtual time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import pytest
from twisted.internet.protocol import Factory, Protocol

from twistnet import EchoDatagramProtocol, EchoFactory
from twistnet.simulation import Network

__all__ = ["LATENCY", "PORT", "SHORT", "TCP", "UDP", "Answering", "Bench", "Figures", "serve"]

PORT = 7007
TCP = f"tcp:server:{PORT}"
UDP = f"udp:server:{PORT}"
SHORT = ("--duration", "2s", "--warm-up", "200ms", "--connections", "3")
LATENCY = pytest.mark.network(link={"latency": 0.005})
Bench: TypeAlias = Callable[..., tuple[int, str, str, float]]
Figures: TypeAlias = Callable[..., dict[str, Any]]


def serve(network: Network, make: Callable[[], Protocol] | None = None) -> None:
    """Echo over streams and datagrams, or another protocol over streams."""
    server = network.host("server")
    server.listenTCP(PORT, EchoFactory() if make is None else Factory.forProtocol(make))
    server.listenUDP(PORT, EchoDatagramProtocol(), maxPacketSize=65536)


class Answering(Protocol):
    """Sends back what comes, or what becomes of it."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self.answer(data))

    def answer(self, data: bytes) -> bytes:
        """What to send back."""
        return data
