"""Descriptors that a guarded protocol sends over a UNIX socket, while the rate holds back what it writes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.endpoints import UNIXClientEndpoint, UNIXServerEndpoint, connectProtocol
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import Factory
from zope.interface import implementer

from tests.peers import Peer
from tests.policies.serving import Told
from twistnet import ConnectionConfig, guard
from twistnet.simulation import Network

PATH = "/run/descriptors.sock"
SLOW = ConnectionConfig(rate=10, burst=10)


@implementer(IFileDescriptorReceiver)
class Receiver(Peer):
    """Is handed descriptors, and reads what each of them has."""

    def connectionMade(self) -> None:
        self.handed: list[bytes] = []

    def fileDescriptorReceived(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            self.handed.append(file.read(6))


@pytest.fixture
def pipe() -> Iterator[int]:
    """The end of a pipe from which twelve octets can be read."""
    reading, writing = os.pipe()
    os.write(writing, b"openedopened")
    os.close(writing)
    yield reading
    os.close(reading)


def octet_first(transport: Any, pipe: int) -> None:
    transport.write(b".")
    transport.sendFileDescriptor(pipe)


def octet_last(transport: Any, pipe: int) -> None:
    transport.sendFileDescriptor(pipe)
    transport.write(b".")


def two_at_once(transport: Any, pipe: int) -> None:
    transport.sendFileDescriptor(pipe)
    transport.sendFileDescriptor(pipe)
    transport.write(b".")
    transport.write(b".")


@pytest.mark.parametrize("guards", [[SLOW], [SLOW, SLOW]], ids=["one guard", "two guards"])
@pytest.mark.parametrize("send", [octet_first, octet_last, two_at_once])
def test_a_descriptor_leaves_with_its_octet_whatever_the_rate(
    network: Network, pipe: int, send: Callable[[Any, int], None], guards: list[ConnectionConfig]
) -> None:
    server = network.host("server")
    factory: Any = Factory.forProtocol(
        lambda: Told(
            made=lambda protocol: protocol.transport.write(b"x" * 20),
            received=lambda protocol, data: send(protocol.transport, pipe),
        )
    )
    for config in guards:
        factory = guard(factory, config, clock=server)
    network.run(UNIXServerEndpoint(server, PATH).listen(factory))
    receiver = network.run(connectProtocol(UNIXClientEndpoint(server, PATH), Receiver()))
    receiver.say(b"?")
    network.advance(0.1)
    count = 2 if send is two_at_once else 1
    assert (receiver.handed, receiver.received) == ([b"opened"] * count, b"x" * 20 + b"." * count)
    assert not receiver.lost.called
    receiver.transport.loseConnection()
    network.advance(9)
    assert server.getDelayedCalls() == []
