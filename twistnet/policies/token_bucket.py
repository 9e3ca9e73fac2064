"""Token buckets, and tables of what is known of each source.

The rule of this module: it is told the time, in seconds, and never holds more than it was allowed to. A clock that is
put back gives nothing, and takes nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define, field

__all__ = ["Recent", "TokenBucket"]

Key = TypeVar("Key")
Value = TypeVar("Value")


@define(eq=False)
class TokenBucket:
    """Admits `rate` events a second on average and `burst` at once (the leaky bucket of ITU-T I.371, as a meter).

    Args:
        rate: Tokens gained a second.
        burst: Tokens it holds when full, which it is at first.
        now: The time.
    """

    rate: float
    burst: float
    _updated: float = field(alias="now")
    _tokens: float = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._tokens = self.burst

    def take(self, now: float, tokens: float = 1.0) -> bool:
        """Whether that many tokens were there; if so they are gone."""
        if not self.has(now, tokens):
            return False
        self._tokens -= tokens
        return True

    def has(self, now: float, tokens: float = 1.0) -> bool:
        """Whether that many tokens are there."""
        self._refill(now)
        return self._tokens >= tokens

    def is_full(self, now: float) -> bool:
        """Whether nothing is missing."""
        return self.has(now, self.burst)

    def charge(self, now: float, tokens: float) -> None:
        """Take what has been used already, down to an empty bucket."""
        self._refill(now)
        self._tokens = max(0.0, self._tokens - tokens)

    def _refill(self, now: float) -> None:
        self._tokens = min(self.burst, self._tokens + self.rate * max(0.0, now - self._updated))
        self._updated = now


class Recent(Generic[Key, Value]):
    """A table that makes its entries on first use and forgets the one that has been idle longest when it is full.

    Args:
        make: Makes the entry of a key.
        limit: Entries at most.
    """

    def __init__(self, make: Callable[[Key], Value], limit: int) -> None:
        self._make = make
        self._limit = limit
        self._entries: OrderedDict[Key, Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, key: Key) -> Value:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
            return entry
        if len(self._entries) >= self._limit:
            self._entries.popitem(last=False)
        return self._entries.setdefault(key, self._make(key))

    def drop_oldest_while(self, idle: Callable[[Value], bool]) -> None:
        """Forget entries, the one that has been idle longest first, for as long as it says nothing any more."""
        while self._entries and idle(next(iter(self._entries.values()))):
            self._entries.popitem(last=False)
