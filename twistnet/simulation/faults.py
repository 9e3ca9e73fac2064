"""What can go wrong with a network, on purpose.

The rule of this module: a fault is a value; it begins and ends, and when it has ended nothing of it is left. What is
between hosts is given by their names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

from attrs import field, frozen, validators

from .conditions import LinkConfig, changed
from .limits import flag, number, whole
from .link import Direction
from .names import key
from .packets import Transport

if TYPE_CHECKING:
    from .network import Network

__all__ = [
    "BlackHole",
    "Crash",
    "Degrade",
    "Fault",
    "Hold",
    "NamesFail",
    "NamesSilent",
    "NamesSlow",
    "Partition",
    "Refuse",
    "Reset",
    "Skew",
]


def _names(hosts: Any) -> tuple[str, ...]:
    """The names of one host or of several, each given by name or itself."""
    if isinstance(hosts, str) or hasattr(hosts, "kernel"):
        hosts = (hosts,)
    return tuple(getattr(host, "name", host) for host in hosts)


def _name(host: Any) -> str:
    return str(getattr(host, "name", host))


def _without_rest(seconds: float) -> float:
    """To the nanosecond: 0.1 and 0.2 added and taken away again leave a little more than nothing."""
    return round(seconds, 9)


class Fault(Protocol):
    """Something that goes wrong for a while."""

    def begin(self, network: Network) -> Any:
        """Let it go wrong.

        Returns:
            What `end` needs to put it right again.
        """

    def end(self, network: Network, begun: Any) -> None:
        """Put it right again."""

    def __str__(self) -> str:
        """One line for the trace."""


@frozen
class _Between:
    """A fault of the ways between some hosts and some others.

    Attributes:
        one: A host, or several.
        other: A host, or several.
        both: Whether both directions are meant, or only that from `one` to `other`.
    """

    one: tuple[str, ...] = field(converter=_names)
    other: tuple[str, ...] = field(converter=_names)
    both: bool = field(default=True, kw_only=True, validator=flag)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Whom it concerns."""
        return *self.one, *self.other

    def ways(self, network: Network) -> list[Direction]:
        """The directions that are meant, all of them looked up before anything happens to one.

        Raises:
            SimulationError: There is no such host.
        """
        return list(self._ways(network))

    def _ways(self, network: Network) -> Iterator[Direction]:
        for one in self.one:
            for other in self.other:
                yield network.direction(one, other)
                if self.both and one != other:
                    yield network.direction(other, one)

    def __str__(self) -> str:
        arrow = "<->" if self.both else "->"
        return f"{type(self).__name__} {' '.join(self.one)} {arrow} {' '.join(self.other)}"


@frozen
class Partition(_Between):
    """Nothing gets through. Streams send again what was lost, at longer and longer intervals, and go on when it ends."""

    def begin(self, network: Network) -> None:
        """See `Fault.begin`."""
        for way in self.ways(network):
            way.block(1)

    def end(self, network: Network, begun: None) -> None:
        """See `Fault.end`."""
        for way in self.ways(network):
            way.block(-1)


@frozen
class Hold(_Between):
    """Everything is kept back, and goes on its way in order when it ends."""

    def begin(self, network: Network) -> None:
        """See `Fault.begin`."""
        for way in self.ways(network):
            way.hold()

    def end(self, network: Network, begun: None) -> None:
        """See `Fault.end`."""
        for way in self.ways(network):
            way.release()


@frozen(init=False)
class Degrade(_Between):
    """The link is worse for a while: any fields of `LinkConfig`. Of several at once, each goes when it ends.

    Raises:
        TypeError: There is no such field, or a value is of the wrong kind.
        ValueError: A value is out of its range.
    """

    changes: tuple[tuple[str, Any], ...] = ()

    def __init__(self, one: Any, other: Any, *, both: bool = True, **changes: Any) -> None:
        changed(LinkConfig(), changes)
        self.__attrs_init__(one, other, tuple(sorted(changes.items())), both=both)

    def begin(self, network: Network) -> dict[str, Any]:
        """See `Fault.begin`."""
        changes = dict(self.changes)
        for way in self.ways(network):
            way.worsen(changes)
        return changes

    def end(self, network: Network, begun: dict[str, Any]) -> None:
        """See `Fault.end`."""
        for way in self.ways(network):
            way.mend(begun)

    def __str__(self) -> str:
        return f"{super().__str__()} {' '.join(f'{name}={value}' for name, value in self.changes)}"


@frozen
class _Port:
    """A fault of one port of a host.

    Attributes:
        host: Whose port.
        port: 1 to 65535.
        transport: `"tcp"` or `"udp"`.
    """

    host: str = field(converter=_name)
    port: int = field(validator=whole(1, 65535))
    transport: str = field(default="tcp", validator=validators.in_(("tcp", "udp")), kw_only=True)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Whom it concerns."""
        return (self.host,)

    @property
    def key(self) -> tuple[str, Transport, int]:
        """How the network knows the port."""
        return self.host, Transport[self.transport.upper()], self.port

    def __str__(self) -> str:
        return f"{type(self).__name__} {self.host}:{self.port}/{self.transport}"


@frozen
class Refuse(_Port):
    """New connections to a port, or datagrams, are refused, whoever listens there."""

    def begin(self, network: Network) -> None:
        """See `Fault.begin`."""
        network.host_named(self.host)
        network.refusing.append(self.key)

    def end(self, network: Network, begun: None) -> None:
        """See `Fault.end`."""
        network.refusing.remove(self.key)


@frozen
class BlackHole(_Port):
    """New connections to a port, or datagrams, get no answer at all."""

    def begin(self, network: Network) -> None:
        """See `Fault.begin`."""
        network.host_named(self.host)
        network.swallowing.append(self.key)

    def end(self, network: Network, begun: None) -> None:
        """See `Fault.end`."""
        network.swallowing.remove(self.key)


@frozen
class Crash:
    """A machine stops at once, without a word to anybody, and starts again, with nothing, when it ends.

    Of several at once, the last to end lets it start.
    """

    host: str = field(converter=_name)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Whom it concerns."""
        return (self.host,)

    def begin(self, network: Network) -> None:
        """See `Fault.begin`."""
        network.crash(self.host)

    def end(self, network: Network, begun: None) -> None:
        """See `Fault.end`."""
        if self not in network.faults:
            network.restart(self.host)

    def __str__(self) -> str:
        return f"Crash {self.host}"


@frozen
class Skew:
    """A host's clock jumps by so many seconds, and back when it ends; timers that are set are not moved."""

    host: str = field(converter=_name)
    seconds: float = field(validator=number())

    @property
    def hosts(self) -> tuple[str, ...]:
        """Whom it concerns."""
        return (self.host,)

    def begin(self, network: Network) -> None:
        """See `Fault.begin`."""
        network.host_named(self.host).skew += self.seconds

    def end(self, network: Network, begun: None) -> None:
        """See `Fault.end`."""
        host = network.host_named(self.host)
        host.skew = _without_rest(host.skew - self.seconds)

    def __str__(self) -> str:
        return f"Skew {self.host} by {self.seconds:g} s"


@frozen
class Reset(_Between):
    """Every connection between some hosts is reset, as a middlebox would; those made later are not.

    What is sent from then on goes nowhere; what is on its way arrives, and then the reset, after the latency of the link.

    Attributes:
        port: Only connections with this port at either end; `None` for all.
    """

    port: int | None = field(default=None, kw_only=True)

    def begin(self, network: Network) -> None:
        """See `Fault.begin`."""
        for way in self.ways(network):
            network.host_named(way.source).kernel.reset(way.target, self.port)

    def end(self, network: Network, begun: None) -> None:
        """See `Fault.end`."""


@frozen(init=False)
class _OfNames:
    """A fault of some names, or of all."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        self.__attrs_init__(tuple(map(key, names)) or ("*",))

    def __str__(self) -> str:
        return f"{type(self).__name__} {' '.join(self.names)}"


@frozen(init=False)
class NamesFail(_OfNames):
    """Names are not found; all of them, if none is given."""

    def begin(self, network: Network) -> None:
        """See `Fault.begin`."""
        network.names.failing.update(self.names)

    def end(self, network: Network, begun: None) -> None:
        """See `Fault.end`."""
        network.names.failing.subtract(self.names)


@frozen(init=False)
class NamesSilent(_OfNames):
    """Questions for names are never answered; for all of them, if none is given."""

    def begin(self, network: Network) -> None:
        """See `Fault.begin`."""
        network.names.silent.update(self.names)

    def end(self, network: Network, begun: None) -> None:
        """See `Fault.end`."""
        network.names.silent.subtract(self.names)


@frozen
class NamesSlow:
    """Answers for names take so many seconds longer."""

    seconds: float = field(validator=number(0))

    def begin(self, network: Network) -> None:
        """See `Fault.begin`."""
        network.names.delay += self.seconds

    def end(self, network: Network, begun: None) -> None:
        """See `Fault.end`."""
        network.names.delay = max(0.0, _without_rest(network.names.delay - self.seconds))

    def __str__(self) -> str:
        return f"NamesSlow by {self.seconds:g} s"
