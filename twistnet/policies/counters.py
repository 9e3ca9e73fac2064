"""How often each policy has decided what.

The rule of this module: every decision is counted here, under the name of its service, its policy and what was done;
whoever shows or exports them reads them here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from attrs import define, field, frozen

__all__ = ["Count", "PolicyCounters", "Quiet", "policy_counters", "policy_counts"]

QUIET = 60.0
"""Seconds between two lines that say the same."""


@frozen
class Count:
    """How often something was decided.

    Attributes:
        service: The name of the guard.
        policy: The name of the setting, such as `"per_source"`; `"connections"` for all that were admitted, `"guard"`
            for datagrams.
        outcome: What was done: `"refused"`, `"closed"`, ...; of a datagram, why it was dropped.
        count: How often, since the process began.
    """

    service: str
    policy: str
    outcome: str
    count: int


@define(eq=False)
class PolicyCounters:
    """The counters of one guard, or of all guards with one name."""

    _counts: Counter[tuple[str, str]] = field(factory=Counter, init=False)

    def add(self, policy: str, outcome: str) -> int:
        """Count one decision; how many there are now."""
        self._counts[policy, outcome] += 1
        return self._counts[policy, outcome]

    def __getitem__(self, key: tuple[str, str]) -> int:
        """How often a policy decided so."""
        return self._counts.get(key, 0)

    def __iter__(self) -> Iterator[tuple[tuple[str, str], int]]:
        """Each pair of policy and outcome that has occurred, with its count, in the order of their names."""
        return iter(sorted(self._counts.items()))


_all: dict[str, PolicyCounters] = {}


def policy_counters(service: str) -> PolicyCounters:
    """The counters of the process for guards of this name; made on first use, and kept."""
    return _all.setdefault(service, PolicyCounters())


def policy_counts() -> tuple[Count, ...]:
    """All counters of the process."""
    return tuple(
        Count(service, policy, outcome, count)
        for service, counters in sorted(_all.items())
        for (policy, outcome), count in counters
    )


@define(eq=False)
class Quiet:
    """Lets a log line through when its reason comes up, and once a minute while it goes on; reasons are few."""

    _said: dict[str, tuple[float, int]] = field(factory=dict, init=False)

    def due(self, now: float, reason: str) -> int:
        """It has come up once more: how often since its last line, this time included, if a line is due; else 0."""
        last, unsaid = self._said.get(reason, (float("-inf"), 0))
        if 0 <= now - last < QUIET:
            self._said[reason] = (last, unsaid + 1)
            return 0
        self._said[reason] = (now, 0)
        return unsaid + 1
