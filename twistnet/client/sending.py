"""Sending the same again and again.

The rule of this module: one time is over before the next begins, and the first that fails is the last.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from attrs import frozen
from twisted.internet.task import deferLater

from .standard import reading_standard_input
from .traffic import shown_traffic

__all__ = ["Repetition", "rewindable_input"]


@frozen(kw_only=True)
class Repetition:
    """How often to send, and what to show of it.

    Attributes:
        count: How often.
        interval: Seconds from one beginning to the next.
        hex_dump: Whether to show all octets.
        rewind: Is called before each time, if there is anything to be rewound.
    """

    count: int
    interval: float
    hex_dump: bool
    rewind: Callable[[], object] | None

    async def of(self, reactor: Any, exchange: Callable[..., Coroutine[Any, Any, int]]) -> int:
        """Do it; the exit status of the last time.

        Args:
            reactor: The reactor that is running.
            exchange: Takes the reactor and, as `traffic`, who is told of the octets; returns the exit status.
        """
        status = 0
        for number in range(self.count):
            begun = reactor.seconds()
            if self.rewind is not None:
                self.rewind()
            with shown_traffic(reactor, dump=self.hex_dump) as traffic:
                status = await exchange(reactor, traffic=traffic)
            if status or number == self.count - 1:
                break
            await deferLater(reactor, max(0.0, begun + self.interval - reactor.seconds()))
        return status


def rewindable_input() -> Callable[[], object]:
    """Have standard input be a file, if it is none; what goes back to where it begins."""
    with reading_standard_input():
        os.read(0, 0)
    with suppress(OSError):
        begin = os.lseek(0, 0, os.SEEK_CUR)
        return lambda: os.lseek(0, begin, os.SEEK_SET)
    with tempfile.TemporaryFile() as spool:
        with reading_standard_input(), open(0, "rb", closefd=False) as standard_input:
            shutil.copyfileobj(standard_input, spool, 1 << 20)
        spool.flush()
        os.dup2(spool.fileno(), 0)
    return lambda: os.lseek(0, 0, os.SEEK_SET)
