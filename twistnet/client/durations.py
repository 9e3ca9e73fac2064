"""A duration on the command line."""

from __future__ import annotations

from typing import Any

import click

from ..units import parse_duration

__all__ = ["Duration"]


class Duration(click.ParamType[float]):
    """A duration of the command line, in seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """See `click.ParamType.convert`."""
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
