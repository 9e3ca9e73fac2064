"""Stream connections on real sockets of this machine, under reactors that nobody has installed.

The rule of this module: one end is a transport that is tested, the other a plain socket that does what a script says; so one
script gives one list of events, whatever the transport. Every wait has an end.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, Factory, Protocol, connectionDone
from twisted.internet.selectreactor import SelectReactor
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import implementer

from twistnet.transport import fast, reactor_factory

__all__ = ["KINDS", "SIDES", "HalfCloseable", "Live", "Recording", "live"]

TURNS = 5000
"""Of a reactor, at most, until what a test waits for has happened."""

KINDS: dict[str, Callable[[], Any]] = {
    "stock": EPollReactor,
    "reactor": reactor_factory,
    "in select": lambda: fast(SelectReactor()),
    "in asyncio": lambda: fast(AsyncioSelectorReactor(asyncio.new_event_loop())),
}
"""Twisted's own, and three that make fast transports."""

SIDES = ["tcp server", "tcp client", "unix server", "unix client"]
"""What the transport that is tested is."""

Hook: TypeAlias = Callable[["Recording", bytes], object]


class Recording(Protocol):
    """Writes down what it is told, and then does what a script wants it to."""

    transport: Any

    def __init__(self, world: Live, hook: Hook) -> None:
        self.world = world
        self.hook = hook
        self.octets = b""

    def connectionMade(self) -> None:
        self.world.connected.append(self)

    def dataReceived(self, data: bytes) -> None:
        self.octets += data
        self.world.record("received", data if len(data) < 100 else len(data))
        self.hook(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.world.record("lost", reason.type.__name__)  # type: ignore[union-attr]


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Recording):
    """The same, and lives on when one direction is closed."""

    def readConnectionLost(self) -> None:
        self.world.record("read lost")

    def writeConnectionLost(self) -> None:
        self.world.record("write lost")


@implementer(ILogObserver)
class Live:
    """One reactor, and the connections of one test.

    Attributes:
        reactor: The one that is tested.
        events: What has happened.
        errors: The exceptions that were logged.
        said: The system and the text of what was logged with `log.msg`.
        connected: The protocols, in the order in which they were connected.
    """

    def __init__(self, kind: str, folder: Path) -> None:
        self.reactor: Any = KINDS[kind]()
        self.events: list[tuple[object, ...]] = []
        self.errors: list[type] = []
        self.said: list[tuple[str, str]] = []
        self.connected: list[Recording] = []
        self._folder = folder
        self._numbers = iter(range(1000))
        self._plain: list[socket.socket] = []

    def record(self, *event: object) -> None:
        self.events.append(event)

    # Connections

    def path(self) -> str:
        return str(self._folder / str(next(self._numbers)))

    def listen(
        self,
        hook: Hook = lambda protocol, data: None,
        family: str = "tcp",
        protocol: type[Recording] = Recording,
    ) -> Any:
        """A port whose connections do what the hook says."""
        factory: Any = Factory.forProtocol(lambda: protocol(self, hook))
        factory.noisy = False
        if family == "unix":
            return self.reactor.listenUNIX(self.path(), factory)
        return self.reactor.listenTCP(0, factory, interface="127.0.0.1")

    def caller(self, port: Any) -> socket.socket:
        """A plain socket that has called such a port."""
        host = port.getHost()
        plain = self.plain("unix" if hasattr(host, "name") else "tcp")
        plain.connect(host.name if hasattr(host, "name") else (host.host, host.port))
        return plain

    def dial_many(self, port: Any, count: int) -> list[socket.socket]:
        """Connections to such a port, of which one end is a plain socket; no more than it has room for in its queue."""
        before = len(self.connected)
        plain = [self.caller(port) for _ in range(count)]
        self.until(lambda: len(self.connected) == before + count)
        return plain

    def dial(self, port: Any) -> tuple[Any, socket.socket]:
        """One such connection, and its protocol."""
        [plain] = self.dial_many(port, 1)
        return self.connected[-1], plain

    def pair(
        self,
        side: str = "tcp server",
        hook: Hook = lambda protocol, data: None,
        protocol: type[Recording] = Recording,
    ) -> tuple[Any, socket.socket]:
        """A protocol on the transport that is tested, and the plain socket at the other end."""
        family, _, role = side.partition(" ")
        if role == "server":
            return self.dial(self.listen(hook, family, protocol))
        listening = self.plain(family)
        listening.bind(self.path() if family == "unix" else ("127.0.0.1", 0))
        listening.listen()
        before = len(self.connected)
        self.connect(listening.getsockname(), hook, protocol)
        self.until(lambda: len(self.connected) > before)
        plain, _ = listening.accept()
        self._plain.append(plain)
        plain.settimeout(5)
        return self.connected[-1], plain

    def connect(self, address: Any, hook: Hook, protocol: type[Recording] = Recording) -> Any:
        """Connect a client that does what the hook says."""
        factory: Any = ClientFactory.forProtocol(lambda: protocol(self, hook))
        factory.noisy = False
        if isinstance(address, str):
            return self.reactor.connectUNIX(address, factory)
        return self.reactor.connectTCP(*address, factory)

    def plain(self, family: str = "tcp") -> socket.socket:
        """A plain socket, which waits for a while only."""
        families = {"unix": socket.AF_UNIX, "tcp": socket.AF_INET}
        found = socket.socket(families[family], socket.SOCK_STREAM)
        found.settimeout(5)
        self._plain.append(found)
        return found

    def heard(self, plain: socket.socket) -> bytes | None:
        """What has come in at a plain socket up to now; None at the end, however it came."""
        plain.setblocking(False)
        try:
            return plain.recv(1 << 20) or None
        except BlockingIOError:
            return b""
        except ConnectionResetError:
            return None
        finally:
            plain.settimeout(5)

    def hears(self, plain: socket.socket, octets: int) -> bytes:
        """The next octets that a plain socket hears, no more, or all until the end if there are fewer."""
        found = bytearray()

        def enough() -> bool:
            some = self.heard(plain)
            found.extend(some or b"")
            return some is None or len(found) >= octets

        self.until(enough)
        self.settle()
        found.extend(self.heard(plain) or b"")
        return bytes(found)

    # Time

    def turn(self, wait: float) -> None:
        """Let the reactor do what there is to do, or wait for so long; Twisted's way to say this to asyncio takes longer."""
        loop = getattr(self.reactor, "_asyncioEventloop", None)
        if loop is None:
            self.reactor.iterate(wait)
        else:
            loop.call_later(wait, loop.stop)
            loop.run_forever()

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until a condition holds."""
        for _ in range(TURNS):
            if condition():
                return
            self.turn(0.001)
        raise AssertionError(f"it never happened; so far: {self.events}, {self.errors}")

    def settle(self) -> None:
        """Turn until nothing happens any more."""
        quiet = 0
        for _ in range(TURNS):
            before = len(self.events)
            self.turn(0)
            quiet = quiet + 1 if len(self.events) == before else 0
            if quiet >= 8:
                return
        raise AssertionError(f"it goes on for ever: {self.events[-20:]}")

    # Around it

    def __call__(self, event: LogEvent) -> None:
        """Observe the log."""
        failure = event.get("log_failure") or event.get("failure")
        if failure is not None:
            self.errors.append(failure.type)
        elif event.get("message"):
            self.said.append((event["system"], event["message"][0]))

    def close(self) -> None:
        """Close everything."""
        for plain in self._plain:
            plain.close()
        for descriptor in self.reactor.removeAll():
            with suppress(AttributeError):
                descriptor.connectionLost(Failure(connectionDone.value))
        self.settle()
        for waker in self.reactor._internalReaders:
            self.reactor.removeReader(waker)
            waker.connectionLost(None)
        for owned in ("_poller", "_asyncioEventloop"):
            if hasattr(self.reactor, owned):
                getattr(self.reactor, owned).close()


@contextmanager
def live(kind: str, folder: Path) -> Iterator[Live]:
    """A reactor for one test."""
    folder.mkdir(exist_ok=True)
    found = Live(kind, folder)
    globalLogPublisher.addObserver(found)
    try:
        yield found
    finally:
        globalLogPublisher.removeObserver(found)
        found.close()
