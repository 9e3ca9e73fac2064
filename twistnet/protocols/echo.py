"""Echo, over streams and datagrams (RFC 862), with backpressure."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from ..wire.transforms import Identity
from .datagram import TransformDatagramProtocol
from .one_shot import OneShotProtocol
from .stream import StreamFactory, StreamProtocol

__all__ = ["EchoDatagramProtocol", "EchoFactory", "EchoProtocol"]


class EchoProtocol(StreamProtocol):
    """Sends back what it receives; reads no more from a peer that does not read."""

    def __init__(self) -> None:
        super().__init__(Identity())


class EchoFactory(StreamFactory):
    """Builds `EchoProtocol`.

    Args:
        once_clock: If given, each connection has what comes first echoed and is then closed; the reactor, or
            whatever clock tells the pauses of the peer.
    """

    def __init__(self, once_clock: IReactorTime | None = None) -> None:
        if once_clock is None:
            super().__init__(EchoProtocol)
        else:
            super().__init__(lambda: OneShotProtocol(Identity(), once_clock))


class EchoDatagramProtocol(TransformDatagramProtocol):
    """Sends each datagram back. In the open it wants a guard: see `twistnet.GuardedDatagramProtocol`."""

    def __init__(self) -> None:
        super().__init__(Identity)
