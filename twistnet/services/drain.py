"""How a service takes leave of its connections.

The rule of this module: a connection is served as ever until shortly before the end of the time; then it is told that nothing
more comes, so that a peer that reads to the end can close; at the end of the time it is aborted.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..policies.observers import OpenConnections

__all__ = ["Drain", "ServiceState"]

_log = Logger("twistnet")

LAST = 1.0
"""Seconds before the end at which connections are half-closed; a quarter of the time, if that is less."""


class ServiceState(Enum):
    """What a listening service is doing."""

    STOPPED = "stopped"
    LISTENING = "listening"
    CLOSING = "closing its listeners"
    WAITING = "waiting for open connections"
    FINISHING = "half-closed its open connections"
    ABORTING = "aborting its open connections"


class Drain:
    """The end of the connections that are open at a stop.

    Args:
        connections: Which they are.
        service: The name of their service.
        timeout: Seconds that they have.
        clock: Tells the time.

    Attributes:
        connections: Which they are.
        state: `WAITING`, `FINISHING` or `ABORTING`.
    """

    def __init__(
        self, connections: OpenConnections, service: str, timeout: float, clock: IReactorTime
    ) -> None:
        self.connections = connections
        self.state = ServiceState.WAITING
        self._service = service
        self._timeout = timeout
        self._clock = clock

    async def run(self) -> None:
        """Until no connection is left."""
        _log.info(
            "{service} waits up to {timeout:g} s for {count} open connections",
            service=self._service, timeout=self._timeout, count=len(self.connections),
        )  # fmt: skip
        steps: list[tuple[float, Callable[[], None]]] = [(self._timeout, self._abort)]
        if self._timeout:
            steps.append((self._timeout - min(LAST, self._timeout / 4), self._finish))
        timers = [self._clock.callLater(*step) for step in steps]
        try:
            await self.connections.when_none()
        finally:
            for timer in timers:
                if timer.active():
                    timer.cancel()

    def _finish(self) -> None:
        self.state = ServiceState.FINISHING
        self.connections.finish()

    def _abort(self) -> None:
        self.state = ServiceState.ABORTING
        _log.info("{service} aborts {count} connections", service=self._service, count=len(self.connections))
        self.connections.abort()
