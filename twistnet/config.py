"""The settings of connections, datagrams and listeners: one attrs model each, and the one truth about their names.

The rule of this module: a setting is written down once, as a field. Keyword arguments, `twistd` options and TOML keys
are all read off the fields, and a value is checked once, when a model is made, wherever it came from. Nothing here
imports Twisted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypeVar

from attrs import Attribute, Converter, field, fields, frozen

from .errors import ConfigurationError
from .units import (
    LONGEST_DATAGRAM,
    did_you_mean,
    parse_datagram_size,
    parse_duration,
    parse_flag,
    parse_rate,
    parse_size,
    parse_whole,
)

__all__ = [
    "ConnectionConfig",
    "DatagramConfig",
    "Kind",
    "ListenerConfig",
    "Network",
    "TransportConfig",
    "build",
    "choice",
    "kind_of",
    "setting",
]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
T = TypeVar("T")


@frozen
class Kind:
    """What may stand for a setting: how it is read, and the word for it in a usage message.

    Attributes:
        parse: A value from outside, text or number, to the setting's own type; raises `ValueError`.
        metavar: The word for it, `DURATION`; empty for a flag that stands alone.
        repeats: Whether giving it again adds to it.
    """

    parse: Callable[[Any], Any]
    metavar: str
    repeats: bool = False


_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 within IPv6 (RFC 4291, 2.5.5.2)."""


def _parse_network(value: object) -> Network:
    try:
        network = ipaddress.ip_network(str(value).strip())
    except ValueError:
        raise ValueError(f"{value!r} is not a network (10.0.0.0/8, 2001:db8::/32, or one address)") from None
    if network.version == 6 and network.subnet_of(_MAPPED):
        return ipaddress.IPv4Network((network.network_address.packed[-4:], network.prefixlen - 96))
    return network


def _parse_text(value: object) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError(f"{value!r} is not a text")
    return value


def _several(parse: Callable[[Any], T]) -> Callable[[Any], tuple[T, ...]]:
    """A parser of one value, made to take a list of them, or one alone."""

    def parse_all(values: Any) -> tuple[T, ...]:
        if values in ([], ()):
            raise ValueError("an empty list says nothing; leave it out for the default")
        if isinstance(values, Mapping):
            raise ValueError(f"{values!r} is not a list")
        alone = isinstance(values, str) or not isinstance(values, Iterable)
        return tuple(parse(value) for value in ([values] if alone else values))

    return parse_all


def choice(*words: str) -> Kind:
    """The kind of a setting that is one of a few words."""

    def parse(value: object) -> str:
        if value not in words:
            near = did_you_mean(str(value), words)
            hint = f"; {near}" if near.startswith("did") else ""
            raise ValueError(f"{value!r} is none of {', '.join(words)}{hint}")
        return str(value)

    return Kind(parse, "|".join(words))


DURATION = Kind(parse_duration, "DURATION")
SIZE = Kind(parse_size, "SIZE")
RATE = Kind(parse_rate, "NUMBER")


def _above_zero(parse: Callable[[Any], T]) -> Callable[[Any], T]:
    """A parser that takes no 0: a policy that lets nothing through is a mistake."""

    def parse_above_zero(value: Any) -> T:
        parsed = parse(value)
        if not parsed:
            raise ValueError(f"{value!r} is not above 0; leave it out for no limit")
        return parsed

    return parse_above_zero


TIMEOUT = Kind(_above_zero(parse_duration), "DURATION")
OCTETS = Kind(_above_zero(parse_size), "SIZE")
COUNT = Kind(lambda value: parse_whole(value, lowest=1, highest=2**31 - 1), "NUMBER")
FLAG = Kind(parse_flag, "")
SWITCH = Kind(parse_flag, "on|off")
TEXT = Kind(_parse_text, "TEXT")
NETWORKS = Kind(_several(_parse_network), "NETWORK", repeats=True)
DESCRIPTIONS = Kind(_several(_parse_text), "ENDPOINT", repeats=True)


def _convert(value: Any, attribute: Attribute[Any]) -> Any:
    """The converter of every setting: read it as its kind, and say which setting it was when that fails."""
    if value is attribute.default or (value in (None, "none") and attribute.default in (None, ())):
        return attribute.default
    try:
        return kind_of(attribute).parse(value)
    except ValueError as error:
        raise ConfigurationError(str(error), (attribute.name,)) from None


def setting(default: Any, kind: Kind, text: str, *, group: str = "Service") -> Any:
    """A field of a configuration model.

    Args:
        default: What holds when nothing is said.
        kind: How a value is read: one of this module's constants, or a `choice`.
        text: One line for `--help`, without a full stop.
        group: The heading it stands under in `--help`.
    """
    metadata = {"kind": kind, "help": text, "group": group}
    return field(default=default, converter=Converter(_convert, takes_field=True), metadata=metadata)


def kind_of(attribute: Attribute[Any]) -> Kind:
    """The kind of a field; a plain attrs field counts as text, or as a flag where its default is a boolean."""
    plain = FLAG if isinstance(attribute.default, bool) else TEXT
    return attribute.metadata.get("kind", plain)  # type: ignore[no-any-return]


@frozen(kw_only=True, slots=False)
class ConnectionConfig:
    """What a listening port allows a stream connection. Durations are in seconds, sizes in octets.

    Raises:
        ConfigurationError: A value of the wrong kind or range, or one that contradicts another.
    """

    max_connections: int | None = setting(None, COUNT, "connections open at once", group="Policies")
    overflow: str = setting(
        "wait", choice("wait", "refuse"), "what a connection above max_connections meets", group="Policies"
    )
    per_source: int | None = setting(
        None, COUNT, "connections from one address (IPv6: one /64)", group="Policies"
    )
    accept_rate: float | None = setting(None, RATE, "connections a second from one source", group="Policies")
    accept_burst: int | None = setting(
        None, COUNT, "connections at once above accept_rate; a second's worth if unset", group="Policies"
    )
    allow: tuple[Network, ...] = setting((), NETWORKS, "networks that may connect", group="Policies")
    deny: tuple[Network, ...] = setting(
        (), NETWORKS, "networks that may not connect, whatever is allowed", group="Policies"
    )
    idle_timeout: float | None = setting(
        None, TIMEOUT, "close after so long without a byte", group="Policies"
    )
    lifetime: float | None = setting(None, TIMEOUT, "close after so long in any case", group="Policies")
    handshake_timeout: float | None = setting(
        None, TIMEOUT, "how long TLS, and a PROXY header, may take", group="Policies"
    )
    rate: int | None = setting(None, OCTETS, "bytes a second of one connection, each way", group="Policies")
    burst: int | None = setting(
        None, OCTETS, "bytes at once above rate; a fifth of a second's worth if unset", group="Policies"
    )
    high_water_mark: int | None = setting(
        None, OCTETS, "stop reading with more than this unsent", group="Policies"
    )
    low_water_mark: int | None = setting(
        None,
        SIZE,
        "read again with no more than this unsent; a quarter of the other if unset",
        group="Policies",
    )
    write_buffer_limit: int | None = setting(
        None, OCTETS, "abort a peer that leaves more unread", group="Policies"
    )
    proxy_protocol: str = setting(
        "off", choice("off", "v1", "v2", "auto"), "expect a PROXY header", group="Policies"
    )
    proxy_allow_from: tuple[Network, ...] = setting(
        (), NETWORKS, "networks whose PROXY header counts; all if unset", group="Policies"
    )
    dry_run: bool = setting(False, FLAG, "decide and count, but refuse nothing", group="Policies")
    graceful_timeout: float = setting(
        5.0, DURATION, "how long a close may take before the connection is aborted", group="Connections"
    )
    no_delay: bool = setting(False, FLAG, "send small segments at once (TCP_NODELAY)", group="Connections")
    keepalive: bool = setting(False, FLAG, "probe idle peers (SO_KEEPALIVE)", group="Connections")
    backlog: int = setting(
        1024, COUNT, "connections the kernel holds before they are accepted", group="Connections"
    )
    reuse_port: bool = setting(
        False, FLAG, "share the port with other processes (SO_REUSEPORT)", group="Connections"
    )
    access_log: bool = setting(
        False, FLAG, "one line for each connection opened and closed", group="Connections"
    )

    def __attrs_post_init__(self) -> None:
        for name, needed in _NEEDS.items():
            if getattr(self, name) not in {None, ()} and getattr(self, needed) in {None, "off"}:
                raise ConfigurationError(f"means nothing without {needed}", (name,))
        for smaller, larger in _ORDERED:
            low, high = getattr(self, smaller), getattr(self, larger)
            if low is not None and high is not None and low > high:
                raise ConfigurationError(f"{low} is above {larger}, which is {high}", (smaller,))


_NEEDS = {
    "accept_burst": "accept_rate",
    "burst": "rate",
    "low_water_mark": "high_water_mark",
    "proxy_allow_from": "proxy_protocol",
}
"""What each of these settings needs beside it."""

_ORDERED = (("low_water_mark", "high_water_mark"), ("high_water_mark", "write_buffer_limit"))


@frozen(kw_only=True, slots=False)
class DatagramConfig:
    """What a datagram port answers. Rates are in datagrams a second, sizes in octets.

    Raises:
        ConfigurationError: A value of the wrong kind or range.
    """

    guard: bool = setting(True, SWITCH, "drop what reflects, loops or floods", group="Datagrams")
    max_datagram: int = setting(
        LONGEST_DATAGRAM, Kind(parse_datagram_size, "SIZE"), "drop what is longer", group="Datagrams"
    )
    packet_rate: float = setting(
        1000.0, RATE, "datagrams a second answered to one source (IPv6: one /64)", group="Datagrams"
    )
    packet_burst: int = setting(10_000, COUNT, "datagrams at once above packet_rate", group="Datagrams")
    total_packet_rate: float = setting(
        20_000.0, RATE, "datagrams a second answered to all sources", group="Datagrams"
    )


@frozen(kw_only=True, slots=False)
class ListenerConfig:
    """Where a service listens.

    Attributes:
        listen: Endpoint strings, streams and datagrams alike; empty for the service's own default.
    """

    listen: tuple[str, ...] = setting(
        (), DESCRIPTIONS, "where to serve, such as tcp:7007 or udp:7009; may be repeated", group="Listening"
    )


@frozen(kw_only=True, slots=False)
class TransportConfig:
    """What sockets are made of.

    Attributes:
        transport: `"fast"` for the fast transports where there are any, `"stock"` for the reactor's own.
    """

    transport: str = setting(
        "fast",
        choice("fast", "stock"),
        "sockets of twistnet's (on Linux), or the reactor's own",
        group="Listening",
    )


Model = TypeVar("Model")


def build(model: type[Model], values: Mapping[str, Any]) -> Model:
    """An attrs model from a table of keys and values, as TOML or a command line gives them.

    Raises:
        ConfigurationError: An unknown key, with the nearest known one, or a value that does not fit.
    """
    known = {attribute.name for attribute in fields(model)}  # type: ignore[arg-type]
    if unknown := sorted(values.keys() - known):
        problem = f"unknown key, with the value {values[unknown[0]]!r}; {did_you_mean(unknown[0], known)}"
        raise ConfigurationError(problem, (unknown[0],))
    return _structure(model, values)


def _structure(model: type[Model], values: Mapping[str, Any]) -> Model:
    from cattrs import Converter as Cattrs
    from cattrs.errors import ClassValidationError

    converter = Cattrs(prefer_attrib_converters=True)
    converter.register_structure_hook(bool, lambda value, _: parse_flag(value))
    try:
        return converter.structure(dict(values), model)
    except ClassValidationError as group:
        raise _first_problem(group) from None


def _first_problem(group: BaseException, path: tuple[str, ...] = ()) -> ConfigurationError:
    """The first leaf of cattrs's tree of errors, with the path that its notes spell out."""
    while isinstance(group, BaseExceptionGroup):
        group = group.exceptions[0]
        path += tuple(str(getattr(note, "name", "")) for note in getattr(group, "__notes__", ()))
    path = tuple(part for part in path if part)
    return (
        group.within(*path) if isinstance(group, ConfigurationError) else ConfigurationError(str(group), path)
    )
