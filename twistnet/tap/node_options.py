"""The options of `twistd twistnet`.

The rule of this module: order counts. What stands before the first `--service` is for all of them, what stands after
one is for that one.
"""

from __future__ import annotations

from typing import Any

import attrs
from twisted.python.usage import UsageError

from ..config import Kind, ListenerConfig
from ..errors import ConfigurationError
from ..services.definition import SHARED, find_service, installed_services
from ..services.node import DEFAULT, NodeConfig, make_node, node_from_file
from ..services.option_texts import Option, flag, in_order, options_of
from .options import LOG_FILE, CommandOptions, add_methods

__all__ = ["NodeOptions"]

CONFIG = Option("config", Kind(str, "FILE"), "make the node from this TOML file", "Node")
SERVICE = Option("service", Kind(str, "NAME"), "add a service; the options after it are its own", "Node")

_FOR_ALL = {field.name for model in SHARED if model is not ListenerConfig for field in attrs.fields(model)}


class NodeOptions(CommandOptions):
    """Several services in one process.

    Without options: echo on tcp:7007, upper on tcp:7008 and datagram on udp:7009, on loopback.
    Options before the first --service hold for every service; those after it, for that one.
    """

    command = "twistnet"

    def __init__(self) -> None:
        super().__init__()
        self.sections: list[tuple[str, dict[str, Any]]] = []
        self.defaults = self.given
        self.whole: dict[str, str] = {}

    def take(self, option: Option, value: Any) -> None:
        if option is SERVICE:
            self.given = {}
            self.sections.append((value, self.given))
        elif option in (CONFIG, LOG_FILE):
            self.whole[option.name] = value
        elif not self.sections and option.name not in _FOR_ALL:
            raise UsageError(f"{flag(option.name)} belongs after the --service that it is for")
        else:
            super().take(option, value)

    def make_node(self) -> NodeConfig:
        log_file = self.whole.get("log_file")
        if "config" in self.whole:
            if self.sections or self.defaults or log_file:
                raise ConfigurationError("goes with no other option; say the rest in the file", ("config",))
            return node_from_file(self.whole["config"])
        tables: dict[str, dict[str, Any]] = {}
        for service, values in self.sections or [(name, {}) for name in DEFAULT]:
            if service not in installed_services():
                self._unknown_service(service)
            copies = sum(table["service"] == service for table in tables.values())
            tables[f"{service}-{copies + 1}" if copies else service] = {"service": service, **values}
        return make_node(tables, defaults=self.defaults, log_file=log_file)

    def _unknown_service(self, name: str) -> None:
        try:
            find_service(name)
        except ConfigurationError as error:
            raise error.within("service") from None


def _every_option() -> list[Option]:
    """The options of all services that can be loaded."""
    offered = {option.name: option for model in SHARED for option in options_of(model)}
    for name in sorted(installed_services()):
        try:
            own = options_of(find_service(name).options)
        except ConfigurationError:
            continue  # it is an error once somebody asks for that service
        for option in own:
            others = offered.get(option.name, option)
            offered[option.name] = attrs.evolve(
                others, group=f"{others.group}, {name}".removeprefix("Service, ")
            )
    return [CONFIG, SERVICE, LOG_FILE, *offered.values()]


_offered = _every_option()
NodeOptions.offered = in_order(_offered)
add_methods(NodeOptions, _offered)
