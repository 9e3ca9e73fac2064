"""What a person is to whoever talks with it.

The rule of this module: boundaries only. Whatever is shown has been made harmless before, because it is written as it is.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Listener", "Person"]


class Listener(Protocol):
    """Who hears what a person says."""

    def typed(self, line: str) -> None:
        """A line was typed; octets of a script that are not UTF-8 are in it as surrogates (PEP 383)."""

    def typing(self, begun: bool) -> None:
        """Whether something stands in the line that is being typed; a script never says so."""

    def input_ended(self) -> None:
        """Nothing more will be typed."""

    def caught_up(self) -> None:
        """All that was shown has been taken, after the person was full."""


class Person(Protocol):
    """Whoever types lines and reads what is shown."""

    @property
    def is_interactive(self) -> bool:
        """Whether it is one, and not a script."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be shown, until `Listener.caught_up`."""

    def start(self, listener: Listener) -> None:
        """Begin to listen."""

    def stop(self) -> None:
        """Hear nothing more. What is shown after that is still written."""

    def show(self, text: str) -> None:
        """Show a text, which ends with the end of a line unless more of it is to come."""

    def prompt(self, text: str) -> None:
        """What stands before the line that is being typed."""

    def pause(self) -> None:
        """Hear no line until `resume`; from within `typed`, too. A person at a terminal is not kept waiting."""

    def resume(self) -> None:
        """Hear lines again."""
