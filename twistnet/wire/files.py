"""The protocol of the files service: control messages in JSON, each with its length before it, and contents as they are.

The rule of this module: both ends walk through one table (`_TABLE`), which says whose turn it is and what may be said then.
What comes and does not fit is a `RemoteProtocolError`, what we would say and does not fit a `LocalProtocolError`.

An upload: the client says `Put`, the server `Offer`s to go on after what it has, the client agrees with `Send` (or sends
everything after all) and sends the contents and their `Digest`; the server says `Stored` when the file is on disk. A
download: `Get` says what the client has, `Sending` where the server goes on; contents and `Digest` follow, and the client says
`Stored`. Who takes its time over a message says `Working` meanwhile.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from ..errors import LocalProtocolError, RemoteProtocolError
from .file_messages import (
    Content,
    Digest,
    Entries,
    Event,
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
    Working,
    decode_message,
    encode_message,
)
from .framing import LengthFramer

__all__ = ["FilesConnection", "Role", "Turn"]

LONGEST_MESSAGE = 65536


class Role(enum.Enum):
    """Which end of a conversation."""

    CLIENT = enum.auto()
    SERVER = enum.auto()

    @property
    def other(self) -> Role:
        """The other end."""
        return Role.SERVER if self is Role.CLIENT else Role.CLIENT


class Turn(enum.Enum):
    """What a conversation is at."""

    IDLE = enum.auto()
    OFFERING = enum.auto()
    AGREEING = enum.auto()
    UPLOADING = enum.auto()
    STORING = enum.auto()
    FINDING = enum.auto()
    DOWNLOADING = enum.auto()
    CONFIRMING = enum.auto()
    LISTING = enum.auto()
    STATING = enum.auto()
    REMOVING = enum.auto()
    OVER = enum.auto()


_CLIENT, _SERVER = Role.CLIENT, Role.SERVER
_TABLE: dict[Turn, tuple[Role, dict[type, Turn]]] = {
    Turn.IDLE: (
        _CLIENT,
        {
            Put: Turn.OFFERING,
            Get: Turn.FINDING,
            List: Turn.LISTING,
            Stat: Turn.STATING,
            Remove: Turn.REMOVING,
        },
    ),
    Turn.OFFERING: (_SERVER, {Offer: Turn.AGREEING}),
    Turn.AGREEING: (_CLIENT, {Send: Turn.UPLOADING}),
    Turn.UPLOADING: (_CLIENT, {Content: Turn.UPLOADING, Digest: Turn.STORING}),
    Turn.STORING: (_SERVER, {Stored: Turn.IDLE}),
    Turn.FINDING: (_SERVER, {Sending: Turn.DOWNLOADING}),
    Turn.DOWNLOADING: (_SERVER, {Content: Turn.DOWNLOADING, Digest: Turn.CONFIRMING}),
    Turn.CONFIRMING: (_CLIENT, {Stored: Turn.IDLE}),
    Turn.LISTING: (_SERVER, {Entries: Turn.IDLE}),
    Turn.STATING: (_SERVER, {Stated: Turn.IDLE}),
    Turn.REMOVING: (_SERVER, {Removed: Turn.IDLE}),
    Turn.OVER: (_CLIENT, {}),
}
"""Whose turn it is, and what what is said then leads to; `Working` and `Problem` are no part of it."""

_UNINTERRUPTED = {Turn.UPLOADING, Turn.DOWNLOADING}
"""Turns in which octets of a file may be on their way, so that a problem ends the conversation."""


class FilesConnection:
    """One end of a conversation about files, over one connection.

    Args:
        role: Which end this is.

    Attributes:
        turn: What the conversation is at.
        content_left: Octets of the file on its way that are still to come, or to be sent.
    """

    def __init__(self, role: Role) -> None:
        self.role = role
        self.turn = Turn.IDLE
        self.content_left = 0
        self._size = 0
        self._offered = 0
        self._framer = LengthFramer(4, LONGEST_MESSAGE)
        self._taken = 0
        self._fault: tuple[str, int] | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is said."""
        return self.turn is Turn.OVER

    @property
    def is_ours(self) -> bool:
        """Whether it is this end that speaks next."""
        return _TABLE[self.turn][0] is self.role and self.turn is not Turn.OVER

    def send(self, event: Event) -> bytes:
        """Say something; the octets that say it, which are those of a `Content` itself.

        Raises:
            LocalProtocolError: It is not the time for it.
        """
        try:
            self._step(self.role, event)
        except ValueError as error:
            raise LocalProtocolError(str(error)) from None
        return event.data if isinstance(event, Content) else self._framer.encode(encode_message(event))

    def feed(self, data: bytes) -> Iterator[Event]:
        """What the other end says; contents come in the pieces that they are fed in.

        After the conversation is over, what comes is forgotten; so is what a caller leaves in the iterator.

        Raises:
            RemoteProtocolError: From the iterator, after the events before the fault; and again for whatever is fed then.
        """
        while data:
            if self._is_content_due:
                piece, data = data[: self.content_left], data[self.content_left :]
                yield self._come(Content(piece), len(piece))
                continue
            yield from self._messages(data)
            data = self._rest()

    def _messages(self, data: bytes) -> Iterator[Event]:
        """Messages, until something else comes."""
        for frame in self._frames(data):
            yield self._come(self._parsed(frame), self._framer.width + len(frame))
            if self._is_content_due or self.is_over:
                return

    @property
    def _is_content_due(self) -> bool:
        return self.content_left > 0 and self.turn in _UNINTERRUPTED and not self.is_ours

    def _rest(self) -> bytes:
        return self._framer.rest() if self._is_content_due else b""

    def _frames(self, data: bytes) -> Iterator[bytes]:
        if self._fault is not None:
            raise RemoteProtocolError(*self._fault)
        if self.is_over:
            return
        try:
            yield from self._framer.feed(data)
        except RemoteProtocolError as error:
            raise self._failed(error.reason) from None

    def _parsed(self, frame: bytes) -> Event:
        try:
            return decode_message(frame)
        except (ValueError, TypeError, RecursionError) as error:
            raise self._failed(f"no message: {error}") from None

    def _come(self, event: Event, octets: int) -> Event:
        try:
            self._step(self.role.other, event)
        except ValueError as error:
            raise self._failed(str(error)) from None
        self._taken += octets
        return event

    def _failed(self, reason: str) -> RemoteProtocolError:
        self._fault = reason, self._taken
        return RemoteProtocolError(*self._fault)

    def _step(self, speaker: Role, event: Event) -> None:
        """Walk one step; raises `ValueError` where there is none."""
        whose, steps = _TABLE[self.turn]
        name = type(event).__name__.lower()
        if isinstance(event, Problem):
            self._stop(speaker, event)
        elif whose is not speaker or self.turn is Turn.OVER:
            raise ValueError(f"{name} out of turn: {self.turn.name.lower()}")
        elif isinstance(event, Working):
            if self.turn in _UNINTERRUPTED:
                raise ValueError("working, within a file")
        elif type(event) not in steps:
            raise ValueError(f"{name} where {' or '.join(kind.__name__.lower() for kind in steps)} was due")
        else:
            self._note(event)
            self.turn = Turn.LISTING if isinstance(event, Entries) and event.more else steps[type(event)]

    def _stop(self, speaker: Role, problem: Problem) -> None:
        within = self.turn in _UNINTERRUPTED
        ours = _TABLE[self.turn][0] is speaker
        if ours and self.content_left:
            raise ValueError("problem within a file")
        if not problem.over and (within or not ours or self.turn is Turn.IDLE):
            raise ValueError("problem out of turn, and the conversation goes on")
        self.content_left = 0
        self.turn = Turn.OVER if problem.over else Turn.IDLE

    def _note(self, event: Event) -> None:
        """Count the octets of files, and hold messages against what was said before."""
        if isinstance(event, Put):
            self._size = event.size
        elif isinstance(event, Get):
            self._offered = event.offset
        elif isinstance(event, Offer):
            if event.offset > self._size:
                raise ValueError("more is offered than the file has")
            self._offered = event.offset
        elif isinstance(event, Send):
            self._begin(event.offset, self._size)
        elif isinstance(event, Sending):
            self._begin(event.offset, event.size)
        elif isinstance(event, Content | Digest):
            self._count(event)

    def _begin(self, offset: int, size: int) -> None:
        if offset not in {0, self._offered} or offset > size:
            raise ValueError("an offset that was not offered, nor asked for")
        self.content_left = size - offset

    def _count(self, event: Content | Digest) -> None:
        octets = len(event.data) if isinstance(event, Content) else 0
        if octets > self.content_left:
            raise ValueError("more than the file has")
        if isinstance(event, Digest) and self.content_left:
            raise ValueError(f"a digest with {self.content_left} octets of the file to come")
        self.content_left -= octets
