"""What a script is given: one reactor that is both ends, participants that record, and ways to wait.

The rule of this module: a script sees nothing of what kind of reactor it runs on, every wait has an end, and whatever was
opened through the world is closed by it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from .recording import Connected, Datagrams, Factory, HalfCloseable, Hook, Producer, Recording
from .script import Script

__all__ = ["LOOPBACK", "World", "perform"]

LOOPBACK = {"tcp": "127.0.0.1", "tcp6": "::1", "udp": "127.0.0.1", "udp6": "::1"}
PATIENCE = 2000
"""Steps that any one wait may take."""


class World:
    """A reactor and all that scripts need around it.

    Attributes:
        reactor: The one that is both ends.
        events: What has happened so far, each a tuple that JSON can hold.
        pulse: Goes up whenever anything happens, recorded or not.
    """

    step = 0.002
    """Seconds between two looks at whether something has happened."""
    group = "239.255.77.77"
    """A multicast group that nobody else is in."""
    calm = 6
    """Steps without anything after which nothing more is on its way."""

    def __init__(self, reactor: Any, folder: Path) -> None:
        self.reactor = reactor
        self.events: list[tuple[Any, ...]] = []
        self.pulse = 0
        self._folder = folder
        self._paths = 0
        self._over = False
        self._closing: list[Callable[[], Any]] = []

    def record(self, *event: Any) -> None:
        """Something has happened: who, what, and details that JSON can hold; octets are taken as Latin-1."""
        self.pulse += 1
        if not self._over:
            self.events.append(
                tuple(e.decode("latin-1") if isinstance(e, bytes | bytearray) else e for e in event)
            )

    def attempt(self, what: str, call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
        """Call something, and record the class of what it raises or that it raised nothing."""
        try:
            result = call(*arguments, **keywords)
        except Exception as error:
            self.record(what, error.__class__.__name__)
            return None
        self.record(what, "fine")
        return result

    async def settle(self) -> None:
        """Let everything that is on its way arrive."""
        quiet = 0
        for _ in range(PATIENCE):
            before = self.pulse
            await self.sleep(self.step)
            quiet = quiet + 1 if self.pulse == before else 0
            if quiet == self.calm:
                return
        raise AssertionError("it does not settle")

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so."""
        for _ in range(PATIENCE):
            if condition():
                return
            await self.sleep(self.step)
        raise AssertionError("it does not become so")

    def sleep(self, seconds: float) -> Deferred[None]:
        """Let time pass, on the reactor."""
        return deferLater(self.reactor, seconds, lambda: None)

    def later(self, seconds: float, call: Callable[..., object], *arguments: object) -> Any:
        """Have something called, if the script is not over by then."""
        delayed = self.reactor.callLater(seconds, call, *arguments)
        self.at_end(lambda: delayed.cancel() if delayed.active() else None)
        return delayed

    def at_end(self, call: Callable[[], Any]) -> None:
        """Have something done when the script is over; the last is done first."""
        self._closing.append(call)

    def path(self) -> str:
        """A path at which there is nothing yet, with a name of one length."""
        self._paths += 1
        return str(self._folder / f"{self._paths:02}.sock")

    def plain(self, name: str, **hooks: Hook) -> Recording:
        """A participant that closes both halves at once; see `Recording`."""
        return Recording(self, name, **hooks)

    def half(self, name: str, **hooks: Hook) -> HalfCloseable:
        """A participant that is told of half-closes."""
        return HalfCloseable(self, name, **hooks)

    def producer(self, **hooks: Hook) -> Producer:
        """A producer; its hooks are `pause`, `resume` and `stop`."""
        return Producer(self, **hooks)

    def factory(self, *protocols: Protocol | None, **hooks: Hook) -> Factory:
        """A factory that gives these in turn; its hooks are `connecting`, `failed` and `client_lost`."""
        return Factory(self, *protocols, **hooks)

    def quiet_factory(self, *protocols: Protocol | None) -> Factory:
        """A factory that gives these in turn and records nothing."""
        factory = Factory(self, *protocols)
        factory.mute = True
        return factory

    def listen(self, factory: Any, family: str = "tcp", **keywords: Any) -> Any:
        """A listening port on the loopback interface, on any port number or a fresh path."""
        if family == "unix":
            port = self.reactor.listenUNIX(self.path(), factory, **keywords)
        else:
            port = self.reactor.listenTCP(0, factory, interface=LOOPBACK[family], **keywords)
        return self.keep_port(port)

    def keep_port(self, port: Any) -> Any:
        """Close a port at the end, if the script has not."""
        self.at_end(lambda: maybeDeferred(port.stopListening) if port.connected else None)
        return port

    def dial(self, port: Any, factory: Any, **keywords: Any) -> Any:
        """A connector to a port, or to a number on 127.0.0.1, or to a path."""
        if isinstance(port, str) or not hasattr(port, "getHost"):
            host, where = "127.0.0.1", port
        else:
            address = port.getHost()
            where = getattr(address, "name", None) or address.port
            host = getattr(address, "host", "")
        if isinstance(where, int):
            connector = self.reactor.connectTCP(host, where, factory, **keywords)
        else:
            connector = self.reactor.connectUNIX(where, factory, **keywords)
        self.at_end(lambda: self._hang_up(connector))
        return connector

    @staticmethod
    def _hang_up(connector: Any) -> None:
        if connector.state == "connecting":
            connector.stopConnecting()
        elif connector.state == "connected":
            connector.transport.abortConnection()

    async def connect(self, server: Recording, client: Recording, family: str = "tcp") -> None:
        """Connect two participants with each other, and wait until both are told."""
        port = self.listen(self.quiet_factory(server), family)
        self.dial(port, self.quiet_factory(client))
        await self.until(lambda: server.transport and client.transport)
        self.at_end(lambda: self.drop(server, client))

    async def pair(self, family: str = "tcp") -> tuple[Recording, Recording]:
        """A plain server and a plain client, connected."""
        server, client = self.plain("server"), self.plain("client")
        await self.connect(server, client, family)
        return server, client

    def drop(self, *protocols: Recording) -> None:
        """Abort whatever of these is still connected."""
        for protocol in protocols:
            if protocol.is_open:
                protocol.transport.abortConnection()

    def datagrams(self, name: str, **hooks: Hook) -> Datagrams:
        """A datagram protocol that does not listen yet."""
        return Datagrams(self, name, **hooks)

    def udp(self, name: str, interface: str = "127.0.0.1", **hooks: Hook) -> Datagrams:
        """A datagram protocol that listens on UDP."""
        return self.bind(Datagrams(self, name, **hooks), interface)

    def bind(self, protocol: Datagrams, interface: str, port: int = 0, **keywords: Any) -> Datagrams:
        """Have a datagram protocol listen on UDP."""
        self.keep_port(self.reactor.listenUDP(port, protocol, interface=interface, **keywords))
        return protocol

    def unix_datagrams(self, name: str, path: str | None = None, **keywords: Any) -> Datagrams:
        """A datagram protocol that listens on a path."""
        protocol = Datagrams(self, name)
        path = path if path is not None else self.path()
        self.keep_port(self.reactor.listenUNIXDatagram(path, protocol, **keywords))
        return protocol

    def unix_connected(self, name: str, peer: str, bind: str | None = None) -> Connected:
        """A datagram protocol that is connected to a path."""
        protocol = Connected(self, name)
        self.keep_port(self.reactor.connectUNIXDatagram(peer, protocol, bindAddress=bind))
        return protocol

    async def vacant(self, kind: str = "tcp") -> int:
        """A port number of 127.0.0.1 where nobody listens: `tcp` or `udp`."""
        if kind == "tcp":
            port = self.reactor.listenTCP(0, self.quiet_factory(), interface="127.0.0.1")
        else:
            port = self.reactor.listenUDP(0, Datagrams(self, ""), interface="127.0.0.1")
        number: int = port.getHost().port
        await port.stopListening()
        return number

    async def close(self) -> None:
        """Close what has been opened, unrecorded."""
        self._over = True
        while self._closing:
            await maybeDeferred(self._closing.pop())
        await self.sleep(self.step)


async def perform(script: Script, world: World) -> list[Any]:
    """Run a script to its end; its events, or one more that says what went wrong."""

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure") or event.get("failure")
        if failure is None:
            return
        if issubclass(failure.type, script.logs):
            world.record("logged", failure.type.__name__)
        else:
            world.record("unexpected", failure.getTraceback())

    await world.sleep(0)
    globalLogPublisher.addObserver(observe)
    try:
        await script.body(world)
    except Exception as error:
        world.record("unexpected", f"{error.__class__.__name__}: {error}")
    finally:
        await world.close()
        globalLogPublisher.removeObserver(observe)
    events = sorted(world.events, key=lambda event: str(event[0])) if script.apart else world.events
    found: list[Any] = json.loads(json.dumps(events))
    return found
