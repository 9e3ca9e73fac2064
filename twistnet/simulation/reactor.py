"""A simulated host, which is a reactor.

The rule of this module: what Twisted's base classes decide they go on deciding; only where they would ask the operating
system for the time, for a socket or for what is ready, they ask the simulation.
"""

from __future__ import annotations

import socket
import sys
from collections import deque
from collections.abc import Callable, Sequence
from math import inf, nextafter
from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import (
    IReactorCore,
    IReactorFDSet,
    IReactorMulticast,
    IReactorPluggableNameResolver,
    IReactorPluggableResolver,
    IReactorSocket,
    IReactorSSL,
    IReactorTCP,
    IReactorThreads,
    IReactorTime,
    IReactorUDP,
    IReactorUNIX,
    IReactorUNIXDatagram,
)
from twisted.internet.posixbase import PosixReactorBase, _PollLikeMixin
from twisted.logger import Logger
from twisted.python.log import callWithLogger
from zope.interface import implementer_only

from ..errors import SimulationError, WrongReactor
from . import transports
from .cooperators import cooperator
from .kernel import Kernel
from .kernel.files import ERR, HUP, IN, OUT, Watch
from .kernel.paths import FilePaths
from .naming import name_of
from .signals import Restored
from .threads import InlineThreadPool, awaited
from .timers import CALLED, LOST, Timer

if TYPE_CHECKING:
    from .network import Network

__all__ = ["Host"]

log = Logger()


class _Kept:
    """Stands where a real reactor keeps its new timers: whoever reaches it has kept a method of the real one."""

    def append(self, call: Any) -> None:
        raise WrongReactor(
            f"{name_of(call.func)} was scheduled with callLater of the real reactor, kept from before the simulation: "
            "look `reactor.callLater` up when it is needed, or pass the simulated host in"
        )

    def __iter__(self) -> Any:
        return iter(())


@implementer_only(
    IReactorCore,
    IReactorTime,
    IReactorTCP,
    IReactorSSL,
    IReactorUDP,
    IReactorMulticast,
    IReactorUNIX,
    IReactorUNIXDatagram,
    IReactorSocket,
    IReactorFDSet,
    IReactorThreads,
    IReactorPluggableResolver,
    IReactorPluggableNameResolver,
)
class Host(_PollLikeMixin, PosixReactorBase):
    """A host of a simulated network: a machine, and the reactor of the one program that runs on it.

    Make one with `Network.host`. Use it wherever a reactor is wanted.

    Attributes:
        name: By which other hosts find it.
        network: Where it is.
        kernel: Its sockets, ports and paths.
        skew: Seconds that its clock is ahead of the network's.
        rate: Seconds of its clock in one of the network's.
        cooperator: What `twisted.internet.task.cooperate` uses on it.
    """

    _POLL_DISCONNECTED = HUP | ERR
    _POLL_IN = IN
    _POLL_OUT = OUT

    def __init__(self, name: str, network: Network, kernel: Kernel) -> None:
        self.name = name
        self.network = network
        self.kernel = kernel
        self.skew = 0.0
        self.rate = 1.0
        self._itself = self
        self._clock = network.clock
        self._fire = self._fire_timer
        self._begin()

    def _begin(self) -> None:
        """Be a reactor that has not run yet."""
        self.has_run = False
        self.cooperator = cooperator(self)
        self._watches: dict[Any, Watch] = {}
        self._reads: dict[Any, None] = {}
        self.reservation = tcp._FileDescriptorReservation(self.kernel.socket)
        super().__init__()
        self._newTimedCalls: Any = _Kept()
        self.network.names.install(self)

    def __repr__(self) -> str:
        return f"<simulated host {self.name} {', '.join(self.kernel.addresses)}>"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the simulated host {self.__dict__.get('name', '?')} has no {name!r}"
            " (if code kept a method of the real reactor from before the simulation, look it up when it is needed)"
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its numeric addresses besides loopback, the one that names resolve to first."""
        return self.kernel.addresses

    @property
    def has_real_files(self) -> bool:
        """Whether the paths of its UNIX sockets are in the real file system."""
        return isinstance(self.kernel.paths, FilePaths)

    # Time

    def seconds(self) -> float:
        """See `IReactorTime.seconds`: virtual seconds by this host's clock."""
        return self.seconds_at(self._clock.now)

    def seconds_at(self, time: float) -> float:
        """What this host's clock shows at a time of the network."""
        return time * self.rate + self.skew

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        """See `IReactorTime.callLater`.

        Raises:
            SimulationError: It has crashed.
        """
        assert delay >= 0, f"{delay} is not greater than or equal to 0 seconds"
        if not self.kernel.is_up:
            self._usable()
        clock = self._clock
        now = clock.now
        due = now + (delay if self.rate == 1.0 else delay / self.rate)
        if due == now and delay:
            # A host's own clock may tell shorter times than the network's, and LoopingCall would spin.
            due = nextafter(now, inf)
        timer = Timer(self._fire, due, next(clock.order), callable, args, kw)
        clock.wait_for(timer)
        return timer

    def move_timer(self, timer: Timer, due: float) -> None:
        """Let a timer fire at another time; the clock hears of it only if that is earlier than it would look."""
        timer.due = due = max(due, self._clock.now)
        timer.order = next(self._clock.order)
        if due < timer.entry:
            self._clock.wait_for(timer)

    def _fire_timer(self, timer: Timer) -> None:
        if timer.state:
            return
        now = self._clock.now
        if timer.due > now:
            if timer.entry <= now:
                self._clock.wait_for(timer)
            return
        timer.state = CALLED
        network = self.network
        if network.current is not self:
            network.enter(self)
        network.trace.note(now, self.name, "timer", timer.func)
        try:
            if timer.kw:
                timer.func(*timer.args, **timer.kw)
            else:
                timer.func(*timer.args)
        except Exception:
            log.failure("while handling timed call")

    def getDelayedCalls(self) -> Sequence[Any]:
        """See `IReactorTime.getDelayedCalls`."""
        found = [event[3] for event in self._clock.timers if isinstance(event[3], Timer)]
        mine = dict.fromkeys(timer for timer in found if timer.host is self._itself and timer.active())
        return list(mine)

    # What is ready

    def _watch(self, selectable: Any) -> Watch:
        watch = self._watches.get(selectable)
        if watch is None:
            opened = self.kernel.find(selectable.fileno())
            if opened is None and selectable.fileno() < 0:
                raise ValueError(f"{type(selectable).__name__} has no descriptor any more")
            if opened is None:
                self._usable()
                raise WrongReactor(
                    f"{self.name} cannot watch {type(selectable).__name__}: its descriptor {selectable.fileno()} "
                    "is not a socket of this simulated host"
                )
            watch = Watch(opened.file, self._itself)
            watch.file.watches.append(watch)
            self._watches[selectable] = watch
        return watch

    def addReader(self, reader: Any) -> None:
        """See `IReactorFDSet.addReader`."""
        watch = self._watch(reader)
        if watch.reader is None:
            watch.reader = reader
            self._reads[reader] = None
            if watch.events():
                self.kernel.ready[watch] = None

    def addWriter(self, writer: Any) -> None:
        """See `IReactorFDSet.addWriter`."""
        watch = self._watches.get(writer) or self._watch(writer)
        if watch.writer is None:
            watch.writer = writer
            self.kernel.ready[watch] = None

    def removeReader(self, reader: Any) -> None:
        """See `IReactorFDSet.removeReader`."""
        watch = self._watches.get(reader)
        if watch is not None and watch.reader is not None:
            watch.reader = None
            self._reads.pop(reader, None)
            self._unwatch(reader, watch)

    def removeWriter(self, writer: Any) -> None:
        """See `IReactorFDSet.removeWriter`."""
        watch = self._watches.get(writer)
        if watch is not None and watch.writer is not None:
            watch.writer = None
            if watch.reader is None:
                self._unwatch(writer, watch)

    def _unwatch(self, selectable: Any, watch: Watch) -> None:
        if watch.reader is None and watch.writer is None:
            del self._watches[selectable]
            if watch in watch.file.watches:
                watch.file.watches.remove(watch)

    def removeAll(self) -> list[Any]:
        """See `IReactorFDSet.removeAll`."""
        return self._removeAll(self.getReaders(), self.getWriters())  # type: ignore[no-any-return]

    def _removeAll(self, readers: Any, writers: Any) -> Any:
        """In the order in which they were added, which a set would not keep."""
        both = dict.fromkeys([*readers, *writers])
        for selectable in both:
            self.removeReader(selectable)
            self.removeWriter(selectable)
        return list(both)

    def getReaders(self) -> list[Any]:
        """See `IReactorFDSet.getReaders`."""
        return list(self._reads)

    def getWriters(self) -> list[Any]:
        """See `IReactorFDSet.getWriters`."""
        return [watch.writer for watch in self._watches.values() if watch.writer is not None]

    def serve(self, watch: Watch, events: int) -> None:
        """Let a transport read or write, as its socket was ready for it, if it still wants to."""
        wants = watch.wants
        events &= wants | ERR | HUP
        if not (wants and events):
            return
        selectable = watch.reader if watch.reader is not None else watch.writer
        callWithLogger(selectable, self._doReadOrWrite, selectable, selectable, events)

    # Running

    def installWaker(self) -> None:
        """There is nothing to be woken from."""

    def wakeUp(self) -> None:
        """See `IReactorFromThreads`: have the calls from threads made in the next turn."""
        self.network.attention[self._itself] = None

    def stop(self) -> None:
        """See `IReactorCore.stop`."""
        super().stop()
        self.wakeUp()

    def attend(self) -> None:
        """Make the calls from threads, and shut down if it is time; what an interrupt keeps from it, it does next time."""
        try:
            self._make_calls()
        except BaseException:
            self.wakeUp()
            raise
        if self._justStopped:
            self._justStopped = False
            self.fireSystemEvent("shutdown")

    def _make_calls(self) -> None:
        """Make those calls from threads that there are now; a crash ends them."""
        queue = self.threadCallQueue
        calls = deque(queue)
        queue.clear()
        try:
            while calls and queue is self.threadCallQueue:
                function, args, kw = calls.popleft()
                try:
                    function(*args, **kw)
                except Exception:
                    log.failure("while calling from thread")
        finally:
            queue[:0] = calls

    def start(self) -> None:
        """Fire the startup triggers, unless it has run already."""
        if not self.has_run:
            self.startRunning(installSignalHandlers=False)

    def startRunning(self, installSignalHandlers: bool = True) -> None:
        """See `ReactorBase.startRunning`."""
        super().startRunning(installSignalHandlers)
        self.has_run = True

    def _signalsFactory(self) -> Any:
        """SIGINT, SIGTERM and SIGBREAK as ever, while it runs; there are no child processes."""
        return Restored(ReactorBase._signalsFactory(self))

    def mainLoop(self) -> None:
        """Run the whole network until this host's reactor is stopped.

        Raises:
            Deadlock: Nothing is left that could stop it.
        """
        try:
            self.network.run_host(self._itself)
        finally:
            self._signals.uninstall()

    def callFromThread(self, f: Callable[..., Any], *args: object, **kwargs: object) -> None:
        """See `IReactorFromThreads.callFromThread`."""
        super().callFromThread(f, *args, **kwargs)
        answers = awaited(sys._getframe(1))
        if answers is not None:
            self.network.go_on(lambda: not answers.empty(), "blockingCallFromThread")

    def doIteration(self, delay: float | None) -> None:
        """See `ReactorBase.doIteration`."""
        self.network.iterate(delay)

    def runUntilCurrent(self) -> None:
        """See `ReactorBase.runUntilCurrent`: `doIteration` does it."""

    def timeout(self) -> float | None:
        """See `ReactorBase.timeout`."""
        due = self._clock.next_time
        return None if due is None else max(0.0, due - self._clock.now)

    def getThreadPool(self) -> Any:
        """A pool that runs what it is given at once, in the thread that there is."""
        if self.threadpool is None:
            self.threadpool = InlineThreadPool(self._itself)  # type: ignore[assignment]
        return self.threadpool

    def _stopThreadPool(self) -> None:
        self.threadpool = None

    def spawnProcess(self, *args: Any, **kw: Any) -> Any:
        """Not simulated.

        Raises:
            SimulationError: Always.
        """
        raise SimulationError(f"{self.name} cannot spawn a process: a simulated host runs one program only")

    # Sockets

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """See `IReactorTCP.listenTCP`."""
        listening = transports.TcpPort(port, factory, backlog, interface, self._usable())
        listening.startListening()
        return listening

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30.0, bindAddress: Any = None
    ) -> Any:
        """See `IReactorTCP.connectTCP`."""
        connector = transports.TcpConnector(host, port, factory, timeout, bindAddress, self._usable())
        connector.connect()
        return connector

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        """See `IReactorUDP.listenUDP`."""
        listening = transports.UdpPort(port, protocol, interface, maxPacketSize, self._usable())
        listening.startListening()
        return listening

    def listenMulticast(
        self,
        port: int,
        protocol: Any,
        interface: str = "",
        maxPacketSize: int = 8192,
        listenMultiple: bool = False,
    ) -> Any:
        """See `IReactorMulticast.listenMulticast`."""
        listening = transports.UdpMulticastPort(
            port, protocol, interface, maxPacketSize, self._usable(), listenMultiple
        )
        listening.startListening()
        return listening

    def listenUNIX(
        self, address: Any, factory: Any, backlog: int = 50, mode: int = 0o666, wantPID: Any = 0
    ) -> Any:
        """See `IReactorUNIX.listenUNIX`."""
        listening = transports.UnixPort(address, factory, backlog, mode, self._usable(), wantPID)
        listening.startListening()
        return listening

    def connectUNIX(self, address: Any, factory: Any, timeout: float = 30, checkPID: Any = 0) -> Any:
        """See `IReactorUNIX.connectUNIX`."""
        connector = transports.UnixConnector(address, factory, timeout, self._usable(), checkPID)
        connector.connect()
        return connector

    def listenUNIXDatagram(
        self, address: Any, protocol: Any, maxPacketSize: int = 8192, mode: int = 0o666
    ) -> Any:
        """See `IReactorUNIXDatagram.listenUNIXDatagram`."""
        listening = transports.UnixDatagramPort(address, protocol, maxPacketSize, mode, self._usable())
        listening.startListening()
        return listening

    def connectUNIXDatagram(
        self,
        address: Any,
        protocol: Any,
        maxPacketSize: int = 8192,
        mode: int = 0o666,
        bindAddress: Any = None,
    ) -> Any:
        """See `IReactorUNIXDatagram.connectUNIXDatagram`."""
        port = transports.UnixConnectedDatagramPort(
            address, protocol, maxPacketSize, mode, bindAddress, self._usable()
        )
        port.startListening()
        return port

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        """See `IReactorSocket.adoptStreamPort`; a real descriptor is mirrored by a simulated one."""
        return transports.adopt_port(self._usable(), fileDescriptor, addressFamily, factory)

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        """See `IReactorSocket.adoptStreamConnection`; only a simulated connection can be adopted."""
        return transports.adopt_connection(self._usable(), fileDescriptor, addressFamily, factory)

    def adoptDatagramPort(
        self, fileDescriptor: int, addressFamily: Any, protocol: Any, maxPacketSize: int = 8192
    ) -> Any:
        """See `IReactorSocket.adoptDatagramPort`; a real descriptor is mirrored by a simulated one."""
        return transports.adopt_datagram_port(
            self._usable(), fileDescriptor, addressFamily, protocol, maxPacketSize
        )

    def adopt_descriptor(self, descriptor: int, family: int, kind: int, proto: int = 0) -> Any:
        """What `socket.fromfd` gives on this host: a copy of its own, or the likeness of a real one.

        Raises:
            WrongReactor: It is a real connection, whose peer no simulation can reach.
        """
        own = self.kernel.find(descriptor)
        if own is not None:
            return own.dup()
        with socket.fromfd(descriptor, family, kind) as real:
            return self._likeness(real)

    def _likeness(self, real: socket.socket) -> Any:
        try:
            peer = real.getpeername()
        except OSError:
            peer = None
        if peer:
            raise WrongReactor(
                f"{self.name} cannot adopt a real connection, to {peer!r}: its peer is not simulated"
            )
        likeness = self.kernel.socket(real.family, real.type)
        options = [(socket.SOL_SOCKET, socket.SO_REUSEADDR), (socket.SOL_SOCKET, socket.SO_REUSEPORT)]
        if real.family == socket.AF_INET6:
            options.append((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))
        for level, option in options:
            likeness.setsockopt(level, option, real.getsockopt(level, option))
        self._bind_likeness(likeness, real.getsockname())
        if real.type == socket.SOCK_STREAM and real.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            likeness.listen(50)
        return likeness

    def _bind_likeness(self, likeness: Any, name: Any) -> None:
        paths = self.kernel.paths
        if likeness.family == socket.AF_UNIX and isinstance(paths, FilePaths) and name:
            likeness.file.local = name.encode() if isinstance(name, str) else name
            paths.adopt(likeness.file.local, likeness.file)
        elif name:
            likeness.bind(name)

    def lose_everything(self) -> None:
        """The machine has crashed: forget timers, transports, what was to be called, and that there was a program."""
        for timer in self.getDelayedCalls():
            timer.state = LOST
        self._clock.discard_dead()
        for watch in [*self._watches.values()]:
            watch.reader = watch.writer = None
        self._begin()

    def _usable(self) -> Host:
        """The host itself, which transports keep, rather than the global reactor that stands for it.

        Raises:
            SimulationError: It has crashed.
        """
        if not self.kernel.is_up:
            raise SimulationError(f"{self.name} has crashed: restart it first")
        return self._itself
