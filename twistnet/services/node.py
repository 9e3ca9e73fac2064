"""A node: several services in one process, made from one configuration.

The rule of this module: a TOML file, a command line and Python code all come down to the same tables of keys and
values, and are checked in the same place, all of them before anything is opened.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve, frozen
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred, maybeDeferred

from ..config import ConnectionConfig, DatagramConfig, TransportConfig, build
from ..endpoints.descriptions import Description
from ..errors import ConfigurationError
from ..units import did_you_mean
from .definition import ServiceDefinition, find_service
from .listening import ListeningService
from .log_file import LogFile

__all__ = ["DEFAULT", "NodeConfig", "NodeService", "ServiceConfig", "make_node", "node_from_file"]

DEFAULT = ("echo", "upper", "datagram")
"""The services of a node that is told nothing."""


@frozen(kw_only=True)
class ServiceConfig:
    """One service of a node.

    Attributes:
        name: What it is called within the node.
        definition: What it is.
        settings: An instance of `definition.settings`.
    """

    name: str
    definition: ServiceDefinition
    settings: Any

    @property
    def listen(self) -> tuple[str, ...]:
        """Where it listens: as it was told, or where its definition says."""
        return self.settings.listen or self.definition.listen


@frozen(kw_only=True)
class NodeConfig:
    """A node.

    Attributes:
        services: Its services.
        log_file: A file that the log is written to as well, or `None`.
        source: The file that all this came from, or `None`.
    """

    services: tuple[ServiceConfig, ...]
    log_file: str | None = None
    source: str | None = None


@frozen(kw_only=True, slots=False)
class Defaults(TransportConfig, ConnectionConfig, DatagramConfig):
    """What may be set for all services of a node at once."""

    def __attrs_post_init__(self) -> None:
        """What contradicts what is seen in each service, which may say more."""


def make_node(
    services: Mapping[str, Mapping[str, Any]],
    *,
    defaults: Mapping[str, Any] | None = None,
    log_file: str | None = None,
) -> NodeConfig:
    """A node from tables of settings.

    Args:
        services: The settings of each service by its name in the node. `service` says which service it is, where
            that differs from its name.
        defaults: Settings of all services; each service may have its own.
        log_file: See `NodeConfig`.

    Raises:
        ConfigurationError: With the path to the key that is wrong.
    """
    if log_file == "":
        raise ConfigurationError("is empty", ("log_file",))
    defaults = dict(defaults or {})
    try:
        build(Defaults, defaults)
    except ConfigurationError as error:
        raise error.within("defaults") from None
    configs = tuple(_service(name, table, defaults) for name, table in services.items())
    _refuse_duplicates(configs)
    return NodeConfig(services=configs, log_file=log_file)


def _service(name: str, table: Mapping[str, Any], defaults: Mapping[str, Any]) -> ServiceConfig:
    try:
        if not name:
            raise ConfigurationError("a service needs a name")
        if not isinstance(table, Mapping):
            raise ConfigurationError(f"{table!r} is not a table of settings")
        own = dict(table)
        which = own.pop("service", name)
        try:
            if not isinstance(which, str):
                raise ConfigurationError(f"{which!r} is not the name of a service")
            definition = find_service(which)
        except ConfigurationError as error:
            raise error.within("service") if "service" in table else error from None
        settings: Any = build(definition.settings, {**defaults, **own})
        return ServiceConfig(name=name, definition=definition, settings=settings)
    except ConfigurationError as error:
        raise error.within("services", name) from None


def _refuse_duplicates(configs: Iterable[ServiceConfig]) -> None:
    taken: dict[tuple[str, ...], str] = {}
    for config in configs:
        for index, text in enumerate(config.listen):
            path = ("services", config.name, f"listen[{index}]")
            try:
                where = Description.parse(text).on_loopback().listens_on
            except ValueError as error:
                raise ConfigurationError(str(error), path) from None
            if where and where in taken:
                raise ConfigurationError(f"{text!r} is listened on already, by {taken[where]}", path)
            taken[where] = ".".join(path)


def node_from_file(path: str) -> NodeConfig:
    """A node from a TOML file.

    Raises:
        ConfigurationError: It cannot be read, is not TOML, or says something that cannot be; names the file and
            the path to the key.
    """
    try:
        tables = tomllib.loads(Path(path).read_text("utf-8-sig"))
        return evolve(_node_from_tables(tables), source=path)
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror or error}", source=path) from error
    except ConfigurationError as error:
        raise error.within(source=path) from None
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"is not TOML: {error}", source=path) from None


def _node_from_tables(tables: Mapping[str, Any]) -> NodeConfig:
    known: dict[str, type] = {"services": dict, "defaults": dict, "log_file": str}
    for key, value in tables.items():
        if key not in known:
            raise ConfigurationError(f"unknown key; {did_you_mean(key, known)}", (key,))
        if not isinstance(value, known[key]) or value == "":
            raise ConfigurationError(f"{value!r} is not a {'text' if known[key] is str else 'table'}", (key,))
    if not tables.get("services"):
        raise ConfigurationError(
            "no service is configured; add a table such as [services.echo]", ("services",)
        )
    return make_node(**tables)


class NodeService(MultiService):
    """The services of a node, ready to run.

    Args:
        config: The node.
        reactor: What its services listen with.

    Raises:
        ConfigurationError: A listener that its service cannot have.
    """

    def __init__(self, config: NodeConfig, reactor: Any) -> None:
        super().__init__()
        self._log_file = LogFile(config.log_file) if config.log_file else None
        try:
            for service in config.services:
                _listening(service, reactor).setServiceParent(self)
        except ConfigurationError as error:
            raise error.within(source=config.source) from error

    def privilegedStartService(self) -> None:
        """Open the log file and every listener.

        Raises:
            ConfigurationError: The log file cannot be written.
            ListeningError: A listener would not open.
        """
        self._start(super().privilegedStartService)

    def startService(self) -> None:
        """Open what is not open yet; raises as `privilegedStartService` does."""
        self._start(super().startService)

    def _start(self, start: Callable[[], None]) -> None:
        """Start everything, or nothing."""
        if self._log_file is not None:
            self._log_file.start()
        try:
            start()
        except BaseException:
            self.running = 0
            for service in self:
                service.give_up()
            if self._log_file is not None:
                self._log_file.stop()
            raise

    def stopService(self) -> Deferred[Any]:
        """Stop every service: all listeners are closed before any connection is waited for.

        Returns:
            A Deferred that fires when no connection is left.
        """
        stopped = maybeDeferred(super().stopService)
        if self._log_file is not None:
            stopped.addBoth(self._close_log, self._log_file)
        return stopped

    def abort(self) -> None:
        """End every connection now."""
        for service in self:
            service.abort()

    def _close_log(self, result: Any, log_file: LogFile) -> Any:
        log_file.stop()
        return result


def _listening(config: ServiceConfig, reactor: Any) -> ListeningService:
    definition, settings = config.definition, config.settings
    datagram = definition.datagram
    try:
        companion = definition.companion(settings, reactor) if definition.companion else None
        beside = () if companion is None else (companion,)
        return ListeningService(
            reactor,
            config.name,
            config.listen,
            stream=definition.stream(settings, reactor, *beside) if definition.stream else None,
            datagram=(lambda: datagram(settings, reactor, *beside)) if datagram else None,
            connections=settings,
            datagrams=settings,
            detail=definition.detail(settings),
            check=lambda listener: definition.check_listener(settings, listener),
            companion=companion,
            transport=settings.transport,
        )
    except ConfigurationError as error:
        raise error.within("services", config.name) from None
    except Exception as error:  # whatever a service's own builder makes of its options
        problem = f"cannot be built: {type(error).__name__}: {error}"
        raise ConfigurationError(problem, ("services", config.name)) from error
