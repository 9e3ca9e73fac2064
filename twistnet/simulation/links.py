"""The ways between hosts: two directions for each pair, made when they are first needed.

The rule of this module: a way that nobody has asked about has the configuration that the network has by default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from attrs import frozen

from .clock import Clock
from .conditions import LinkConfig, changed
from .link import Direction
from .packets import Packet
from .tape import Tape

__all__ = ["Link", "Links"]

LOOPBACK = LinkConfig(latency=0.0, mtu=65536)
"""A machine to itself."""


@frozen
class Link:
    """What is between two hosts.

    Attributes:
        there: From the first host to the second.
        back: From the second to the first.
    """

    there: Direction
    back: Direction

    def update(self, **changes: Any) -> Link:
        """Change both directions.

        Args:
            changes: Fields of `LinkConfig`: `latency`, `jitter`, `loss`, `duplicate`, `reorder`, `rate`, `mtu`,
                `queue`, `slicing`, `coalescing`.

        Returns:
            The link itself.

        Raises:
            TypeError: There is no such field, or a value is of the wrong kind.
            ValueError: A value is out of its range.
        """
        for direction in self._directions():
            direction.update(**changes)
        return self

    def _directions(self) -> tuple[Direction, ...]:
        return (self.there,) if self.there is self.back else (self.there, self.back)

    def towards(self, host: Any) -> Direction:
        """The one direction that ends at a host, to be updated alone.

        Raises:
            ValueError: It is not a host of this link.
        """
        name = getattr(host, "name", host)
        for direction in self._directions():
            if direction.target == name:
                return direction
        raise ValueError(
            f"{name} is not at either end of the link of {self.there.source} and {self.there.target}"
        )


class Links:
    """All of the directions of a network.

    Attributes:
        default: What a new direction does.
    """

    def __init__(
        self, clock: Clock, tape: Tape, record: Callable[[Packet], object], default: LinkConfig
    ) -> None:
        self.default = default
        self._clock = clock
        self._tape = tape
        self._record = record
        self._directions: dict[tuple[str, str], Direction] = {}

    def __iter__(self) -> Iterator[Direction]:
        return iter(list(self._directions.values()))

    def direction(self, source: str, target: str) -> Direction:
        """The way from one host to another."""
        found = self._directions.get((source, target))
        if found is None:
            config = LOOPBACK if source == target else self.default
            found = Direction(source, target, self._clock, self._tape, config, self._record)
            self._directions[source, target] = found
        return found

    def link(self, one: str, other: str) -> Link:
        """Both ways between two hosts."""
        return Link(self.direction(one, other), self.direction(other, one))

    def update_default(self, **changes: Any) -> None:
        """Change what is between every two hosts: ways that are there already, and those that come."""
        self.default = changed(self.default, changes)
        for direction in self:
            if direction.source != direction.target:
                direction.update(**changes)

    @property
    def retransmissions_come(self) -> bool:
        """Whether a lost segment will be sent again on a way that is open."""
        return any(direction.awaiting and direction.is_open for direction in self)
