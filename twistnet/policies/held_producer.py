"""The producer that a protocol has registered with its transport, while a policy stands between the two.

The rule of this module: it is told to pause and to resume as Twisted's transports tell it (`IPushProducer`, `IPullProducer`).
"""

from __future__ import annotations

from typing import Any

__all__ = ["HeldProducer"]


class HeldProducer:
    """A producer, or none.

    Attributes:
        is_paused: Whether it was told to pause, and not to resume since.
    """

    def __init__(self) -> None:
        self.is_paused = False
        self._producer: Any = None
        self._streaming = True

    def __bool__(self) -> bool:
        """Whether there is one."""
        return self._producer is not None

    @property
    def is_pulled(self) -> bool:
        """Whether there is one that has to be asked for each piece."""
        return self._producer is not None and not self._streaming

    @property
    def has_more(self) -> bool:
        """Whether a close has to wait for it."""
        return self._producer is not None and (self.is_paused or not self._streaming)

    def register(self, producer: Any, streaming: bool) -> None:
        """There is one now.

        Raises:
            RuntimeError: There was one already.
        """
        if self._producer is not None:
            raise RuntimeError(
                f"{producer!r} cannot be registered: {self._producer!r} was never unregistered"
            )
        self._producer, self._streaming, self.is_paused = producer, streaming, False

    def unregister(self) -> None:
        """There is none any more."""
        self._producer = None

    def pause(self, *, again: bool = False) -> None:
        """Tell it to pause; `again` if it was told before, as each further write does."""
        if self._producer is not None and self._streaming and (again or not self.is_paused):
            self.is_paused = True
            self._producer.pauseProducing()

    def resume(self) -> None:
        """Tell it to resume, if it was told to pause."""
        if self.is_paused and self._producer is not None:
            self.is_paused = False
            self._producer.resumeProducing()

    def pull(self) -> None:
        """Ask for a piece."""
        if self.is_pulled:
            self._producer.resumeProducing()

    def stop(self) -> None:
        """The connection is lost."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.stopProducing()
