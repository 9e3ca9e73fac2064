"""What `@pytest.mark.network` may say, and how several marks on one test go together.

The rule of this module: it is imported once a test that has a network is collected, and by nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from attrs import evolve

from ..units import did_you_mean, parse_whole
from .conditions import FIELDS, LinkConfig
from .trace import Trace

__all__ = ["check", "settings_of"]


def settings_of(item: pytest.Item) -> dict[str, Any]:
    """What a test's marks say, as `Network` takes it: of a setting that several give, the closest mark's counts.

    A mark's trace serves many tests, and lends each its limits alone.
    """
    settings: dict[str, Any] = {}
    for mark in item.iter_markers("network"):
        settings = {**mark.kwargs, **settings}
    if settings.get("trace") is not None:
        settings["trace"] = evolve(settings["trace"])
    return settings


def check(item: pytest.Item) -> None:
    """See whether a test's marks make sense.

    Raises:
        pytest.UsageError: One does not; the message is one line.
    """
    for mark in item.iter_markers("network"):
        if problem := _problem(mark):
            raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.network: {problem}")


def _problem(mark: pytest.Mark) -> str | None:
    if mark.args:
        return f"takes settings by their names ({', '.join(_CHECKS)}), not {mark.args[0]!r}"
    for name, value in mark.kwargs.items():
        if name not in _CHECKS:
            return f"there is no setting {name!r}: {did_you_mean(name, _CHECKS)}"
        try:
            _CHECKS[name](value)
        except (TypeError, ValueError) as error:
            return f"{name}: {error.args[0]}"
    return None


def _check_link(link: Any) -> None:
    if isinstance(link, dict):
        for name in link:
            if name not in FIELDS:
                raise ValueError(f"there is no field {name!r}: {did_you_mean(str(name), FIELDS)}")
        LinkConfig(**link)
    elif not isinstance(link, LinkConfig | None):
        raise TypeError(f"must be a LinkConfig, or a dictionary of its fields, not {link!r}")


def _check_trace(trace: Any) -> None:
    if not isinstance(trace, Trace | None):
        raise TypeError(f"must be a Trace, whose limits each test's own will have, not {trace!r}")


def _check_timeout(timeout: Any) -> None:
    if not isinstance(timeout, (int, float)) or not timeout > 0:
        raise ValueError(f"must be virtual seconds, above 0, not {timeout!r}")


_CHECKS: dict[str, Callable[[Any], object]] = {
    "link": _check_link,
    "patience": lambda patience: parse_whole(patience, 1),
    "seed": parse_whole,
    "timeout": _check_timeout,
    "trace": _check_trace,
}
