"""Where a person and the peers that it talks with come together.

The rule of this module: what is held for a peer is bounded, and a line that a script says is never lost for that: it waits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..wire.console import Action, Close, Console, Quit, Send, Show

__all__ = ["Correspondent", "Operator", "Switchboard"]


class Correspondent(Protocol):
    """A peer, as the switchboard knows it."""

    def say(self, text: str) -> str:
        """Send it a line; why not, if it could not be sent."""

    def close(self) -> object:
        """End the conversation, once all that was said is sent."""

    @property
    def is_full(self) -> bool:
        """Whether it takes nothing more at present."""

    def hold(self, held: bool) -> None:
        """Whether it is not to be heard at present."""


class Operator(Protocol):
    """The person, as the switchboard knows it: a `twistnet.terminal.person.Person`."""

    @property
    def is_interactive(self) -> bool:
        """Whether it is one, and not a script."""

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be shown at present."""

    def show(self, text: str) -> None:
        """Show lines."""

    def prompt(self, text: str) -> None:
        """What stands before the line that is being typed."""

    def pause(self) -> None:
        """Say nothing until `resume`."""

    def resume(self) -> None:
        """Go on."""


class Switchboard:
    """Shows a person what the peers say, and has the peers told what the person says.

    Args:
        quit: Called when the person wants everything to end; the peers have been told to close then.
    """

    def __init__(self, quit: Callable[[], object]) -> None:  # noqa: A002 - it is the word that is typed
        self._console = Console()
        self._peers: dict[int, Correspondent] = {}
        self._operator: Operator | None = None
        self._quit = quit
        self._held: str | None = None
        self._unheard: set[int] = set()

    def attend(self, operator: Operator | None) -> None:
        """The person is there, or is gone."""
        self._operator = operator
        self._held = None
        self._after()

    def close_all(self) -> None:
        """End all conversations."""
        for peer in list(self._peers.values()):
            peer.close()

    # What the peers do

    def came(self, peer: Correspondent, name: str) -> int:
        """A peer has come; its number."""
        number, actions = self._console.came(name)
        self._peers[number] = peer
        self._do(actions)
        return number

    def said(self, number: int, octets: bytes) -> None:
        """A peer has said a line."""
        self._do(self._console.said(number, octets))
        if self._operator is not None and self._operator.is_full and number in self._peers:
            self._unheard.add(number)
            self._peers[number].hold(True)

    def noted(self, number: int, what: str) -> None:
        """Something else has become of a peer."""
        self._do(self._console.noted(number, what))

    def left(self, number: int, why: str = "") -> None:
        """A peer has left."""
        del self._peers[number]
        self._unheard.discard(number)
        self._do(self._console.left(number, why))

    def reads_again(self) -> None:
        """A peer that was full is not so any more."""
        self._after()

    # What the person does

    def typed(self, line: str) -> None:
        """The person has typed a line."""
        operator = self._operator
        if operator is not None and not operator.is_interactive and self._waits(line):
            self._held = line
            operator.pause()
        else:
            self._do(self._console.typed(line))

    def typing(self, begun: bool) -> None:
        """Whether the person is typing one."""
        self._console.typing(begun)
        self._after()

    def input_ended(self) -> None:
        """A script has no more to say: the peers are still heard. A person at a terminal wants to go."""
        if self._operator is not None and self._operator.is_interactive:
            self._do(self._console.typed("/quit"))

    def caught_up(self) -> None:
        """All that was shown has been taken: who was not heard for that is heard again."""
        unheard, self._unheard = sorted(self._unheard), set()
        for number in unheard:
            if number in self._peers:
                self._peers[number].hold(False)

    def _waits(self, line: str) -> bool:
        return self._console.waits(line, {number for number, peer in self._peers.items() if peer.is_full})

    def _do(self, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case Show(text):
                    self._show(text)
                case Send(number, text):
                    self._send(number, text)
                case Close(number) if number in self._peers:
                    self._peers[number].close()
                case Quit():
                    self._quit()
        self._after()

    def _send(self, number: int, text: str) -> None:
        if number in self._peers and (problem := self._peers[number].say(text)):
            self._do(self._console.noted(number, f"was not told that: {problem}"))

    def _show(self, text: str) -> None:
        if self._operator is not None:
            self._operator.show(text)

    def _after(self) -> None:
        """The prompt may be another now, and a line that waited need not wait any more."""
        operator = self._operator
        if operator is None:
            return
        operator.prompt(self._console.prompt)
        if self._held is not None and not self._waits(self._held):
            line, self._held = self._held, None
            self._do(self._console.typed(line))
            operator.resume()
