"""The hub on a simulated host: the same hub, over an epoll that the simulated kernel has.

The rule of this module: only the poller and the waker are others; who is served, when, and in what log context, the hub
itself decides. Everything follows from the seed, as on any simulated host.
"""

from __future__ import annotations

import errno
from typing import Any

from twistnet.simulation import Host
from twistnet.simulation.kernel.addresses import failure
from twistnet.simulation.kernel.descriptors import FIRST_DESCRIPTOR
from twistnet.simulation.kernel.files import ERR, HUP, IN, Watch
from twistnet.transport.datagram_ports import LONGEST
from twistnet.transport.hub import Hub
from twistnet.transport.reactor import HubWithin

__all__ = ["FastHost", "SimulatedHub"]


class Interest(Watch):
    """What an epoll watches a descriptor for; it stands among those who watch the file behind it."""

    __slots__ = ("epoll", "mask", "number")

    def __init__(self, epoll: Epoll, number: int, mask: int) -> None:
        super().__init__(epoll.host.kernel.find(number).file, epoll.host)
        self.epoll, self.number, self.mask = epoll, number, mask

    def events(self) -> int:
        """What of it there is now; errors and ends are told unasked, as epoll does."""
        return self.file.poll() & (self.mask | ERR | HUP)


class HubWatch(Watch):
    """The host's interest in the epoll as a whole."""

    __slots__ = ("epoll",)

    def __init__(self, epoll: Epoll, hub: Hub) -> None:
        self.epoll, self.owner, self.reader, self.writer = epoll, epoll.host, hub, None

    def events(self) -> int:
        """Whether the hub is to have a turn."""
        return IN if self.epoll.woken or any(interest.events() for interest in self.epoll.ready) else 0


class Epoll:
    """epoll(7), level-triggered: whoever is ready stays so, in its place, until it is found not to be.

    Attributes:
        host: Whose sockets are watched.
        ready: Interests that may have events, in the order in which they came to have them.
        woken: Whether somebody wants a turn without any events.
    """

    def __init__(self, host: Any, hub: Hub) -> None:
        self.host = host
        self.ready: dict[Interest, None] = {}
        self.woken = False
        self._interests: dict[int, Interest] = {}
        self._watch = HubWatch(self, hub)

    def fileno(self) -> int:
        """A number that no socket has."""
        return FIRST_DESCRIPTOR

    def wake(self) -> None:
        """Let the hub have a turn."""
        self.woken = True
        self.host.network.ready[self._watch] = None

    def found(self, interest: Interest) -> None:
        """An interest may have events."""
        self.ready[interest] = None
        self.host.network.ready[self._watch] = None

    def poll(self, _: float, most: int) -> list[tuple[int, int]]:
        """See epoll_wait(2): those who were told come last next time."""
        self.woken = False
        told: list[tuple[int, int]] = []
        for interest in [*self.ready]:
            events = interest.events()
            if not events:
                del self.ready[interest]
            elif len(told) < most:
                told.append((interest.number, events))
                del self.ready[interest]
                self.ready[interest] = None
        return told

    def register(self, number: int, mask: int) -> None:
        """See epoll_ctl(2), EPOLL_CTL_ADD."""
        if number in self._interests:
            raise failure(errno.EEXIST)
        interest = self._interests[number] = Interest(self, number, mask)
        interest.file.watches.append(interest)
        self.found(interest)

    def modify(self, number: int, mask: int) -> None:
        """See epoll_ctl(2), EPOLL_CTL_MOD."""
        self._interest(number).mask = mask
        self.found(self._interests[number])

    def unregister(self, number: int) -> None:
        """See epoll_ctl(2), EPOLL_CTL_DEL."""
        interest = self._interest(number)
        del self._interests[number]
        self.ready.pop(interest, None)
        if interest in interest.file.watches:
            interest.file.watches.remove(interest)

    def forget_all(self) -> None:
        """Watch nothing any more."""
        for number in [*self._interests]:
            self.unregister(number)
        self.woken = False

    def _interest(self, number: int) -> Interest:
        if number not in self._interests:
            raise failure(errno.ENOENT)
        return self._interests[number]


class _Ready:
    """Where the kernel puts the watches that may have become ready: those of an epoll are its own affair."""

    def __init__(self, ready: dict[Watch, None]) -> None:
        self._ready = ready

    def __setitem__(self, watch: Watch, _: None) -> None:
        if isinstance(watch, Interest):
            watch.epoll.found(watch)
        else:
            self._ready[watch] = None


class SimulatedHub(Hub):
    """The hub of a simulated host; it is woken by its epoll, and among nobody's readers."""

    _epoll: Epoll

    def _open_epoll(self) -> Epoll:
        return Epoll(self.reactor, self)

    def _open_waker(self) -> None:
        pass

    def _wake(self) -> None:
        self._epoll.wake()

    def _let_sleep(self) -> None:
        self._epoll.woken = False

    def _attach(self) -> None:
        pass

    def _detach(self) -> None:
        pass

    def addReader(self, reader: Any) -> None:
        """See `Hub.addReader`; what is no socket of this host is refused as the host refuses it."""
        self.reactor.check(reader)
        super().addReader(reader)

    def addWriter(self, writer: Any) -> None:
        """See `Hub.addWriter`; what is no socket of this host is refused as the host refuses it."""
        self.reactor.check(writer)
        super().addWriter(writer)

    def arm(self, writer: Any) -> None:
        """See `Hub.arm`; who has crashed while it was delivered something has nothing to send any more."""
        if self.reactor.kernel.find(writer.fileno()) is not None:
            super().arm(writer)

    def _admit(self, fd: int, selectable: Any) -> None:
        super()._admit(fd, selectable)
        self.reactor.watched(selectable)

    def _forget(self, fd: int) -> None:
        self.reactor.watched_no_more(self._selectables[fd])
        super()._forget(fd)

    def forget_all(self) -> None:
        """The machine has crashed: nobody is served any more, and nobody is told."""
        for known in (self._selectables, self._reads, self._writes, self._armed, self._due):
            known.clear()
        self._epoll.forget_all()


class FastHost(HubWithin, Host):
    """A simulated host whose transports, if they are fast ones, are on a hub."""

    _twistnet_hub: SimulatedHub

    def _begin(self) -> None:
        if "_twistnet_hub" in self.__dict__:
            self._twistnet_hub.forget_all()
        self.kernel.ready = _Ready(self.network.ready)  # type: ignore[assignment]
        self._twistnet_hub = SimulatedHub(self)
        super()._begin()

    def check(self, selectable: Any) -> None:
        """See that somebody has a socket of this host.

        Raises:
            ValueError: It has no descriptor any more.
            SimulationError: The host has crashed.
            WrongReactor: The descriptor is not of this host.
        """
        if self.kernel.find(selectable.fileno()) is None:
            self._watch(selectable)

    def watched(self, selectable: Any) -> None:
        """The hub watches somebody: reports look for them here."""
        if selectable not in self._watches:
            self._watches[selectable] = Watch(self.kernel.find(selectable.fileno()).file, self)  # type: ignore[union-attr]

    def watched_no_more(self, selectable: Any) -> None:
        """The hub watches them no more."""
        self._watches.pop(selectable, None)

    # The limits of datagrams are those of the fast transports

    def listenUDP(self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = LONGEST) -> Any:
        """See `FastSockets.listenUDP`."""
        return super().listenUDP(port, protocol, interface, maxPacketSize)

    def listenMulticast(
        self,
        port: int,
        protocol: Any,
        interface: str = "",
        maxPacketSize: int = LONGEST,
        listenMultiple: bool = False,
    ) -> Any:
        """See `FastSockets.listenMulticast`."""
        return super().listenMulticast(port, protocol, interface, maxPacketSize, listenMultiple)

    def listenUNIXDatagram(
        self, address: Any, protocol: Any, maxPacketSize: int = LONGEST, mode: int = 0o666
    ) -> Any:
        """See `FastSockets.listenUNIXDatagram`."""
        return super().listenUNIXDatagram(address, protocol, maxPacketSize, mode)

    def connectUNIXDatagram(
        self,
        address: Any,
        protocol: Any,
        maxPacketSize: int = LONGEST,
        mode: int = 0o666,
        bindAddress: Any = None,
    ) -> Any:
        """See `FastSockets.connectUNIXDatagram`."""
        return super().connectUNIXDatagram(address, protocol, maxPacketSize, mode, bindAddress)
