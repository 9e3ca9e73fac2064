"""The fast path: Twisted's transports at the speed of a bare epoll loop, in whatever reactor runs.

This package may import Twisted, and `config`, `errors` and `units` of this one.
"""

from .reactor import FastReactor, reactor_factory
from .sockets import can_be_fast, fast

__all__ = ["FastReactor", "can_be_fast", "fast", "reactor_factory"]
