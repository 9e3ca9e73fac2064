"""The drop-in's side of a service: its name, and the name of what defines it.

The rule of this module: the drop-in is imported whenever twistd looks for plugins, so this imports next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.plugin import IPlugin
from twisted.python.reflect import namedAny
from zope.interface import Attribute, Interface, implementer

if TYPE_CHECKING:
    from .definition import ServiceDefinition

__all__ = ["IServicePlugin", "ServicePlugin"]


class IServicePlugin(Interface):
    """A plugin (`twisted.plugin`) that adds a service to the `twistnet` node."""

    name: str = Attribute("What the service is called: `echo`.")

    def load() -> ServiceDefinition:
        """Import what defines the service."""


@implementer(IPlugin, IServicePlugin)
class ServicePlugin:
    """Adds a service, from a file in `twisted/plugins`.

    Args:
        name: What the service is called; lower-case letters, digits and hyphens.
        definition: The dotted name of its `ServiceDefinition`.
    """

    def __init__(self, name: str, definition: str) -> None:
        self.name = name
        self.definition = definition

    def load(self) -> ServiceDefinition:
        """See `IServicePlugin.load`."""
        return cast("ServiceDefinition", namedAny(self.definition))
