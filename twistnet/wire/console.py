"""A person who talks with many peers: what is typed and what happens become what to show, send, close.

The rule of this module: no clock, no octets on their way, no terminal. Nothing that a peer says is shown as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from typing import TypeAlias

from attrs import frozen

from ..units import one_line

__all__ = ["Action", "Close", "Console", "Quit", "Send", "Show", "shown"]

LONGEST_SHOWN = 2000
"""Characters of a line that are shown."""

HELP = """\
* text          say it to who is before the >, the last who spoke
* /to N text    say it to peer N
* /to N         from now on, what is typed is for peer N; /to alone: for the last who spoke again
* /all text     say it to all
* /list         who is there
* /close N      end the conversation with peer N
* /quit         end them all, and this
* //text        say /text
"""


@frozen
class Show:
    """Show a text, lines with their ends."""

    text: str


@frozen
class Send:
    """Send a line to a peer."""

    peer: int
    text: str


@frozen
class Close:
    """End the conversation with a peer."""

    peer: int


@frozen
class Quit:
    """End everything."""


Action: TypeAlias = Show | Send | Close | Quit


def shown(octets: bytes) -> str:
    """What a peer said, on one line, without anything that would drive a terminal; not all of it if it is long."""
    text = octets.decode("utf-8", "backslashreplace")
    rest = f"... ({len(octets)} octets)" if len(text) > LONGEST_SHOWN else ""
    return one_line(text[:LONGEST_SHOWN]) + rest


class Console:
    """Who is there, who spoke last, and what the lines mean that the person types.

    What is not addressed goes to the last who spoke; while a line is being typed, to who that was when it was begun. Once
    that peer has left it goes to nobody, not to another.

    Attributes:
        peers: The names of the peers by their numbers, which are never used again.
    """

    def __init__(self) -> None:
        self.peers: dict[int, str] = {}
        self._count = 0
        self._last: int | None = None
        self._chosen: int | None = None
        self._begun: tuple[int | None] | None = None

    @property
    def addressee(self) -> int | None:
        """Whom a line is for that names nobody."""
        return self._begun[0] if self._begun else self._default

    @property
    def prompt(self) -> str:
        """What stands before the line that is being typed."""
        return "> " if self.addressee is None else f"{self.addressee}> "

    @property
    def _default(self) -> int | None:
        return self._last if self._chosen is None else self._chosen

    # What happens

    def came(self, name: str) -> tuple[int, list[Action]]:
        """A peer has come; its number."""
        self._count += 1
        self.peers[self._count] = one_line(name)
        return self._count, [Show(f"* {self._who(self._count)} has come\n")]

    def said(self, number: int, octets: bytes) -> list[Action]:
        """A peer has said a line."""
        self._last = number
        return [Show(f"[{self._who(number)}] {shown(octets)}\n")]

    def noted(self, number: int, what: str) -> list[Action]:
        """Something else has become of a peer, such as `"has finished"`."""
        return [Show(f"* {self._who(number)} {one_line(what)}\n")]

    def left(self, number: int, why: str = "") -> list[Action]:
        """A peer has left."""
        actions = self.noted(number, f"has left{why and ': '}{why}")
        del self.peers[number]
        if self._last == number:
            self._last = None
        if self._chosen == number:
            self._chosen = None
        if self._begun == (number,):
            self._begun = (None,)
        return actions

    def typing(self, begun: bool) -> None:
        """Whether a line is being typed."""
        if not begun:
            self._begun = None
        elif self._begun is None:
            self._begun = (self._default,)

    # What is typed

    def typed(self, line: str) -> list[Action]:
        """A line was typed."""
        try:
            if not line.startswith("/"):
                return self._say(self.addressee, line)
            if line.startswith("//"):
                return self._say(self.addressee, line[1:])
            return self._command(line)
        finally:
            self._begun = None

    def waits(self, line: str, full: Container[int]) -> bool:
        """Whether a line is for somebody who has not spoken yet, or who takes nothing more at present."""
        if line.startswith("/to "):
            number, text = self._number_and_text(line[4:])
            return text is not None and number in full
        if line.startswith("/") and not line.startswith("//"):
            return False
        return self.addressee is None or self.addressee in full

    def _say(self, number: int | None, text: str) -> list[Action]:
        if number is None:
            return [
                Show("* to whom? nobody has spoken last; /list shows who is there, /to N says it to one\n")
            ]
        return [Send(number, text)]

    def _command(self, line: str) -> list[Action]:
        word, _, rest = line[1:].partition(" ")
        commands: dict[str, Callable[[str], list[Action]]] = {
            "to": self._to,
            "all": self._all,
            "list": self._list,
            "close": self._close,
            "quit": lambda _: [*map(Close, self.peers), Quit()],
            "help": lambda _: [Show(HELP)],
        }
        if word not in commands:
            return [
                Show(
                    f"* there is no /{one_line(word)}; /help shows what there is, //{one_line(word)} says it\n"
                )
            ]
        return commands[word](rest)

    def _to(self, rest: str) -> list[Action]:
        if not rest.strip():
            self._chosen = None
            return []
        number, text = self._number_and_text(rest)
        if number is None:
            return self._nobody(rest)
        if text is not None:
            return [Send(number, text)]
        self._chosen = number
        return []

    def _all(self, text: str) -> list[Action]:
        return [Send(number, text) for number in self.peers] or [Show("* nobody is there\n")]

    def _list(self, _: str) -> list[Action]:
        lines = [f"* {self._who(number)}\n" for number in self.peers]
        return [Show("".join(lines) or "* nobody is there\n")]

    def _close(self, rest: str) -> list[Action]:
        number, text = self._number_and_text(rest)
        return self._nobody(rest) if number is None or text is not None else [Close(number)]

    def _number_and_text(self, rest: str) -> tuple[int | None, str | None]:
        """A number of somebody who is there, and what follows it."""
        word, space, text = rest.partition(" ")
        number = int(word) if word.isascii() and word.isdigit() and len(word) < 10 else None
        return number if number in self.peers else None, text if space and text else None

    def _nobody(self, rest: str) -> list[Action]:
        return [Show(f"* {one_line(rest) or 'that'} is nobody's number; /list shows who is there\n")]

    def _who(self, number: int) -> str:
        name = self.peers[number]
        return str(number) if name in {"", "-"} else f"{number} {name}"
