"""Echo, over streams and datagrams (RFC 862), with backpressure."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from ..wire.transforms import Identity
from .datagram import TransformDatagramProtocol
from .one_shot import one_shot
from .stream import StreamFactory, TransformProtocol

__all__ = ["EchoDatagramProtocol", "EchoFactory", "EchoProtocol"]


class EchoProtocol(TransformProtocol):
    """Sends back what it receives; reads no more from a peer that does not read."""

    def __init__(self) -> None:
        super().__init__(Identity())


class EchoFactory(StreamFactory):
    """Builds `EchoProtocol`.

    Args:
        once: Whether a connection is closed once what comes first has been echoed.
        clock: The reactor, which measures the peer's pauses for `once`.

    Raises:
        ValueError: `once` without a clock.
    """

    def __init__(self, *, once: bool = False, clock: IReactorTime | None = None) -> None:
        super().__init__(one_shot(Identity, clock) if once else EchoProtocol)


class EchoDatagramProtocol(TransformDatagramProtocol):
    """Sends each datagram back. In the open it wants a guard: see `twistnet.GuardedDatagramProtocol`."""

    def __init__(self) -> None:
        super().__init__(Identity)
