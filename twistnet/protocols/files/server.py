"""The server's end: what may be done with a folder, over one connection.

The rule of this module: one request after the other, each to its end; whatever is wrong with one is said, and "stored" is
said of nothing that is not on disk under its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ...addresses import show_address
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
from ..farewell import Farewell
from .conversation import Conversation
from .store import FileStore, Upload

__all__ = ["SILENCE", "FilesFactory", "FilesProtocol"]

SILENCE = 10.0
"""Seconds after which somebody who sends nothing gives way to another who would send the same file."""

_log = Logger("twistnet")


@implementer(IHalfCloseableProtocol)
class FilesProtocol(Conversation):
    """Answers one connection.

    Args:
        factory: What it has in common with others: the folder, and what is on its way.
    """

    def __init__(self, factory: FilesFactory, reactor: Any) -> None:
        super().__init__(Role.SERVER, reactor)
        self._uploads = factory.uploads
        self.upload_over: Deferred[None] = Deferred()
        self._store = factory.store

    def connectionMade(self) -> None:
        self._farewell = Farewell(self.transport, self.clock)
        serving = Deferred.fromCoroutine(self._serve())
        serving.addErrback(self._failed)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._farewell.lost()
        super().connectionLost(reason)

    def readConnectionLost(self) -> None:
        """The peer says no more: what it has asked for is answered, and then the connection is closed."""
        self.end(ConnectionDone())

    def writeConnectionLost(self) -> None:
        self._farewell.sent()

    async def _serve(self) -> None:
        try:
            while True:
                await self._answer(await self.hear())
        except RemoteProtocolError as error:
            self._refuse(error)
        except Exception as error:
            if error is not self._ended:
                raise
            self.transport.loseConnection()

    async def _answer(self, request: Any) -> None:
        """Do what one request asks for."""
        answers: dict[type, Any] = {
            Put: self._put,
            Get: self._get,
            List: self._list,
            Stat: self._stat,
            Remove: self._remove,
        }
        try:
            await answers[type(request)](request)
        except FilesError as error:
            _log.info("{peer}: {error}", peer=self._peer, error=error)
            self._tell(error)

    def _tell(self, error: FilesError) -> None:
        """Say what is wrong; while octets of a file are on their way, that is the last word."""
        try:
            self.say(Problem(code=error.code, text=error.text[:1000], over=False))
        except LocalProtocolError:
            self._say_last(error.code, error.text)

    def _refuse(self, error: RemoteProtocolError) -> None:
        _log.info("closing {peer}: {error}", peer=self._peer, error=error)
        self._say_last("protocol", str(error))

    def _say_last(self, code: str, text: str) -> None:
        """Say what is wrong and that it is the end; within a file that cannot be said."""
        try:
            self.say(Problem(code=code, text=text[:1000], over=True))
        except LocalProtocolError:
            self.transport.abortConnection()
        else:
            self._farewell.begin()

    def _failed(self, failure: Failure) -> None:
        _log.failure("answering {peer} failed", failure=failure, peer=self._peer)
        self.transport.abortConnection()

    @property
    def _peer(self) -> str:
        return show_address(self.transport.getPeer())

    # What can be asked for

    async def _put(self, put: Put) -> None:
        upload = await self._begin(put)
        self._uploads[put.name] = self
        self.upload_over = Deferred()
        try:
            self.say(Offer(offset=upload.offset, digest=upload.digest))
            agreed = await self.hear()
            if not isinstance(agreed, Send):
                return  # the client would not
            await self.on_disk(upload.agreed, agreed.offset)
            await self.receive(upload)
            said = await self.hear()
            if not isinstance(said, Digest):
                return
            await self.on_disk(upload.finish, said.digest)
            _log.info(
                "stored {name!r}, {size} octets, from {peer}", name=put.name, size=put.size, peer=self._peer
            )
            if not self.gone:
                self.say(Stored(size=put.size, digest=said.digest))
        finally:
            self._end_upload(put.name, upload)

    async def _begin(self, put: Put) -> Upload:
        """Begin an upload, in the place of another that nothing comes of any more."""
        try:
            return await self.on_disk(self._store.put, put.name, put.size)
        except FilesError as error:
            other = self._uploads.get(put.name)
            if error.code != "busy" or other is None or not other.is_silent:
                raise
        other.transport.abortConnection()
        await _also(other.upload_over)
        return await self.on_disk(self._store.put, put.name, put.size)

    @property
    def is_silent(self) -> bool:
        """Whether the peer has kept us waiting for long."""
        return self.silent_for >= SILENCE

    def _end_upload(self, name: str, upload: Upload) -> None:
        upload.close()
        if self._uploads.get(name) is self:
            del self._uploads[name]
        self.upload_over.callback(None)

    async def _get(self, get: Get) -> None:
        source = await self.on_disk(self._store.get, get.name)
        try:
            offset = await self.on_disk(source.agree, get.offset, get.digest)
            self.say(Sending(size=source.size, offset=offset))
            await self.pour(source)
            self.say(Digest(digest=source.digest()))
        finally:
            source.close()
        said = await self.hear()
        if isinstance(said, Stored):
            _log.info(
                "sent {name!r}, {size} octets, to {peer}, where it is stored",
                name=get.name, size=source.size, peer=self._peer,
            )  # fmt: skip

    async def _list(self, request: List) -> None:
        batches = self._store.list(request.folder)
        entries = await self.on_disk(_next_of, batches)
        while entries is not None:
            following = await self.on_disk(_next_of, batches)
            self.say(Entries(entries=entries, more=following is not None))
            entries = following

    async def _stat(self, request: Stat) -> None:
        self.say(Stated(entry=await self.on_disk(self._store.stat, request.name)))

    async def _remove(self, request: Remove) -> None:
        await self.on_disk(self._store.remove, request.name)
        self.say(Removed())


def _also(deferred: Deferred[None]) -> Deferred[None]:
    """Fires when another does, which others wait for too."""
    also: Deferred[None] = Deferred()
    deferred.addCallback(also.callback)
    return also


def _next_of(batches: Iterator[tuple[Entry, ...]]) -> tuple[Entry, ...] | None:
    return next(batches, None)


class FilesFactory(Factory):
    """Builds `FilesProtocol`.

    Args:
        store: The folder, and what may be done with it.
        reactor: Tells the time, and has the threads that wait for the disk.

    Attributes:
        uploads: Who sends which file.
    """

    noisy = False

    def __init__(self, store: FileStore, reactor: Any) -> None:
        self.store = store
        self.uploads: dict[str, FilesProtocol] = {}
        self._reactor = reactor

    def buildProtocol(self, addr: Any) -> Protocol:
        protocol = FilesProtocol(self, self._reactor)
        protocol.factory = self
        return protocol
