"""What each command makes of its options.

The rule of this module: this, and nothing below it, finds the global reactor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.application.service import IService

from ..errors import ConfigurationError
from ..services.node import NodeService
from .options import CommandOptions
from .process import Command, raise_descriptor_limit

__all__ = ["make_service"]


def make_service(options: CommandOptions) -> IService:
    """The service that a command runs; ends the program with status 2 if a listener is not one."""
    from twisted.internet import reactor

    raise_descriptor_limit()
    assert options.node is not None
    try:
        node = NodeService(options.node, reactor)
    except ConfigurationError as error:
        options.fail(options.as_option(error))
    return Command(options.name, node, reactor, unseen=_is_daemon(options.parent or {}))


def _is_daemon(twistd: Mapping[str, Any]) -> bool:
    """Whether the program around the command is a twistd that goes, or logs, where nobody looks on."""
    return "nodaemon" in twistd and not (twistd["nodaemon"] and twistd["logfile"] in {None, "-"})
