"""The global reactor for code that runs on no host: a test's own, between one `run` and the next.

The rule of this module: it has a clock, and nothing else; it never guesses which host was meant.
"""

from __future__ import annotations

from typing import Any, NoReturn

from ..errors import WrongReactor
from .reactor import Host

__all__ = ["Bystander"]


class Bystander(Host):
    """A reactor that can only wait."""

    def __repr__(self) -> str:
        return "<the global reactor, on no host of the simulated network>"

    def _usable(self) -> NoReturn:
        raise WrongReactor(
            "the global reactor was asked for a socket by code that runs on no host of the simulated network: "
            "pass the host in as the reactor, or say which host it is with `with network.on(host):`"
        )

    def start(self) -> None:
        """It never runs."""

    def callWhenRunning(self, callable: Any, *args: Any, **kw: Any) -> Any:
        """See `IReactorCore.callWhenRunning`: the network runs whenever anything does."""
        callable(*args, **kw)
