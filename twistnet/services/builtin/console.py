"""The console service: a person answers."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.interfaces import IProtocolFactory, IReactorTime
from twisted.internet.protocol import DatagramProtocol

from ...config import TIMEOUT, setting
from ...errors import ConfigurationError
from ...protocols.console import (
    ANSWER_TIME,
    FORGET_AFTER,
    UNFINISHED_AFTER,
    ConsoleDatagramProtocol,
    ConsoleFactory,
)
from ...protocols.switchboard import Switchboard
from ..definition import ServiceDefinition

__all__ = ["CONSOLE", "ConsoleOptions", "ConsoleService"]

_taken: list[Any] = []
"""Whose standard input and output are: there is one of them in a process, and one console."""


@frozen(kw_only=True, slots=False)
class ConsoleOptions:
    """Options of the console service."""

    unfinished_after: float = setting(
        UNFINISHED_AFTER,
        TIMEOUT,
        "how long the beginning of a line waits for its end before it is shown as it is",
    )
    answer_time: float = setting(
        ANSWER_TIME, TIMEOUT, "how long a peer that has finished sending is kept for an answer"
    )
    forget_after: float = setting(
        FORGET_AFTER, TIMEOUT, "over datagrams: after how much silence a peer is forgotten"
    )


class ConsoleService(Service):
    """Has a person at standard input and output for as long as it runs.

    Args:
        reactor: Reads standard input; it is stopped when the person quits.

    Attributes:
        switchboard: Where the peers are.
    """

    def __init__(self, reactor: Any) -> None:
        self.switchboard = Switchboard(self._quit)
        self._reactor = reactor
        self._person: Any = None

    def startService(self) -> None:
        """Begin to listen to the person.

        Raises:
            ConfigurationError: Another console does so in this process.
        """
        from ...terminal.script import Script
        from ...terminal.standard_input import at_terminal
        from ...terminal.typist import TerminalPerson

        if _taken:
            raise ConfigurationError("there can be one console in a process: it has one standard input")
        super().startService()
        _taken.append(self)
        self._person = TerminalPerson(self._reactor) if at_terminal() else Script(self._reactor)
        self._person.start(self.switchboard)
        self.switchboard.attend(self._person)

    def stopService(self) -> None:
        """Tell the peers that it is over, and leave the terminal as it was."""
        super().stopService()
        _taken.remove(self)
        self.switchboard.close_all()
        self._person.stop()

    def _quit(self) -> None:
        if self.running:
            self._reactor.stop()


def _stream(options: ConsoleOptions, clock: IReactorTime, service: ConsoleService) -> IProtocolFactory:
    return ConsoleFactory(
        service.switchboard,
        clock,
        unfinished_after=options.unfinished_after,
        answer_time=options.answer_time,
    )


def _datagram(options: ConsoleOptions, clock: IReactorTime, service: ConsoleService) -> DatagramProtocol:
    return ConsoleDatagramProtocol(service.switchboard, clock, forget_after=options.forget_after)


CONSOLE = ServiceDefinition(
    name="console",
    description="A person at this terminal answers, over streams and datagrams.",
    listen=("tcp:7012",),
    options=ConsoleOptions,
    stream=_stream,
    datagram=_datagram,
    companion=lambda options, reactor: ConsoleService(reactor),
)
