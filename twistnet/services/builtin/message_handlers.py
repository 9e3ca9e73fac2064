"""What the messages service can answer with: a few handlers of its own, and functions of anybody's.

The rule of this module: a value that a handler can do nothing with is a `MessageError`; a name that names no handler is a
configuration error, at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ...config import Kind
from ...errors import ConfigurationError, MessageError
from ...protocols.answers import Handler
from ...units import did_you_mean

__all__ = ["HANDLERS", "HANDLER_NAME", "LONGEST_SLEEP", "echo", "find_handler", "upper"]

LONGEST_SLEEP = 60.0
"""Seconds that the handler `sleep` takes at most."""


def echo(value: Any) -> Any:
    """The value itself."""
    return value


def upper(value: Any) -> Any:
    """The value with every text in it in upper case; the names of members stay as they are, so that none are lost."""
    if isinstance(value, str):
        return value.upper()
    if isinstance(value, list):
        return [upper(one) for one in value]
    if isinstance(value, dict):
        return {name: upper(one) for name, one in value.items()}
    return value


def _time(clock: IReactorTime) -> Handler:
    """The time of day in UTC (RFC 3339), whatever the value."""
    return lambda value: datetime.fromtimestamp(clock.seconds(), UTC).isoformat(timespec="milliseconds")


def _sleep(clock: IReactorTime) -> Handler:
    """The value itself, after so many seconds."""

    def sleep(value: Any) -> Deferred[Any]:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= LONGEST_SLEEP:
            raise MessageError("bad-value", f"not a number of seconds from 0 to {LONGEST_SLEEP:g}")
        return deferLater(clock, value, lambda: value)

    return sleep


HANDLERS: Mapping[str, Callable[[IReactorTime], Handler]] = {
    "echo": lambda clock: echo,
    "upper": lambda clock: upper,
    "time": _time,
    "sleep": _sleep,
}
"""Handlers by their names, each made with a clock."""


def _parse_name(value: object) -> str:
    module, colon, function = str(value).partition(":")
    if value in HANDLERS or (isinstance(value, str) and module and colon and function):
        return str(value)
    raise ValueError(
        f"{value!r} is neither package.module:function nor a handler; {did_you_mean(str(value), HANDLERS)}"
    )


HANDLER_NAME = Kind(_parse_name, f"{'|'.join(HANDLERS)}|MODULE:FUNCTION")


def find_handler(name: str, clock: IReactorTime) -> Handler:
    """The handler of a name: a built-in one, or the function of `package.module:function`.

    Raises:
        ConfigurationError: There is none.
    """
    if name in HANDLERS:
        return HANDLERS[name](clock)
    module, _, function = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever a module does when it is imported
        hint = "; PYTHONPATH=. finds those of this folder" if isinstance(error, ModuleNotFoundError) else ""
        problem = f"{name!r} cannot be loaded: {type(error).__name__}: {error}{hint}"
        raise ConfigurationError(problem, ("handler",)) from error
    if not callable(found):
        raise ConfigurationError(f"{name!r} is no function", ("handler",))
    return found  # type: ignore[no-any-return]
