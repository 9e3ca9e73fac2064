"""The protocol of files: the same events at every split, no step that the table does not have, whatever the octets."""

from __future__ import annotations

import hashlib
import json
import time
import tracemalloc
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.errors import LocalProtocolError, RemoteProtocolError
from twistnet.wire.file_messages import (
    EMPTY,
    Content,
    Digest,
    Entries,
    Entry,
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
    encode_message,
)
from twistnet.wire.files import FilesConnection, Role, Turn

C, S = Role.CLIENT, Role.SERVER
ENTRY = Entry(name="ä.txt", size=3, modified=1.5, folder=False)
HASH = hashlib.sha256(b"abcdef").hexdigest()
STORED = Stored(size=6, digest=HASH)
TALKS: dict[str, list[tuple[Role, Event]]] = {
    "put": [
        (C, Put(name="a", size=6)),
        (S, Working()),
        (S, Offer(offset=0, digest=EMPTY)),
        (C, Send(offset=0)),
        (C, Content(b"abc")),
        (C, Content(b"def")),
        (C, Digest(digest=HASH)),
        (S, STORED),
    ],
    "put of what is there": [
        (C, Put(name="a", size=6)),
        (S, Offer(offset=6, digest=HASH)),
        (C, Working()),
        (C, Send(offset=6)),
        (C, Digest(digest=HASH)),
        (S, Working()),
        (S, STORED),
    ],
    "put of nothing": [
        (C, Put(name="a", size=0)),
        (S, Offer(offset=0, digest=EMPTY)),
        (C, Send(offset=0)),
        (C, Digest(digest=EMPTY)),
        (S, Stored(size=0, digest=EMPTY)),
    ],
    "put without agreement": [
        (C, Put(name="a", size=6)),
        (S, Offer(offset=3, digest=EMPTY)),
        (C, Send(offset=0)),
        (C, Content(b"abcdef")),
        (C, Digest(digest=HASH)),
        (S, Problem(code="digest-mismatch", text="no", over=False)),
    ],
    "get": [
        (C, Get(name="a", offset=3, digest=HASH)),
        (S, Sending(size=6, offset=3)),
        (S, Content(b"d")),
        (S, Content(b"ef")),
        (S, Digest(digest=HASH)),
        (C, STORED),
    ],
    "list": [
        (C, List(folder="")),
        (S, Entries(entries=(ENTRY, ENTRY), more=True)),
        (S, Entries(entries=(), more=False)),
    ],
    "stat": [(C, Stat(name="a")), (S, Stated(entry=ENTRY))],
    "remove": [(C, Remove(name="a")), (S, Problem(code="not-found", text="no", over=False))],
    "remove it": [(C, Remove(name="a")), (S, Removed())],
    "too much": [
        (C, Put(name="a", size=6)),
        (S, Offer(offset=0, digest=EMPTY)),
        (C, Send(offset=0)),
        (C, Content(b"abc")),
        (S, Problem(code="no-space", text="full", over=True)),
    ],
}
ALL = [talk for name, talk in TALKS.items() if name != "too much"]
PIECES = [b"\0\0\0\x02{}", b"\0\0\0\x05[[[[[", b"\xff\xff\xff\xff", b"\0\0\0\x00"]


def said(talk: Iterable[tuple[Role, Event]], speaker: Role, splits: list[int] | None = None) -> list[Event]:
    """What the other end hears of one speaker, whose octets between two turns are cut at places."""
    ends = {C: FilesConnection(C), S: FilesConnection(S)}
    heard: list[Event] = []
    waiting = b""

    def deliver() -> None:
        cuts = sorted({min(cut, len(waiting)) for cut in splits or ()} | {0, len(waiting)})
        for first, last in pairwise(cuts):
            heard.extend(ends[speaker.other].feed(waiting[first:last]))

    for who, event in talk:
        if who is not speaker:
            deliver()
            waiting = b""
            list(ends[speaker].feed(ends[who].send(event)))
        else:
            waiting += ends[who].send(event)
    deliver()
    return heard


def joined(events: Iterable[Event]) -> list[Event]:
    """Events with the pieces of contents put together: how they were cut says nothing."""
    together: list[Event] = []
    for event in events:
        if isinstance(event, Content) and together and isinstance(together[-1], Content):
            together[-1] = Content(together[-1].data + event.data)
        else:
            together.append(event)
    return together


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("speaker", [C, S])
def test_what_is_heard_is_what_was_said_at_every_split(name: str, speaker: Role) -> None:
    talk = TALKS[name]
    right = joined(event for who, event in talk if who is speaker)
    longest = 300
    for cut in range(longest):
        assert joined(said(talk, speaker, [cut])) == right
    assert joined(said(talk, speaker, list(range(longest)))) == right


def test_a_conversation_goes_on_after_each_talk() -> None:
    """Several requests in turn, on one connection."""
    talk = [step for one in ALL for step in one]
    for speaker in (C, S):
        assert joined(said(talk, speaker)) == joined(event for who, event in talk if who is speaker)


@given(st.lists(st.sampled_from(ALL), min_size=1, max_size=4), st.lists(st.integers(0, 400), max_size=20))
def test_talks_in_any_order_cut_anywhere(talks: list[list[tuple[Role, Event]]], splits: list[int]) -> None:
    talk = [step for one in talks for step in one]
    for speaker in (C, S):
        assert joined(said(talk, speaker, splits)) == joined(event for who, event in talk if who is speaker)


def at(name: str, steps: int) -> dict[Role, FilesConnection]:
    """Both ends of a talk after some steps of it."""
    ends = {C: FilesConnection(C), S: FilesConnection(S)}
    for who, event in TALKS[name][:steps]:
        list(ends[who.other].feed(ends[who].send(event)))
    return ends


EVENTS = sorted(
    {event for talk in TALKS.values() for _, event in talk if not isinstance(event, Content)}, key=repr
)


def takes(ends: dict[Role, FilesConnection], speaker: Role, event: Event) -> bool:
    """Whether the other end takes what one end says, whether or not that one may."""
    try:
        return list(ends[speaker.other].feed(raw(event))) == [event]
    except RemoteProtocolError:
        return False


@pytest.mark.parametrize("name", TALKS)
@pytest.mark.parametrize("speaker", [C, S])
def test_both_ends_take_the_same_steps(name: str, speaker: Role) -> None:
    """Whatever one end may not say, the other does not take; and what one may, the other does."""
    for steps in range(len(TALKS[name])):
        listener = at(name, steps)[speaker.other]
        if listener.content_left and not listener.is_ours:
            continue  # whatever it says would be octets of the file
        for event in EVENTS:
            ends = at(name, steps)
            try:
                ends[speaker].send(event)
                said_it = True
            except LocalProtocolError:
                said_it = False
            assert takes(ends, speaker, event) is said_it
            if said_it:
                assert ends[C].turn is ends[S].turn


def raw(event: Event) -> bytes:
    """The octets of a message, whether or not its time has come."""
    body = encode_message(event)
    return len(body).to_bytes(4, "big") + body


def test_problems_end_what_they_should() -> None:
    """One that comes while octets are on their way is the end: nobody could tell where messages begin again."""
    ends = at("put", 5)
    with pytest.raises(LocalProtocolError, match="goes on"):
        ends[S].send(Problem(code="no-space", text="", over=False))
    with pytest.raises(LocalProtocolError, match="within a file"):
        ends[C].send(Problem(code="changed", text="", over=True))
    over = ends[S].send(Problem(code="no-space", text="", over=True))
    assert ends[S].turn is Turn.OVER
    assert list(ends[S].feed(b"octets of a file")) == []
    (problem,) = ends[C].feed(over)
    assert (problem, ends[C].turn) == (Problem(code="no-space", text="", over=True), Turn.OVER)


def message(**values: Any) -> bytes:
    """A message as JSON would have it."""
    body = json.dumps(values).encode()
    return len(body).to_bytes(4, "big") + body


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (message(say="put", name="a"), "size is missing"),
        (message(say="put", name="a", size=-1), "number of octets"),
        (message(say="put", name="a", size=True), "number of octets"),
        (message(say="put", name="a", size=2**63), "number of octets"),
        (message(say="put", name="a", size=1.0), "number of octets"),
        (message(say="put", name=None, size=1), "a text"),
        (message(say="put", name="a" * 5000, size=1), "a text"),
        (message(say="get", name="a", offset=0, digest="e3"), "SHA-256"),
        (message(say="fly"), "nothing that is known"),
        (message(say=["put"]), "nothing that is known"),
        (message(say="offer", offset=0, digest=EMPTY), "offer where put or"),
        (message(say="stored", size=0, digest=EMPTY), "stored where put or"),
        (message(say="problem", code="x", text="", over=False), "goes on"),
        (message(say="entries", entries=3, more=False), "not a list"),
        (message(say="entries", entries=[3], more=False), "not an object"),
        (message(say="stated", entry=[]), "not an object"),
        (b"\0\0\0\x02[]", "nothing that is known"),
        (b"\0\0\0\x01\xff", "no message"),
        (b"\0\0\0\x00", "no message"),
        (b"\0\0\xea\x60" + b"[" * 60000, "no message"),
        (b"\0\x01\x00\x01", "65536 octets"),
        (b"\xff", "65536 octets"),
    ],
)
def test_what_is_no_message(octets: bytes, reason: str) -> None:
    connection = FilesConnection(S)
    list(connection.feed(b""))
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match=reason) as raised:
            list(connection.feed(octets))
        assert raised.value.offset == 0


@given(
    st.sampled_from(sorted(TALKS)),
    st.integers(0, 7),
    st.sampled_from([C, S]),
    st.lists(st.sampled_from([*PIECES, *map(raw, EVENTS)]) | st.binary(max_size=20), max_size=8),
)
def test_whatever_comes_it_is_events_or_a_fault(
    name: str, steps: int, role: Role, pieces: list[bytes]
) -> None:
    connection = at(name, min(steps, len(TALKS[name]) - 1))[role]
    try:
        for piece in pieces:
            list(connection.feed(piece))
    except RemoteProtocolError as error:
        assert error.reason


def test_what_comes_after_us_may_say_more() -> None:
    (event,) = FilesConnection(S).feed(message(say="stat", name="a", depth=7))
    assert event == Stat(name="a")


def test_offsets_and_sizes_must_agree() -> None:
    ends = at("put", 2)
    with pytest.raises(LocalProtocolError, match="more is offered"):
        ends[S].send(Offer(offset=7, digest=EMPTY))
    with pytest.raises(LocalProtocolError, match="not offered"):
        at("put", 3)[C].send(Send(offset=1))
    with pytest.raises(LocalProtocolError, match="nor asked for"):
        at("get", 1)[S].send(Sending(size=6, offset=2))
    with pytest.raises(LocalProtocolError, match="nor asked for"):
        at("get", 1)[S].send(Sending(size=2, offset=3))
    with pytest.raises(LocalProtocolError, match="more than the file has"):
        at("put", 4)[C].send(Content(b"abcdefg"))
    with pytest.raises(LocalProtocolError, match="3 octets of the file to come"):
        at("put", 5)[C].send(Digest(digest=HASH))
    with pytest.raises(LocalProtocolError, match="out of turn"):
        at("put", 4)[S].send(Working())
    with pytest.raises(LocalProtocolError, match="within a file"):
        at("put", 4)[C].send(Working())


def test_contents_are_passed_on_as_they_came_and_cost_nothing() -> None:
    """A piece that is all content is the same object, and a file of 256 MiB is taken in a fraction of a second."""
    ends = at("put", 1)
    connection = FilesConnection(S)
    list(connection.feed(raw(Put(name="a", size=2**40))))
    connection.send(Offer(offset=0, digest=EMPTY))
    list(connection.feed(raw(Send(offset=0))))
    piece = bytes(65536)
    tracemalloc.start()
    begun = time.process_time()
    for _ in range(4096):
        (event,) = connection.feed(piece)
        assert isinstance(event, Content)
        assert event.data is piece
    assert time.process_time() - begun < 2
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
    assert ends[S].turn is Turn.OFFERING


def test_messages_are_taken_in_linear_time() -> None:
    """However many come at once, or octet by octet."""
    connection = FilesConnection(C)
    connection.send(List(folder=""))
    more = raw(Entries(entries=(ENTRY,) * 100, more=True))
    begun = time.process_time()
    assert len(list(connection.feed(more * 100))) == 100
    for at_ in range(len(more)):
        list(connection.feed(more[at_ : at_ + 1]))
    assert time.process_time() - begun < 2
    assert connection.turn is Turn.LISTING
