"""A reactor that is a network of its own, for whoever wants a reactor and nothing else.

The rule of this module: it takes no arguments, as `ReactorBuilder.reactorFactory` of Twisted's own tests does.
"""

from __future__ import annotations

from .network import Network
from .reactor import Host
from .trace import Trace

__all__ = ["reactor_factory"]


def reactor_factory(*_: object) -> Host:
    """The reactor of the only host of a new network; the paths of its UNIX sockets are in the real file system.

    `run` runs it in virtual time until it is stopped.
    """
    return Network(trace=Trace(limit=1000)).host("machine", files="real")
