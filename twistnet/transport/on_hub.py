"""What every fast transport has in common: it asks the hub, not the reactor, to be read and to be let write."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .hub import Hub

__all__ = ["OnHub"]


class OnHub:
    """Mixed in before one of Twisted's descriptors; its `reactor` stays the reactor."""

    _hub: Hub

    def startReading(self) -> None:
        """See `FileDescriptor.startReading`."""
        self._hub.addReader(self)

    def stopReading(self) -> None:
        """See `FileDescriptor.stopReading`."""
        self._hub.removeReader(self)

    def startWriting(self) -> None:
        """See `FileDescriptor.startWriting`."""
        self._hub.addWriter(self)

    def stopWriting(self) -> None:
        """See `FileDescriptor.stopWriting`."""
        self._hub.removeWriter(self)
