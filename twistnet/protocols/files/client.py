"""The client's end: put, get, list, stat and remove, in the words of Python.

The rule of this module: an interruption is no failure as long as something moves. Both ends keep what has come, and after
the next connection go on where they were, once they agree on the digest of it.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias, TypeVar

from twisted.internet import defer, error
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...errors import FilesError, LocalProtocolError, RemoteProtocolError
from ...wire.file_messages import (
    Digest,
    Entries,
    Entry,
    Get,
    List,
    Offer,
    Problem,
    Put,
    Remove,
    Removed,
    Send,
    Sending,
    Stat,
    Stated,
    Stored,
)
from ...wire.files import Role
from .conversation import Conversation
from .folder import local_problems
from .partial import Source
from .target import FileTarget, Target

__all__ = ["FilesClient", "Progress"]

Progress: TypeAlias = Callable[[int, int], object]
"""Is told how many octets of a file are there, and how many it has."""

T = TypeVar("T")
E = TypeVar("E")

_log = Logger("twistnet")
_TRANSIENT = (
    error.ConnectionClosed,
    error.ConnectError,
    error.ConnectingCancelledError,
    error.DNSLookupError,
    error.TimeoutError,
    OSError,
    defer.TimeoutError,
)
_DELAY, _LONGEST_DELAY = 0.1, 5.0


class _Conversation(Conversation):
    """One connection of a client. A server that says nothing for too long is given up."""

    def __init__(self, reactor: Any, timeout: float) -> None:
        super().__init__(Role.CLIENT, reactor)
        self.lost: Deferred[None] = Deferred()
        self._timeout = timeout
        self._timer: Any = None

    def connectionMade(self) -> None:
        self._look_again(self._timeout)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._timer.cancel()
        super().connectionLost(reason)
        self.lost.callback(None)

    def _look_again(self, seconds: float) -> None:
        self._timer = self.clock.callLater(seconds, self._look)

    def _look(self) -> None:
        self._look_again(max(self._timeout - self.silent_for, 0.001))
        if self.silent_for >= self._timeout:
            self.end(error.TimeoutError(string=f"nothing for {self._timeout:g} s"))
            self.transport.abortConnection()

    async def expect(self, kind: type[E]) -> E:
        """The next message, which is of this kind.

        Raises:
            FilesError: The server says why not.
        """
        event = await self.hear()
        if isinstance(event, Problem):
            if event.over:
                self.transport.loseConnection()
            raise FilesError(event.code, event.text)
        assert isinstance(event, kind)  # the table has it so
        return event

    def give_up(self, problem: FilesError) -> None:
        """Tell the server that we cannot, or hang up where that cannot be said."""
        try:
            self.say(Problem(code=problem.code, text=problem.text[:1000], over=False))
        except LocalProtocolError:
            self.transport.abortConnection()

    async def put(self, source: Source, name: str, report: Progress) -> Stored:
        """Send a file."""
        self.say(Put(name=name, size=source.size))
        offer = await self.expect(Offer)
        offset = await self.on_disk(source.agree, offer.offset, offer.digest)
        self.say(Send(offset=offset))
        report(offset, source.size)
        await self.pour(source, lambda octets: report(octets, source.size))
        if not self.is_over:
            self.say(Digest(digest=source.digest()))
        stored = await self.expect(Stored)
        if stored.digest != source.digest():
            raise FilesError("digest-mismatch", f"{name}: the server has stored something else")
        return stored

    async def get(self, name: str, target: Target, report: Progress) -> Stored:
        """Fetch a file."""
        offset, digest = await self.on_disk(target.begin)
        self.say(Get(name=name, offset=offset, digest=digest))
        sending = await self.expect(Sending)
        if sending.offset != offset:
            await self.on_disk(target.restart)
        there = sending.offset
        report(there, sending.size)

        def more(octets: int) -> None:
            nonlocal there
            there += octets
            report(there, sending.size)

        await self.receive(target, more)
        said = await self.expect(Digest)
        await self.on_disk(target.finish, sending.size, said.digest)
        stored = Stored(size=sending.size, digest=said.digest)
        self.say(stored)
        return stored


class FilesClient:
    """A client of the files service. It connects when it is first asked for something; one request goes after the other.

    Args:
        reactor: The reactor.
        endpoint: Where the service is (`IStreamClientEndpoint`).
        timeout: Seconds for which the server may be silent.
        attempts: How often a transfer is tried, without a single octet that moves, before its failure is one.
    """

    def __init__(self, reactor: Any, endpoint: Any, *, timeout: float = 60.0, attempts: int = 6) -> None:
        self._reactor = reactor
        self._endpoint = endpoint
        self._timeout = timeout
        self._attempts = attempts
        self._connection: _Conversation | None = None
        self._connected_once = False
        self._turn = DeferredLock()

    async def put(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        name: str | None = None,
        *,
        progress: Progress | None = None,
    ) -> Stored:
        """Send a file; returns once it is on the server's disk under its name.

        Args:
            source: A path, or a regular file that is open; it must not change meanwhile.
            name: What it is called there; that of the path unless it is given.
            progress: Is told how it goes.

        Raises:
            FilesError: The server would not have it, or it cannot be read.
            RemoteProtocolError: The server does not speak the protocol.
            Exception: There is no connection, again and again: as the endpoint says, or how the last one was lost.
        """
        opened = await self._blocking(_open_source, source)
        try:
            called = name if name is not None else Path(os.fspath(source)).name  # type: ignore[arg-type]
            report = progress or _tell_nobody
            return await self._repeated(lambda talk: talk.put(opened, called, report))
        finally:
            opened.close()

    async def get(
        self,
        name: str,
        target: str | os.PathLike[str] | Target | None = None,
        *,
        progress: Progress | None = None,
    ) -> Stored:
        """Fetch a file; returns once it is on disk under its name. Raises as `put` does.

        Args:
            name: What it is called at the server.
            target: Where it goes: a path, or something else that takes octets; the last part of its name unless given.
            progress: Is told how it goes.
        """
        where = await self._blocking(_open_target, name if target is None else target, target is None)
        try:
            return await self._repeated(lambda talk: talk.get(name, where, progress or _tell_nobody))
        finally:
            where.close()

    async def list(self, folder: str = "") -> list[Entry]:
        """What is in a folder, in order of names. Raises as `put` does."""
        return await self._repeated(lambda talk: _list(talk, folder))

    async def stat(self, name: str) -> Entry:
        """What is known of a file or a folder. Raises as `put` does."""
        return await self._repeated(lambda talk: _stat(talk, name))

    async def remove(self, name: str) -> None:
        """Remove a file, or a folder that is empty. Raises as `put` does, and asks once only."""
        await self._repeated(lambda talk: _remove(talk, name), attempts=1)

    async def close(self) -> None:
        """Close the connection, if there is one; returns when it is closed."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.gone:
            connection.transport.loseConnection()
            await connection.lost

    async def _repeated(
        self, attempt: Callable[[_Conversation], Coroutine[Any, Any, T]], attempts: int | None = None
    ) -> T:
        await self._turn.acquire()
        try:
            failures = 0
            while True:
                moved, problem = 0, None
                try:
                    talk = await self._connected()
                    moved = talk.moved
                    return await self._attempt(talk, attempt)
                except (*_TRANSIENT, FilesError) as failed:
                    problem = failed
                failures = (
                    1 if self._connection is not None and self._connection.moved > moved else failures + 1
                )
                if not self._may_repeat(problem) or failures >= (attempts or self._attempts):
                    raise problem
                _log.debug("trying again: {problem}", problem=problem)
                await deferLater(
                    self._reactor, min(_DELAY * 2 ** (failures - 1), _LONGEST_DELAY), lambda: None
                )
        finally:
            self._turn.release()

    def _may_repeat(self, problem: Exception) -> bool:
        """Whether it may be better the next time: a first connection that does not come about is news at once."""
        return self._connected_once and (not isinstance(problem, FilesError) or problem.code == "busy")

    async def _attempt(self, talk: _Conversation, attempt: Callable[[_Conversation], Awaitable[T]]) -> T:
        try:
            return await attempt(talk)
        except FilesError as problem:
            if not talk.is_idle:
                talk.give_up(problem)
            raise
        except RemoteProtocolError:
            talk.transport.abortConnection()
            raise

    async def _connected(self) -> _Conversation:
        if self._connection is None or not self._connection.is_idle:
            await self.close()
            connecting = self._endpoint.connect(
                Factory.forProtocol(lambda: _Conversation(self._reactor, self._timeout))
            )
            self._connection = await connecting.addTimeout(self._timeout, self._reactor)
            self._connected_once = True
        assert self._connection is not None
        return self._connection

    async def _blocking(self, work: Callable[..., T], *args: Any) -> T:
        return await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), work, *args)


def _tell_nobody(there: int, size: int) -> None:
    """Nobody wants to know."""


def _open_source(source: str | os.PathLike[str] | BinaryIO) -> Source:
    shown = source if isinstance(source, str) else getattr(source, "name", source)
    with local_problems(str(shown)):
        if isinstance(source, str | os.PathLike):
            return Source.of_path(source)
        return Source(os.dup(source.fileno()))


def _open_target(target: str | os.PathLike[str] | Target, is_name: bool) -> Target:
    if isinstance(target, str | os.PathLike):
        return FileTarget(Path(target).name if is_name else target)
    return target


async def _list(talk: _Conversation, folder: str) -> list[Entry]:
    talk.say(List(folder=folder))
    found: list[Entry] = []
    while True:
        some = await talk.expect(Entries)
        found += some.entries
        if not some.more:
            return found


async def _stat(talk: _Conversation, name: str) -> Entry:
    talk.say(Stat(name=name))
    return (await talk.expect(Stated)).entry


async def _remove(talk: _Conversation, name: str) -> None:
    talk.say(Remove(name=name))
    await talk.expect(Removed)
