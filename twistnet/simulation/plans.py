"""Plans of faults that hypothesis makes up, and takes apart when a test fails.

The rule of this module: what is drawn is data, the simpler the earlier it stands among its alternatives, so that a plan
that fails shrinks to the fewest faults, the plainest kinds and whole seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import count, permutations, product
from typing import Any, TypeAlias

from attrs import frozen

from .faults import (
    BlackHole,
    Crash,
    Degrade,
    Fault,
    Hold,
    NamesFail,
    NamesSilent,
    NamesSlow,
    Partition,
    Refuse,
    Reset,
    Skew,
)
from .planned import Plan, Planned
from .slicing import Fixed, OneByte, RandomSizes

try:
    from hypothesis import strategies as st
except ImportError as missing:
    raise ImportError("twistnet.simulation.plans needs hypothesis: pip install hypothesis") from missing

__all__ = ["Plan", "Planned", "fault_plans"]

# Faults to draw from, the plainest first


@frozen(kw_only=True)
class _Stage:
    """Where things can go wrong."""

    hosts: tuple[str, ...]
    crashing: tuple[str, ...]
    ports: tuple[tuple[Any, ...], ...]

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return list(permutations(self.hosts, 2))

    @property
    def ways(self) -> list[tuple[Any, Any, bool]]:
        """One host and another, then one host and all the others; whether both ways."""
        others = [(one, tuple(host for host in self.hosts if host != one)) for one in self.hosts]
        sides = self.pairs if len(self.hosts) < 3 else [*self.pairs, *others]
        return [(one, other, both) for both in (True, False) for one, other in sides]


_WORSE: dict[str, list[Any]] = {
    "latency": [0.1, 0.5, 2.0, 10.0],
    "loss": [0.1, 0.01, 0.5, 0.9],
    "slicing": [OneByte(), Fixed(2), Fixed(100), RandomSizes(1, 100)],
    "jitter": [0.1, 0.01, 1.0],
    "rate": [10_000, 1_000, 100_000],
    "duplicate": [0.1, 0.5],
    "reorder": [0.1, 0.5],
}


def _between(kind: Callable[..., Fault], **changes: Any) -> Callable[[_Stage], list[Fault]]:
    return lambda stage: [kind(one, other, both=both, **changes) for one, other, both in stage.ways]


def _degraded(stage: _Stage) -> list[Fault]:
    """One field at a time: two faults that overlap make a link that is worse in two ways."""
    changes = [(name, value) for name, values in _WORSE.items() for value in values]
    return [fault for name, value in changes for fault in _between(Degrade, **{name: value})(stage)]


def _at_port(kind: Callable[..., Fault]) -> Callable[[_Stage], list[Fault]]:
    return lambda stage: [
        kind(host, port, transport=transport[0] if transport else "tcp")
        for host, port, *transport in stage.ports
    ]


def _of_names(kind: Callable[..., Fault]) -> Callable[[_Stage], list[Fault]]:
    return lambda stage: [kind(), *map(kind, stage.hosts)]


_FAULTS: dict[Any, Callable[[_Stage], list[Fault]]] = {
    Partition: _between(Partition),
    Hold: _between(Hold),
    Reset: _between(Reset),
    Degrade: _degraded,
    Crash: lambda stage: [Crash(host) for host in stage.crashing],
    Refuse: _at_port(Refuse),
    BlackHole: _at_port(BlackHole),
    NamesFail: _of_names(NamesFail),
    NamesSilent: _of_names(NamesSilent),
    NamesSlow: lambda stage: [NamesSlow(seconds) for seconds in (1.0, 0.1, 10.0)],
    Skew: lambda stage: [
        Skew(host, jump) for jump in (1.0, -1.0, 60.0, -60.0, 3600.0, -3600.0) for host in stage.hosts
    ],
}
_NEEDS: dict[Any, str] = {
    **dict.fromkeys((Partition, Hold, Reset, Degrade), "two hosts"),
    **dict.fromkeys((Refuse, BlackHole), "`ports`"),
    Crash: "`crashing`",
}


def fault_plans(
    hosts: Iterable[Any],
    *,
    duration: float = 60.0,
    most: int = 5,
    octets: int = 1000,
    crashing: Iterable[Any] = (),
    ports: Iterable[tuple[Any, ...]] = (),
    kinds: Iterable[type[Any]] | None = None,
) -> st.SearchStrategy[Plan]:
    """Plans of what goes wrong, for `hypothesis.given`.

    What fails shrinks to the fewest faults, then to the plainest kinds, whole seconds and short times. Everything that
    begins at a time is over after `duration`, so that whoever tries again gets through in the end. A plan that failed
    is shown as Python, and runs again with `@example(Plan(...))` or without hypothesis.

        @given(plan=fault_plans(["client", "server"]))
        async def test_client_gets_through(network, plan):    # a new network for each example
            ...
            plan.apply(network)

    Args:
        hosts: Where things go wrong: hosts or their names.
        duration: Seconds within which it goes wrong, from 0.001.
        most: Faults in a plan at most.
        octets: How far into a stream a fault may begin instead of at a time; 0 for never. Such a fault lasts for
            `duration` at most.
        crashing: Hosts that may crash. Only those with a `boot` have anything open when they start again.
        ports: What may be refused or swallowed: `(host, port)` or `(host, port, "udp")`.
        kinds: The classes of faults; by default all that the other arguments allow.

    Returns:
        A strategy for `Plan`s.

    Raises:
        ValueError: There is no host, a number is out of its range, or one of `kinds` needs what was not given.
    """
    stage = _Stage(
        hosts=tuple(map(_name, hosts)),
        crashing=tuple(map(_name, crashing)),
        ports=tuple((_name(host), *rest) for host, *rest in ports),
    )
    _check(stage, duration, most, octets)
    kinds_and_starts: list[tuple[list[Any], _Starts]] = []
    for faults in (_FAULTS[kind](stage) for kind in _chosen(stage, kinds)):
        kinds_and_starts.append(([(fault, None) for fault in faults], _times(duration)))
        if octets and stage.pairs:
            kinds_and_starts.append((list(product(faults, stage.pairs)), _offsets(octets)))
    one = _planned(kinds_and_starts, _rounded(duration), duration)
    return st.lists(one, max_size=most).map(Plan)


def _name(host: Any) -> str:
    return str(getattr(host, "name", host))


def _check(stage: _Stage, duration: float, most: int, octets: int) -> None:
    if not stage.hosts:
        raise ValueError("there must be a host for anything to go wrong")
    if not 0.001 <= duration < float("inf"):
        raise ValueError(f"duration must be seconds, from 0.001: {duration!r}")
    if most < 0 or octets < 0:
        raise ValueError(f"most and octets must not be negative: {most!r}, {octets!r}")


def _chosen(stage: _Stage, kinds: Iterable[type[Any]] | None) -> list[type[Any]]:
    lacking = set() if len(stage.hosts) > 1 else {"two hosts"}
    lacking |= (set() if stage.ports else {"`ports`"}) | (set() if stage.crashing else {"`crashing`"})
    possible = [kind for kind in _FAULTS if _NEEDS.get(kind) not in lacking]
    if kinds is None:
        return possible
    wanted = set(kinds)
    for kind in wanted.difference(possible):
        raise ValueError(
            f"{kind.__name__} {f'needs {_NEEDS[kind]}' if kind in _NEEDS else 'is no kind of fault'}"
        )
    if not wanted:
        raise ValueError("kinds must name a kind of fault, or be left out")
    return [kind for kind in possible if kind in wanted]


# Four choices a fault, each the simpler the earlier it stands: of more, hypothesis would leave in what can be left out

_Starts: TypeAlias = st.SearchStrategy[dict[str, Any]]


def _rounded(duration: float) -> list[float]:
    """Seconds above 0: whole ones, halves between them, and early ones, for most happens early on a network."""
    step = next(
        step
        for power in count()
        for step in (10**power, 2 * 10**power, 5 * 10**power)
        if duration < 100 * step
    )
    whole = [float(step * n) for n in range(1, 101)]
    halves = [seconds - step / 2 for seconds in whole]
    early = [n / 2000 for n in range(1, 41)] + [n / 100 for n in range(3, 100, 4)]
    return [seconds for seconds in (*whole, *halves, *early) if seconds < duration] or [duration]


def _times(duration: float) -> _Starts:
    return st.sampled_from([{"at": seconds} for seconds in (0.0, *_rounded(duration)) if seconds < duration])


def _offsets(octets: int) -> _Starts:
    """Among the first octets of a stream, or anywhere in it, as often."""
    early = min(octets, 64)
    anywhere = st.integers(0, 2 * octets - 1)
    return anywhere.map(lambda n: {"offset": (n * early // octets if n < octets else n - octets) + 1})


@st.composite
def _planned(
    draw: st.DrawFn, kinds: list[tuple[list[Any], _Starts]], lengths: list[float], duration: float
) -> Planned:
    faults, starts = draw(st.sampled_from(kinds))
    (fault, between), start, lasting = (
        draw(st.sampled_from(faults)),
        draw(starts),
        draw(st.sampled_from(lengths)),
    )
    rest = duration - start.get("at", 0.0)
    over = None if isinstance(fault, Reset) else min(lasting, rest, round(rest, 9) or rest)
    return Planned(fault, between=between, lasting=over, **start)
