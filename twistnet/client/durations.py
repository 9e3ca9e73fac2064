"""A duration on the command line."""

from __future__ import annotations

from typing import Any

import click

from ..units import parse_duration

__all__ = ["Duration"]


class Duration(click.ParamType[float]):
    """A duration of the command line, in seconds.

    Args:
        may_be_zero: Whether it can be no time at all: a timeout cannot.
    """

    name = "duration"

    def __init__(self, *, may_be_zero: bool = False) -> None:
        self._may_be_zero = may_be_zero

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not seconds and not self._may_be_zero:
            self.fail(f"{value!r} is no time at all", param, ctx)
        return seconds
