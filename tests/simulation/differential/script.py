"""What a script is: an `async def name(world)` that shows one fact, registered under the name of its module and its own.

The rule of this module: nothing here touches a network; it only says what there is to run, and what may be expected of it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

if TYPE_CHECKING:
    from .world import World

__all__ = ["FAST", "REACTORS", "SCRIPTS", "Body", "Script", "script"]

REACTORS = ("epoll", "asyncio", "select")
"""The real reactors that everything is compared with."""

FAST = ("twistnet", "fast-asyncio")
"""The same machine's sockets on the fast transports: as a reactor of their own, and within another."""

Body = Callable[["World"], Coroutine[Any, Any, None]]


@frozen(kw_only=True)
class Script:
    """One fact, as a program that runs the same on every reactor.

    Attributes:
        name: The module's name without `scripts_`, a dot, and the function's.
        body: What is run.
        differs: The real reactors that are known to do otherwise than the rest, each with the reason; the simulation does
            as the rest. "fast" is all of those with fast transports.
        logs: The classes of the errors that are logged in its course. Each is an event; any other fails the script.
        apart: Whether only the order of the events of each participant is a fact, not the order between them.
    """

    name: str
    body: Body
    differs: Mapping[str, str] = field(factory=dict)
    logs: tuple[type[BaseException], ...] = ()
    apart: bool = False

    @property
    def agreeing(self) -> list[str]:
        """The real reactors that agree with each other; never none."""
        return [name for name in REACTORS if name not in self.differs]

    def reason(self, reactor: str) -> str | None:
        """Why a real reactor is known to do otherwise; `None` if it does as the rest."""
        return self.differs.get(reactor) or (self.differs.get("fast") if reactor in FAST else None)


SCRIPTS: dict[str, Script] = {}
"""All that have been registered, by name."""


def script(
    *,
    differs: Mapping[str, str] | None = None,
    logs: tuple[type[BaseException], ...] = (),
    apart: bool = False,
) -> Callable[[Body], Body]:
    """Register a script; see `Script` for the arguments."""

    def register(body: Body) -> Body:
        topic = body.__module__.rpartition(".")[2].removeprefix("scripts_")
        name = f"{topic}.{body.__name__}"
        assert name not in SCRIPTS, f"{name} is there twice"
        SCRIPTS[name] = Script(name=name, body=body, differs=differs or {}, logs=logs, apart=apart)
        return body

    return register
