"""What goes wrong, as data that hypothesis makes up and takes apart.

The rule of this module: a plan is a value. The same plan does the same to the same network, every part of it can be left
out or made smaller, and what is left is Python that can go into a test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count, permutations, product
from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import NOTHING, field, fields, frozen, has, validators

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
from .slicing import Fixed, OneByte, RandomSizes

try:
    from hypothesis import strategies as st
except ImportError as missing:
    raise ImportError("twistnet.simulation.plans needs hypothesis: pip install hypothesis") from missing

if TYPE_CHECKING:
    from .network import Network

__all__ = ["Plan", "Planned", "fault_plans"]

_SECONDS = validators.optional(validators.and_(validators.instance_of((int, float)), validators.ge(0)))


def _two_names(hosts: Any) -> tuple[str, str] | None:
    if hosts is None:
        return None
    source, target = (str(getattr(host, "name", host)) for host in hosts)
    return source, target


@frozen(repr=False)
class Planned:
    """One thing that goes wrong, and when or where in a stream.

    Attributes:
        fault: What.
        at: When, in virtual seconds after the plan is applied.
        offset: Instead of a time: after so many octets of a connection from the first host of `between` to the second.
        between: Those two hosts.
        port: Only a connection with this port at either end.
        lasting: For how many seconds; for ever by default. A `Reset` is over at once.

    Raises:
        TypeError: A value is of the wrong kind.
        ValueError: A value is out of its range, or neither or both of `at` and `offset` are given.
    """

    fault: Fault
    at: float | None = field(default=None, kw_only=True, validator=_SECONDS)
    offset: int | None = field(default=None, kw_only=True)
    between: tuple[str, str] | None = field(default=None, kw_only=True, converter=_two_names)
    port: int | None = field(default=None, kw_only=True)
    lasting: float | None = field(default=None, kw_only=True, validator=_SECONDS)

    @offset.validator
    def _from_one(self, _: object, offset: Any) -> None:
        if offset is not None and (not isinstance(offset, int) or offset < 1):
            raise ValueError(f"offset counts octets, from 1: {offset!r}")

    def __attrs_post_init__(self) -> None:
        if (self.at is None) == (self.offset is None) or (self.offset is None) != (self.between is None):
            raise ValueError("give either `at`, or `offset` with `between`")

    def apply(self, network: Network) -> None:
        """Let it happen from now on; see `Network.schedule`."""
        network.schedule(
            self.fault,
            at=None if self.at is None else network.clock.now + self.at,
            offset=self.offset,
            between=self.between,
            port=self.port,
            lasting=self.lasting,
        )

    def __repr__(self) -> str:
        return _python(self)

    def __str__(self) -> str:
        when = f"at {self.at:g} s" if self.between is None else self._where(*self.between)
        return f"{when}: {self.fault}{'' if self.lasting is None else f', for {self.lasting:g} s'}"

    def _where(self, source: str, target: str) -> str:
        port = "" if self.port is None else f", port {self.port}"
        return f"after {self.offset} octets {source} -> {target}{port}"


def _as_tuple(faults: Iterable[Planned]) -> tuple[Planned, ...]:
    return tuple(faults)


@frozen(repr=False)
class Plan:
    """Things that go wrong; they may overlap.

    `repr` is Python that makes the same plan, with the names of `twistnet.simulation` and of this module; `str` is a
    list for people, a line each.

    Attributes:
        faults: What, in any order.
    """

    faults: tuple[Planned, ...] = field(default=(), converter=_as_tuple)

    def apply(self, network: Network) -> None:
        """Let all of it happen, its times counted from now.

        Raises:
            SimulationError: The network has no such host.
        """
        for planned in self.faults:
            planned.apply(network)

    def __len__(self) -> int:
        return len(self.faults)

    def __iter__(self) -> Iterator[Planned]:
        return iter(self.faults)

    def __repr__(self) -> str:
        return f"Plan([{', '.join(map(repr, self.faults))}])"

    def __str__(self) -> str:
        return "\n".join(map(str, self.faults)) or "nothing goes wrong"


# Python that makes a value again


def _python(value: Any) -> str:
    """An expression for a value; the `repr` that attrs makes does not know what a constructor takes."""
    if isinstance(value, Degrade):
        both = [] if value.both else ["both=False"]
        changes = [f"{name}={_python(change)}" for name, change in value.changes]
        return f"Degrade({', '.join([_hosts(value.one), _hosts(value.other), *both, *changes])})"
    if isinstance(value, (NamesFail, NamesSilent)):
        return f"{type(value).__name__}({', '.join(map(repr, value.names))})"
    if has(type(value)):
        return f"{type(value).__name__}({', '.join(_arguments(value))})"
    return repr(value)


def _arguments(value: Any) -> Iterator[str]:
    """What a class of attrs was called with, but for what it would have had anyway."""
    for one in fields(type(value)):
        given = getattr(value, one.name)
        if one.default is NOTHING and not one.kw_only:
            yield _hosts(given) if one.name in {"one", "other"} else _python(given)
        elif one.init and given != one.default:
            yield f"{one.alias}={_python(given)}"


def _hosts(names: tuple[str, ...]) -> str:
    return repr(names[0] if len(names) == 1 else names)


# Faults to draw from, the plainest first: a failing plan shrinks towards them


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
    begins at a time is over after `duration`, so that whoever tries again gets through in the end.

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
    rest = round(duration - start.get("at", 0.0), 9)
    over = None if isinstance(fault, Reset) else min(lasting, rest)
    return Planned(fault, between=between, lasting=over, **start)
