"""Datagram ports on real sockets of the loopback interface, under reactors that nobody has installed.

The rule of this module: what was sent before the reactor turns is all there when it does, so one script gives one list of
events, whatever the port; and every wait has an end.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from twisted.internet import udp, unix
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import ConnectedDatagramProtocol, DatagramProtocol
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from twistnet.transport import batches
from twistnet.transport.datagrams import FastDatagramPort
from twistnet.transport.reactor import reactor_factory
from twistnet.transport.unix_datagrams import FastConnectedUNIXDatagramPort, FastUNIXDatagramPort

__all__ = ["KINDS", "Connected", "Live", "Recording", "live"]

TURNS = 2000
"""Of a reactor, at most, until what a test waits for has happened."""

Event: TypeAlias = tuple[object, ...]
Hook: TypeAlias = Callable[["Recording", bytes, Any], object]


class InBatches:
    """Mixed in before a port: it never reads one by one, but batches of one too."""

    _singly = 0

    def _count_lone(self) -> None:
        pass


class UDPInBatches(InBatches, FastDatagramPort):
    """UDP."""


class UNIXInBatches(InBatches, FastUNIXDatagramPort):
    """UNIX datagrams."""


KINDS: dict[str, tuple[Any, Any, Any, Any]] = {
    "stock": (EPollReactor, udp.Port, unix.DatagramPort, unix.ConnectedDatagramPort),
    "fast": (EPollReactor, FastDatagramPort, FastUNIXDatagramPort, FastConnectedUNIXDatagramPort),
    "in batches": (EPollReactor, UDPInBatches, UNIXInBatches, FastConnectedUNIXDatagramPort),
    "without batches": (EPollReactor, UDPInBatches, UNIXInBatches, FastConnectedUNIXDatagramPort),
    "reactor": (reactor_factory, UDPInBatches, UNIXInBatches, FastConnectedUNIXDatagramPort),
}
"""A reactor, and the ports for UDP, UNIX datagrams and connected UNIX datagrams."""


class Recording(DatagramProtocol):
    """Writes down what it is told, and then does what a script wants it to."""

    transport: Any

    def __init__(self, world: Live, hook: Hook = lambda protocol, datagram, sender: None) -> None:
        self.world = world
        self.hook = hook
        self.senders: list[Any] = []

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.senders.append(addr)
        self.world.record("received", datagram if len(datagram) < 100 else len(datagram))
        self.hook(self, datagram, addr)

    def connectionRefused(self) -> None:
        self.world.record("refused")

    def stopProtocol(self) -> None:
        self.world.record("stopped")


class Connected(ConnectedDatagramProtocol):
    """The same of a connected UNIX datagram port."""

    transport: Any

    def __init__(
        self, world: Live, hook: Callable[[Connected, bytes], object] = lambda protocol, datagram: None
    ) -> None:
        self.world = world
        self.hook = hook

    def datagramReceived(self, datagram: bytes) -> None:  # type: ignore[override]
        self.world.record("received", datagram)
        self.hook(self, datagram)

    def connectionRefused(self) -> None:
        self.world.record("refused")

    def connectionFailed(self, failure: Any) -> None:
        self.world.record("failed", failure.type.__name__)

    def stopProtocol(self) -> None:
        self.world.record("stopped")


@implementer(ILogObserver)
class Live:
    """One reactor, and the sockets of one test.

    Attributes:
        events: What has happened.
        lines: What was logged as a warning.
        errors: The exceptions that were logged.
    """

    def __init__(self, kind: str, family: str, folder: Path) -> None:
        make, self._udp, self._unix, self._connected = KINDS[kind]
        self.reactor: Any = make()
        self.family = family
        self._folder = folder
        self._numbers = iter(range(1000))
        self._ports: list[Any] = []
        self._plain: list[socket.socket] = []
        self.events: list[Event] = []
        self.lines: list[str] = []
        self.errors: list[type] = []

    def record(self, *event: object) -> None:
        self.events.append(event)

    def attempt(self, what: str, call: Callable[..., object], *arguments: object) -> None:
        """Record what a call raises."""
        try:
            call(*arguments)
        except Exception as error:
            text = "" if isinstance(error, AttributeError) else str(error)  # it names the class
            self.record(what, type(error).__name__, text.replace(str(self._folder), ""))
        else:
            self.record(what, "no error")

    def few(self, count: int) -> range:
        """So many, or as many as there is room for in the queue of a UNIX socket (unix(7), max_dgram_qlen)."""
        return range(min(count, 10) if self.family == "unix" else count)

    def path(self) -> str:
        return str(self._folder / str(next(self._numbers)))

    def port(self, protocol: Any, **keywords: Any) -> Any:
        """A port of the kind that is tested, which listens."""
        if self.family == "unix":
            port = self._unix(self.path(), protocol, reactor=self.reactor, **keywords)
        else:
            port = self._udp(0, protocol, self.host, reactor=self.reactor, **keywords)
        port.startListening()
        self._ports.append(port)
        return port

    def connected(self, path: str, protocol: Connected) -> Any:
        """A connected UNIX datagram port of the kind that is tested."""
        port = self._connected(path, protocol, bindAddress=self.path(), reactor=self.reactor)
        port.startListening()
        self._ports.append(port)
        return port

    @property
    def host(self) -> str:
        return "::1" if self.family == "udp6" else "127.0.0.1"

    def plain(self) -> socket.socket:
        """A plain socket that does not wait."""
        families = {"unix": socket.AF_UNIX, "udp": socket.AF_INET, "udp6": socket.AF_INET6}
        found = socket.socket(families[self.family], socket.SOCK_DGRAM)
        found.setblocking(False)
        found.bind(self.path() if self.family == "unix" else (self.host, 0))
        self._plain.append(found)
        return found

    def address(self, port: Any) -> Any:
        """Where a port or a plain socket is, as one writes to it."""
        handle = port if isinstance(port, socket.socket) else port.getHandle()
        found = handle.getsockname()
        return found if self.family == "unix" else found[:2]

    def heard(self, plain: socket.socket) -> list[bytes]:
        """All that has come in at a plain socket."""
        found: list[bytes] = []
        try:
            while True:
                found.append(plain.recv(100_000))
        except BlockingIOError:
            return found

    def turn(self, turns: int = 5) -> None:
        """Let the reactor do what there is to do."""
        for _ in range(turns):
            self.reactor.iterate(0)

    def until(self, condition: Callable[[], object]) -> None:
        """Turn until a condition holds."""
        for _ in range(TURNS):
            if condition():
                return
            self.reactor.iterate(0.01)
        raise AssertionError(f"it never happened; so far: {self.events}")

    def settle(self) -> None:
        """Turn until nothing happens any more."""
        quiet = 0
        for _ in range(TURNS):
            before = len(self.events)
            self.reactor.iterate(0)
            quiet = quiet + 1 if len(self.events) == before else 0
            if quiet >= 8:
                return
        raise AssertionError(f"it goes on for ever: {self.events[-20:]}")

    def __call__(self, event: LogEvent) -> None:
        """Observe the log."""
        failure = event.get("log_failure") or event.get("failure")
        if failure is not None:
            self.errors.append(failure.type)
        elif event["log_level"].name == "warn":
            self.lines.append(event["log_format"].format(**event))

    def close(self) -> None:
        """Close everything."""
        for port in self._ports:
            if port.connected and not port.disconnected:
                port.stopListening()
        self.turn(3)
        for plain in self._plain:
            plain.close()
        for reader in self.reactor.removeAll():
            reader.connectionLost(None)
        for waker in self.reactor._internalReaders:
            waker.connectionLost(None)
        self.reactor._poller.close()


@contextmanager
def live(kind: str, family: str, folder: Path) -> Iterator[Live]:
    """A reactor for one test."""
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        if kind == "without batches":
            patch.setattr(batches, "_calls", lambda: None)  # as where the C library has none
        found = Live(kind, family, folder)
        globalLogPublisher.addObserver(found)
        try:
            yield found
        finally:
            globalLogPublisher.removeObserver(found)
            found.close()
