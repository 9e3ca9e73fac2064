"""Upper case, over streams and datagrams, of bytes or of text."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

from ..wire.transforms import Transform, UpperBytes, UpperText
from .datagram import TransformDatagramProtocol
from .one_shot import one_shot
from .stream import StreamFactory, TransformProtocol

__all__ = ["UpperDatagramProtocol", "UpperFactory", "UpperProtocol"]


def _transform(encoding: str | None, errors: str) -> Callable[[], Transform]:
    """A maker of transforms; made once here, so that a wrong encoding is an error now and not at a connection."""
    if encoding is None:
        return UpperBytes
    UpperText(encoding, errors)
    return lambda: UpperText(encoding, errors)


class UpperProtocol(TransformProtocol):
    """Sends back what it receives in upper case; reads no more from a peer that does not read.

    Args:
        encoding: `None` for `bytes.upper`, or the text encoding to upper-case in, such as `"utf-8"`.
        errors: What happens to input that does not decode: one of `twistnet.wire.transforms.ERRORS`. With
            `"strict"` the connection is closed.

    Raises:
        ValueError: No such encoding or error handler.
    """

    def __init__(self, encoding: str | None = None, errors: str = "strict") -> None:
        super().__init__(_transform(encoding, errors)())


class UpperFactory(StreamFactory):
    """Builds `UpperProtocol`.

    Args:
        encoding: See `UpperProtocol`.
        errors: See `UpperProtocol`.
        once: Whether a connection is closed once what comes first has been answered.
        clock: The reactor, which measures the peer's pauses for `once`.

    Raises:
        ValueError: No such encoding or error handler, or `once` without a clock.
    """

    def __init__(
        self,
        encoding: str | None = None,
        errors: str = "strict",
        *,
        once: bool = False,
        clock: IReactorTime | None = None,
    ) -> None:
        make = _transform(encoding, errors)
        super().__init__(one_shot(make, clock) if once else lambda: TransformProtocol(make()))


class UpperDatagramProtocol(TransformDatagramProtocol):
    """Sends each datagram back in upper case. In the open it wants a guard: `twistnet.GuardedDatagramProtocol`.

    Args:
        encoding: See `UpperProtocol`; each datagram is a text of its own.
        errors: See `UpperProtocol`; with `"strict"` a datagram that does not decode is not answered.

    Raises:
        ValueError: No such encoding or error handler.
    """

    def __init__(self, encoding: str | None = None, errors: str = "strict") -> None:
        super().__init__(_transform(encoding, errors))
