"""Clients that keep a service busy while something is done to it.

The rule of this module: every answer is checked, and none may be missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Condition

from attrs import define, field

from tests.running import PATIENCE, ask, connect


@define(eq=False)
class Load:
    """Clients that connect, ask three times, and come again, until they are told to stop."""

    address: str
    conversations: int = 0
    lost: list[str] = field(factory=list)
    over: bool = False
    _news: Condition = field(factory=Condition)

    def run(self) -> None:
        """One client."""
        for _ in range(5_000):
            if self.over:
                return
            try:
                self._converse()
            except OSError as error:
                self._note(repr(error))
            else:
                self._note()

    def _converse(self) -> None:
        with connect(self.address) as client:
            for question in (b"ONE", b"TWO", b"THREE" * 2000):
                if (answer := ask(client, question)) != question:
                    raise OSError(f"{len(answer)} octets for {len(question)}")

    def _note(self, *problem: str) -> None:
        with self._news:
            self.conversations += 1
            self.lost += problem
            self._news.notify_all()

    def goes_on(self, conversations: int = 100) -> None:
        """Wait until there were so many more."""
        with self._news:
            enough = self.conversations + conversations
            assert self._news.wait_for(lambda: self.conversations >= enough, PATIENCE)


@contextmanager
def under_load(address: str) -> Iterator[Load]:
    """Eight clients at a time; all have finished when this is over."""
    load = Load(address)
    with ThreadPoolExecutor(8) as threads:
        clients = [threads.submit(load.run) for _ in range(8)]
        try:
            load.goes_on()
            yield load
        finally:
            load.over = True
            for client in clients:
                client.result(PATIENCE)
