"""What is asked of a load generator.

The rule of this module: what cannot be done is a `ValueError` that names the option, before anything is sent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from attrs import asdict, frozen

from ...units import LONGEST_DATAGRAM
from ...wire.transforms import Identity, UpperBytes

__all__ = ["EXPECTATIONS", "Plan"]

EXPECTATIONS: Mapping[str, Callable[[bytes], bytes]] = {"echo": Identity().feed, "upper": UpperBytes().feed}
"""What a service makes of a request."""

_MOST_AT_ONCE = 1 << 20
_NEARLY = 1e-3
"""Of the time between two requests: less is what becomes of a number that is rounded."""

_OPEN_WINDOW = 1000


@frozen(kw_only=True)
class Plan:
    """What to do.

    Attributes:
        connections: How many, or sockets.
        size: Octets of a request.
        window: Requests that may be unanswered on a connection.
        duration: Seconds that are measured.
        warm_up: Seconds before them.
        rate: Requests a second in all, whatever the server does; `None` for the next as soon as there is room.
        timeout: Seconds that connecting may take, and a reply.
        expect: A name of `EXPECTATIONS`.
    """

    connections: int
    size: int
    window: int
    duration: float
    warm_up: float
    rate: float | None
    timeout: float
    expect: str

    @classmethod
    def of(cls, *, datagrams: bool, window: int | None, timeout: float | None, **settings: Any) -> Plan:
        """A plan, with what is to be used where nothing is said; raises as `check` does."""
        size, rate = settings["size"], settings["rate"]
        if window is None:
            at_once = _MOST_AT_ONCE // settings["connections"]
            window = min(_OPEN_WINDOW if rate else 1, at_once, _distinct(size) if datagrams else at_once)
        if timeout is None:
            timeout = 1.0 if datagrams else 5.0
        plan = cls(window=window, timeout=timeout, **settings)
        plan.check(datagrams=datagrams)
        return plan

    def check(self, *, datagrams: bool) -> None:
        """See whether it can be done.

        Raises:
            ValueError: It cannot.
        """
        if self.connections * self.window > _MOST_AT_ONCE:
            raise ValueError(
                f"--connections times --window is {self.connections * self.window}: no more than {_MOST_AT_ONCE} "
                "requests can be under way"
            )
        if datagrams:
            self._check_datagrams()
        elif not self.size:
            raise ValueError("--size 0 is for datagrams: over a stream, nothing is no request")

    def _check_datagrams(self) -> None:
        if self.size > LONGEST_DATAGRAM:
            raise ValueError(
                f"--size {self.size} is more than the {LONGEST_DATAGRAM} octets that a datagram can carry"
            )
        if self.window > _distinct(self.size):
            raise ValueError(
                f"--size {self.size} has room to number {_distinct(self.size)} requests: no --window of {self.window}, "
                f"but one up to {_distinct(self.size)}"
            )

    @property
    def seconds(self) -> float:
        """From the first request to the last."""
        return self.warm_up + self.duration

    @property
    def requests(self) -> int:
        """How many there are to be, if there is a rate."""
        return self._due_within(self.seconds)

    @property
    def warm_up_requests(self) -> int:
        """How many of them belong to the warm-up."""
        return self._due_within(self.warm_up)

    def _due_within(self, seconds: float) -> int:
        """How many are due before so many seconds have passed."""
        return math.ceil(seconds * (self.rate or 0) - _NEARLY)

    def settings(self) -> dict[str, Any]:
        """All of it, by name."""
        return asdict(self)


def _distinct(size: int) -> int:
    """How many datagrams of a size can be told apart by a number in digits."""
    return int(10 ** min(size, 12))
