"""What a setting may be, and the sentence that says so when it is something else.

The rule of this module: an error names the setting, says what it must be, and shows what it was; `TypeError` for the wrong
kind, `ValueError` for the wrong size.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, isfinite
from typing import Any

__all__ = ["flag", "number", "optional", "whole"]

Validator = Callable[[Any, Any, Any], None]


def whole(least: float = -inf, most: float = inf) -> Validator:
    """A whole number within bounds."""
    return _checking((int,), f"a whole number{_bounds(least, most)}", lambda value: least <= value <= most)


def number(least: float = -inf, most: float = inf, *, above: bool = False) -> Validator:
    """A finite number within bounds; `above` leaves out the lower one itself."""
    expected = f"a number above {least:g}" if above else f"a number{_bounds(least, most)}"
    return _checking(
        (int, float),
        expected,
        lambda value: isfinite(value) and least <= value <= most and not (above and value == least),
    )


def flag(_: Any, attribute: Any, value: Any) -> None:
    """True or false."""
    if not isinstance(value, bool):
        raise TypeError(f"{attribute.name} must be True or False, not {value!r}")


def optional(validator: Validator) -> Validator:
    """`None`, or what another validator lets through."""
    return lambda owner, attribute, value: None if value is None else validator(owner, attribute, value)


def _bounds(least: float, most: float) -> str:
    if most < inf:
        return f" from {least:g} to {most:g}"
    return f", at least {least:g}" if least > -inf else ""


def _checking(kinds: tuple[type, ...], expected: str, fits: Callable[[Any], bool]) -> Validator:
    def check(_: Any, attribute: Any, value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, kinds):
            raise TypeError(f"{attribute.name} must be {expected}, not {value!r}")
        if not fits(value):
            raise ValueError(f"{attribute.name} must be {expected}: {value!r}")

    return check
