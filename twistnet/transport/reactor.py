"""A reactor all of whose sockets are fast: Twisted's epoll reactor, with the hub at its root.

The rule of this module: the hub waits for everything, and Twisted's own descriptors (processes, the waker, files) are one
of those it waits for; so that a socket costs one wait, not two.
"""

from __future__ import annotations

from typing import Any

from twisted.internet import epollreactor
from twisted.internet.main import installReactor

from .hub import Hub
from .on_hub import OnHub
from .sockets import FastSockets

__all__ = ["FastReactor", "HubWithin", "install", "reactor_factory"]


class RootHub(Hub):
    """A hub that has no reactor above it: nobody has to be woken, or to be told of it."""

    reactor_waits = False

    def _attach(self) -> None:
        pass

    def _detach(self) -> None:
        pass

    def _wake(self) -> None:
        pass

    def _let_sleep(self) -> None:
        pass


class HubWithin:
    """Mixed in before a reactor that has a hub of its own: whoever is on the hub is read and written there."""

    _twistnet_hub: Hub

    def addReader(self, reader: Any) -> None:
        """See `IReactorFDSet.addReader`."""
        self._place_of(reader).addReader(reader)

    def addWriter(self, writer: Any) -> None:
        """See `IReactorFDSet.addWriter`."""
        self._place_of(writer).addWriter(writer)

    def removeReader(self, reader: Any) -> None:
        """See `IReactorFDSet.removeReader`."""
        self._place_of(reader).removeReader(reader)

    def removeWriter(self, writer: Any) -> None:
        """See `IReactorFDSet.removeWriter`."""
        self._place_of(writer).removeWriter(writer)

    def _place_of(self, descriptor: Any) -> Any:
        return self._twistnet_hub if isinstance(descriptor, OnHub) else super()

    def getReaders(self) -> list[Any]:
        """See `IReactorFDSet.getReaders`."""
        return [*super().getReaders(), *self._twistnet_hub.getReaders()]  # type: ignore[misc]

    def getWriters(self) -> list[Any]:
        """See `IReactorFDSet.getWriters`."""
        return [*super().getWriters(), *self._twistnet_hub.getWriters()]  # type: ignore[misc]


class EPollReactor(FastSockets, HubWithin, epollreactor.EPollReactor):
    """An epoll reactor whose sockets, of every kind that the hub has, are on its hub.

    It has the name of what it is a kind of: programs, and Twisted's tests, go by that for what no epoll can do.
    """

    def __init__(self) -> None:
        self._twistnet_hub = RootHub(self)
        super().__init__()
        self._twistnet_hub.wait_for(self._poller)

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, and serve them; see `ReactorBase.doIteration`."""
        hub = self._twistnet_hub
        if hub.serve(hub.wait(-1 if timeout is None else timeout)):
            super().doPoll(0)

    doIteration = doPoll

    def removeAll(self) -> list[Any]:
        """See `IReactorFDSet.removeAll`."""
        return [*super().removeAll(), *self._twistnet_hub.removeAll()]


FastReactor = EPollReactor


def reactor_factory() -> FastReactor:
    """A reactor whose sockets are fast, not installed."""
    return FastReactor()


def install() -> None:
    """Make it the process's reactor: `twistd --reactor=twistnet` does."""
    installReactor(reactor_factory())
