"""What a service is, and which are installed.

The rule of this module: a built-in service has nothing that a service from another package could not have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from typing import Any

import attrs
from twisted.application.service import IService
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.plugin import getPlugins

from ..config import ConnectionConfig, DatagramConfig, ListenerConfig, TransportConfig
from ..endpoints.descriptions import Description
from ..errors import ConfigurationError
from ..units import did_you_mean
from .plugins import IServicePlugin

__all__ = ["NoOptions", "ServiceDefinition", "find_service", "installed_services"]

SHARED = (ListenerConfig, TransportConfig, ConnectionConfig, DatagramConfig)
_NAME = re.compile(r"[a-z][a-z0-9-]*")


@attrs.frozen(kw_only=True, slots=False)
class NoOptions:
    """The options of a service that has none of its own."""


@attrs.frozen(kw_only=True, slots=False)
class ServiceDefinition:
    """A service: a name, and how to build what answers.

    Attributes:
        name: Lower-case letters, digits and hyphens, such as `"echo"`.
        description: One line.
        listen: Endpoint strings of where it serves when nothing is said.
        options: An attrs class of its own options; each field has a default, and best comes from
            `twistnet.config.setting`.
        stream: Builds what answers streams, from the options and a clock (`IReactorTime`); or `None`.
        datagram: Builds what answers datagrams, from the options and a clock, anew for each socket; or `None`. It is
            put behind the datagram guard.
        detail: What the line that announces a listener adds in brackets, from the options; may be empty.
        check_listener: Is asked about each listener, from the options, before any is opened; raises `ValueError`, with what
            follows the string in the error, where the service must not be met there.
        companion: Makes, from the options and the reactor, a Twisted service that runs beside the listeners, anew for each
            node; or `None`. It is started once they are open, stopped before connections are waited for, and given to
            `stream` and `datagram` as a third argument.

    Raises:
        ValueError: The name is not such a name, or an option has the name of a shared setting.
    """

    name: str
    description: str
    listen: tuple[str, ...]
    options: type = NoOptions
    stream: Callable[..., Factory | IProtocolFactory] | None = None
    datagram: Callable[..., DatagramProtocol] | None = None
    detail: Callable[[Any], str] = lambda options: ""
    check_listener: Callable[[Any, Description], None] = lambda options, listener: None
    companion: Callable[[Any, Any], IService] | None = None

    def __attrs_post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"service name {self.name!r} is not lower-case letters, digits and hyphens")
        shared = {attribute.name for model in SHARED for attribute in attrs.fields(model)}
        if clash := sorted(shared & {attribute.name for attribute in attrs.fields(self.options)}):
            raise ValueError(f"service {self.name}: {clash[0]} is a setting of every service already")

    @cached_property
    def settings(self) -> type:
        """An attrs class of all that can be set of the service: its options and those that every service has."""
        bases = (self.options, *SHARED)
        checks = [check for base in bases if (check := getattr(base, "__attrs_post_init__", None))]
        return attrs.make_class(
            "Settings", {}, bases, {"__attrs_post_init__": lambda settings: [check(settings) for check in checks]},
            frozen=True, kw_only=True, slots=False,
        )  # fmt: skip


def installed_services() -> dict[str, Any]:
    """The plugins (`IServicePlugin`) of the services that are installed, by name."""
    return {plugin.name: plugin for plugin in getPlugins(IServicePlugin)}


def find_service(name: str) -> ServiceDefinition:
    """The definition of an installed service.

    Raises:
        ConfigurationError: There is none of that name, or its package does not work.
    """
    plugins = installed_services()
    if name not in plugins:
        raise ConfigurationError(f"there is no service {name!r}; {did_you_mean(name, plugins)}")
    try:
        definition = plugins[name].load()
    except Exception as error:  # whatever a package does when it is imported
        raise ConfigurationError(
            f"service {name!r} cannot be loaded: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(definition, ServiceDefinition):
        raise ConfigurationError(f"service {name!r} cannot be loaded: {definition!r} is no ServiceDefinition")
    return definition
