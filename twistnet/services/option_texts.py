"""Settings, as somebody reads of them: how the option is written, what it does, and its default.

The rule of this module: an option is `--` and the name of a field, with hyphens; what it accepts and says is the field's
own.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import Any

import attrs

from ..config import Kind, kind_of

__all__ = ["Option", "described", "flag", "in_order", "options_of"]

_GROUPS = ("Node", "Listening", "Service", "Policies", "Connections", "Datagrams", "Logging")


@attrs.frozen
class Option:
    """One option of a command.

    Attributes:
        name: The name of the field it sets.
        kind: How its value is read.
        help: One line.
        group: The heading it stands under.
        default: What holds without it, if that is worth saying.
    """

    name: str
    kind: Kind
    help: str
    group: str
    default: str = ""

    @property
    def spelling(self) -> str:
        """How it is written: `--idle-timeout DURATION`."""
        return f"{flag(self.name)} {self.kind.metavar}".rstrip()


def flag(name: str) -> str:
    """The option that sets a field."""
    return f"--{name.replace('_', '-')}"


def options_of(model: Any) -> list[Option]:
    """The options that the fields of a model make."""
    return [
        Option(
            field.name,
            kind_of(field),
            field.metadata.get("help", ""),
            field.metadata.get("group", "Service"),
            _shown_default(field),
        )
        for field in attrs.fields(model)
    ]


def _shown_default(field: Any) -> str:
    if field.default in (None, False, ()) or field.default is attrs.NOTHING:
        return ""
    if field.default is True:
        return "on"
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default)


def in_order(options: Iterable[Option]) -> tuple[Option, ...]:
    """The options in the order in which they are shown."""
    return tuple(
        sorted(options, key=lambda option: _GROUPS.index(option.group) if option.group in _GROUPS else 2)
    )


def described(option: Option, width: int) -> list[str]:
    """The lines that tell of an option: how it is written, what it does, and its default in brackets."""
    text = f"{option.help} [{option.default}]" if option.default else option.help
    body = textwrap.wrap(text, max(20, width - 34)) or [""]
    head = f"  {option.spelling}"
    if len(head) > 32:
        return [head, *(f"{'':34}{line}" for line in body)]
    return [f"{head:34}{body[0]}", *(f"{'':34}{line}" for line in body[1:])]
