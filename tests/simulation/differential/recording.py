"""Protocols and factories that write down what happens to them.

The rule of this module: a participant records its name and what was called, never an address, a port number or the size of
a piece, and keeps whatever else a script may want to look at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, ConnectedDatagramProtocol, DatagramProtocol, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from .world import World

__all__ = ["Connected", "Datagrams", "Factory", "HalfCloseable", "Hook", "Producer", "Recording", "made"]

Hook = Callable[..., object]
"""Called with the participant, and with the octets where there are any."""


def made(participant: Recording) -> None:
    """A hook: record that the connection is made."""
    participant.world.record(participant.name, "made")


class Recording(Protocol):
    """One end of a connection.

    Attributes:
        received: All octets so far.
        pieces: The length of each piece that they came in.
        reason: The name of the class of the reason of the loss, once there is one.

    The hooks are `made`, `data`, `lost`, `read_lost` and `write_lost`. That a connection is made is recorded by nothing but
    a hook (see `made`), because most scripts begin after both sides are told.
    """

    transport: Any

    def __init__(self, world: World, name: str, **hooks: Hook) -> None:
        self.world = world
        self.name = name
        self.hooks = hooks
        self.received = bytearray()
        self.pieces: list[int] = []
        self.reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self.transport is not None and self.reason is None

    def happens(self, hook: str, *details: object) -> None:
        """Go through with what a script wants done at this point."""
        self.world.pulse += 1
        if hook in self.hooks:
            self.hooks[hook](self, *details)

    def connectionMade(self) -> None:
        self.happens("made")

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self.pieces.append(len(data))
        self.happens("data", data)

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:
        self.reason = reason.value.__class__.__name__
        self.world.record(self.name, "lost", self.reason)
        self.happens("lost")


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recording):
    """One end of a connection that knows of half-closes."""

    def readConnectionLost(self) -> None:
        """The peer has finished."""
        self.world.record(self.name, "read lost")
        self.happens("read_lost")

    def writeConnectionLost(self) -> None:
        """Our own half is closed."""
        self.world.record(self.name, "write lost")
        self.happens("write_lost")


class Factory(ClientFactory):
    """Hands out protocols in turn, for either side; what a client's factory is told is recorded, unless it is mute.

    Attributes:
        addresses: What `buildProtocol` was given.
        reason: Why the last attempt failed.
    """

    noisy = False
    mute = False

    def __init__(self, world: World, *protocols: Protocol | None, **hooks: Hook) -> None:
        self.world = world
        self.protocols = list(protocols)
        self.hooks = hooks
        self.addresses: list[IAddress | None] = []
        self.reason: Any = None

    def tell(self, event: str, connector: Any, *details: object) -> None:
        """Record what the factory is told, and go through with what a script wants done."""
        if not self.mute:
            self.world.record("factory", event, *details)
        hook = event.replace(" ", "_")
        if hook in self.hooks:
            self.hooks[hook](connector)

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        self.world.pulse += 1
        self.addresses.append(addr)
        return self.protocols.pop(0)

    def startFactory(self) -> None:
        self.tell("started", None)

    def stopFactory(self) -> None:
        self.tell("stopped", None)

    def startedConnecting(self, connector: Any) -> None:
        self.tell("connecting", connector, connector.state)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.reason = reason.value
        self.tell("failed", connector, reason.value.__class__.__name__)

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.tell("client lost", connector, reason.value.__class__.__name__)


class Datagrams(DatagramProtocol):
    """A datagram port.

    Attributes:
        received: The datagrams so far.
        sources: Where each came from.
    """

    noisy = False
    transport: Any

    def __init__(self, world: World, name: str, **hooks: Hook) -> None:
        self.world = world
        self.name = name
        self.hooks = hooks
        self.received: list[bytes] = []
        self.sources: list[Any] = []

    @property
    def address(self) -> tuple[str, int]:
        """Where to write to, on this machine."""
        host = self.transport.getHost()
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.host, host.host), host.port

    def datagramReceived(self, datagram: bytes, addr: Any = None) -> None:
        self.received.append(datagram)
        self.sources.append(addr)
        words = datagram.decode("latin-1") if len(datagram) < 40 else f"{len(datagram)} octets"
        self.world.record(self.name, "received", words)
        if "data" in self.hooks:
            self.hooks["data"](self, datagram)

    def connectionRefused(self) -> None:
        self.world.record(self.name, "refused")


class Connected(ConnectedDatagramProtocol):
    """A connected UNIX datagram port."""

    noisy = False
    transport: Any

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name

    def datagramReceived(self, datagram: bytes) -> None:  # type: ignore[override]
        """A datagram from the peer."""
        self.world.record(self.name, "received", datagram.decode("latin-1"))

    def connectionRefused(self) -> None:
        """There is no peer any more."""
        self.world.record(self.name, "refused")

    def connectionFailed(self, failure: Failure) -> None:
        self.world.record(self.name, "failed", failure.value.__class__.__name__)


class Producer:
    """A producer that records what it is asked for, and does what a script wants done."""

    def __init__(self, world: World, **hooks: Hook) -> None:
        self.world = world
        self.hooks = hooks

    def _asked(self, what: str) -> None:
        self.world.record("producer", what)
        if what in self.hooks:
            self.hooks[what]()

    def pauseProducing(self) -> None:
        """The consumer has enough for now."""
        self._asked("pause")

    def resumeProducing(self) -> None:
        """The consumer wants more."""
        self._asked("resume")

    def stopProducing(self) -> None:
        """The consumer is gone."""
        self._asked("stop")
