"""What goes wrong and when, as a value.

The rule of this module: the same plan does the same to the same network, every part of it can be left out, and its `repr`
is Python that can go into a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from attrs import NOTHING, field, fields, frozen, has

from .faults import Degrade, Fault, NamesFail, NamesSilent
from .limits import number, optional

if TYPE_CHECKING:
    from .network import Network

__all__ = ["Plan", "Planned"]

_SECONDS = optional(number(0))


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
            SimulationError: The network has no such host as a place in a stream names. Those of a fault itself must be
                there when it begins.
        """
        for planned in self.faults:
            planned.apply(network)

    def __len__(self) -> int:
        return len(self.faults)

    def __iter__(self) -> Iterator[Planned]:
        return iter(self.faults)

    def __repr__(self) -> str:
        return f"Plan([{', '.join(map(repr, self.faults))}])"

    def _repr_pretty_(self, printer: Any, _: bool) -> None:
        """What hypothesis, and IPython, print; otherwise they go by the fields."""
        printer.text(repr(self))

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
