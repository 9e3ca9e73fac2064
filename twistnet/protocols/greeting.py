"""A greeting: the server speaks first.

The rule of this module: four placeholders are replaced, once, by what they stand for, and nothing else in the text means
anything: other braces are braces, and what replaces a placeholder is not looked at again.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from math import floor
from typing import Any

from twisted.internet.interfaces import IReactorTime

from ..addresses import show_address
from .announcing import AnnouncingProtocol
from .stream import StreamFactory

__all__ = ["GreetingFactory", "GreetingProtocol"]

_PLACEHOLDER = re.compile(r"\{(peer|host|time|count)\}")


class GreetingProtocol(AnnouncingProtocol):
    """Sends a text, in UTF-8, then closes or stays. It reads and forgets what it is sent.

    Args:
        text: The text. In it `{peer}` is the address of the peer, `{host}` the address that it reached, `{time}` the time
            (UTC, ISO 8601: `2026-11-21T18:30:00Z`), and `{count}` the number of the connection.
        clock: The reactor: it tells the time, in seconds since 1970, and measures how long a peer takes to close.
        count: The number of the connection.
        stay: Whether the connection stays open until the peer finishes.
    """

    def __init__(self, text: str, clock: IReactorTime, *, count: int = 1, stay: bool = False) -> None:
        super().__init__(self._greet, clock, stay=stay)
        self._text = text
        self._count = count

    def _greet(self, transport: Any) -> bytes:
        now = datetime.fromtimestamp(floor(self._clock.seconds()), UTC)
        values = {
            "peer": show_address(transport.getPeer()),
            "host": show_address(transport.getHost()),
            "time": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "count": str(self._count),
        }
        return _PLACEHOLDER.sub(lambda match: values[match[1]], self._text).encode()


class GreetingFactory(StreamFactory):
    """Builds `GreetingProtocol`, and counts the connections from 1.

    Args:
        text: See `GreetingProtocol`.
        clock: The reactor.
        stay: See `GreetingProtocol`.

    Raises:
        ValueError: The text cannot be written in UTF-8.
    """

    def __init__(self, text: str, clock: IReactorTime, *, stay: bool = False) -> None:
        text.encode()
        self._count = 0
        super().__init__(lambda: GreetingProtocol(text, clock, count=self._next(), stay=stay))

    def _next(self) -> int:
        self._count += 1
        return self._count
