"""Framers: at every split, with any octets, bounded and linear."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twistnet.errors import LocalProtocolError, RemoteProtocolError
from twistnet.wire.framing import Framer, LengthFramer, LineFramer, NetstringFramer

MOST = 8
MAKERS: dict[str, Callable[[], Framer]] = {
    "lines": lambda: LineFramer(max_length=MOST),
    "strict lines": lambda: LineFramer(max_length=MOST, crlf=False),
    "CRLF": lambda: LineFramer(b"\r\n", MOST),
    "overlapping": lambda: LineFramer(b"abab", MOST, unterminated=True),
    "1 octet": lambda: LengthFramer(1, MOST),
    "2 octets": lambda: LengthFramer(2, MOST),
    "4 octets": lambda: LengthFramer(4, MOST),
    "8 octets": lambda: LengthFramer(8, MOST),
    "netstrings": lambda: NetstringFramer(MOST),
}
EVERY = pytest.mark.parametrize("name", MAKERS)
FRAMES = [b"", b"hello", b"", b"x" * MOST, b"\x00\xff:,", b"12:"]
PIECES = [
    b"\n",
    b"\r",
    b"\r\n",
    b"ab",
    b":",
    b",",
    b"0",
    b"1:a,",
    b"8",
    b"9",
    b"\x00",
    b"\x00\x02",
    b"\xff",
    b"aaaa",
]

Outcome = tuple[list[bytes], tuple[str, int] | None]


def outcome(framer: Framer, pieces: Iterable[bytes]) -> Outcome:
    """The frames of a stream that comes in pieces and ends, and the fault that ended it."""
    frames: list[bytes] = []
    try:
        for piece in pieces:
            for frame in framer.feed(piece):
                frames.append(frame)  # noqa: PERF402 - what is yielded before an error counts
        last = framer.finish()
    except RemoteProtocolError as error:
        return frames, (error.reason, error.offset)
    return [*frames, last] if last is not None else frames, None


def octets(data: bytes) -> list[bytes]:
    """Octet by octet."""
    return [data[at : at + 1] for at in range(len(data))]


@EVERY
def test_frames_come_out_as_they_went_in_at_every_split(name: str) -> None:
    data = b"".join(map(MAKERS[name]().encode, FRAMES))
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            pieces = data[:first], data[first:second], data[second:]
            assert outcome(MAKERS[name](), pieces) == (FRAMES, None)
    assert outcome(MAKERS[name](), octets(data)) == (FRAMES, None)


@given(
    name=st.sampled_from(sorted(MAKERS)),
    pieces=st.lists(st.sampled_from(PIECES) | st.binary(max_size=12), max_size=12),
    cut=st.integers(0, 50),
)
@settings(max_examples=1000)
def test_whatever_the_octets_the_outcome_is_the_same_at_every_split(
    name: str, pieces: list[bytes], cut: int
) -> None:
    """Frames, then at most one `RemoteProtocolError`, with the same reason and offset; nothing else is ever raised."""
    whole = b"".join(pieces)
    at_once = outcome(MAKERS[name](), [whole])
    assert all(len(frame) <= MOST for frame in at_once[0])
    assert outcome(MAKERS[name](), octets(whole)) == at_once
    assert outcome(MAKERS[name](), pieces) == at_once
    assert outcome(MAKERS[name](), [whole[:cut], whole[cut:]]) == at_once


@given(name=st.sampled_from(sorted(MAKERS)), frames=st.lists(st.binary(max_size=MOST + 2)))
@settings(max_examples=300)
def test_what_can_be_encoded_comes_back_and_what_cannot_is_a_local_error(
    name: str, frames: list[bytes]
) -> None:
    framer, sent, data = MAKERS[name](), [], b""
    for frame in frames:
        try:
            data += framer.encode(frame)
        except LocalProtocolError:
            continue
        sent.append(frame)
    assert outcome(framer, [data]) == (sent, None)


FAULTS = [
    ("lines", b"good\n" + b"x" * 9 + b"\n", [b"good"], "a frame of more than 8 octets", 13),
    ("lines", b"good\n" + b"x" * 10, [b"good"], "a frame of more than 8 octets", 13),
    ("lines", b"good\r\nbad", [b"good"], "the stream ends within a line", 9),
    ("overlapping", b"x" * 9, [], "a frame of more than 8 octets", 8),
    ("1 octet", b"\x01a\x09", [b"a"], "a frame of more than 8 octets", 2),
    ("4 octets", b"\x00\x00", [], "the stream ends within a frame", 2),
    ("4 octets", b"\x00\x00\x00\x05abcd", [], "the stream ends within a frame", 8),
    ("8 octets", b"\x00\x01", [], "a frame of more than 8 octets", 0),
    ("netstrings", b"1:a,9", [b"a"], "a frame of more than 8 octets", 4),
    ("netstrings", b"01:a,", [], "no length and colon of a netstring", 1),
    ("netstrings", b":,", [], "no length and colon of a netstring", 0),
    ("netstrings", b"-1:,", [], "no length and colon of a netstring", 0),
    ("netstrings", b"1;a,", [], "no length and colon of a netstring", 1),
    ("netstrings", b"1:ab", [], "no comma after a netstring", 3),
    ("netstrings", b"1:a", [], "the stream ends within a frame", 3),
]


@pytest.mark.parametrize(("name", "data", "frames", "reason", "offset"), FAULTS)
def test_a_fault_says_what_and_where_after_the_frames_before_it(
    name: str, data: bytes, frames: list[bytes], reason: str, offset: int
) -> None:
    for pieces in ([data], octets(data)):
        assert outcome(MAKERS[name](), pieces) == (frames, (reason, offset))


def test_a_length_that_is_too_long_is_refused_at_its_first_octets() -> None:
    """Before the rest of the number, let alone of the frame, has come."""
    for framer, first in (
        (LengthFramer(8), b"\x01"),
        (LengthFramer(4), b"\xff"),
        (NetstringFramer(), b"65537"),
    ):
        with pytest.raises(RemoteProtocolError, match="more than 65536 octets at octet 0"):
            list(framer.feed(first))
    assert list(LengthFramer(4).feed(b"\x00\x01\x00\x00")) == []


def test_a_framer_that_has_raised_raises_the_same_again() -> None:
    framer = NetstringFramer()
    for data in (b"x", b"1:a,", b""):
        with pytest.raises(RemoteProtocolError, match="no length and colon of a netstring at octet 0"):
            list(framer.feed(data))
    with pytest.raises(RemoteProtocolError, match="at octet 0"):
        framer.finish()


def test_who_stops_iterating_gets_no_more_and_nothing_is_lost() -> None:
    """The fault behind the first frame is not looked for before somebody asks."""
    framer = NetstringFramer()
    assert next(framer.feed(b"1:a,1:b,nonsense")) == b"a"
    rest = framer.feed(b"")
    assert next(rest) == b"b"
    with pytest.raises(RemoteProtocolError, match="at octet 8"):
        next(rest)


def test_octets_are_taken_before_their_frames_are_asked_for() -> None:
    framer = LineFramer()
    framer.feed(b"a\nb")
    framer.feed(b"c\nd\n")
    with pytest.raises(LocalProtocolError, match="frames left"):
        framer.finish()
    assert list(framer.feed(b"")) == [b"bc", b"d"]
    assert framer.finish() is None


@pytest.mark.parametrize("make", [LineFramer, LengthFramer, NetstringFramer])
def test_what_follows_the_frames_can_be_had_and_frames_may_follow_that(make: Callable[[], Framer]) -> None:
    framer = make()
    frame = framer.encode(b"a")
    assert next(framer.feed(frame + b"body, and more")) == b"a"
    assert framer.rest() == b"body, and more"
    assert framer.rest() == b""
    assert list(framer.feed(frame[:-1])) == []
    assert framer.rest() == frame[:-1]
    assert list(framer.feed(b"" + frame)) == [b"a"]
    assert framer.finish() is None


def test_lines_may_end_either_way_or_not_at_all() -> None:
    assert outcome(LineFramer(), [b"a\r\nb\n\r\n\rc\r\r\n"])[0] == [b"a", b"b", b"", b"\rc\r"]
    assert outcome(LineFramer(crlf=False), [b"a\r\nb\n"])[0] == [b"a\r", b"b"]
    assert outcome(LineFramer(unterminated=True), [b"a\nb\r"])[0] == [b"a", b"b\r"]
    assert outcome(LineFramer(b"\0"), [b"a\r\n\0"])[0] == [b"a\r\n"]


def test_what_cannot_be_framed_is_an_error_of_ours() -> None:
    for framer, frame in (
        (LineFramer(), b"a\nb"),
        (LineFramer(), b"a\r"),
        (LineFramer(b"aa"), b"a"),
        (LengthFramer(1), b"x" * 256),
        (NetstringFramer(5), b"123456"),
    ):
        with pytest.raises(LocalProtocolError):
            framer.encode(frame)
    assert LineFramer(crlf=False).encode(b"a\r") == b"a\r\n"


def test_settings_that_mean_nothing_are_refused() -> None:
    for make in (
        lambda: LineFramer(b""),
        lambda: LineFramer(max_length=-1),
        lambda: LengthFramer(3),
        lambda: NetstringFramer(-1),
    ):
        with pytest.raises(ValueError, match=r"delimits|below 0|none of 1"):
            make()


def test_no_frame_but_the_empty_one_where_nothing_is_allowed() -> None:
    for framer in (LineFramer(max_length=0), LengthFramer(2, 0), NetstringFramer(0)):
        assert list(framer.feed(framer.encode(b"") * 3)) == [b"", b"", b""]
        with pytest.raises(LocalProtocolError):
            framer.encode(b"x")


LARGE = 4 << 20
LARGE_MAKERS: list[Callable[[], Framer]] = [
    lambda: LineFramer(max_length=LARGE),
    lambda: LineFramer(b"\r\n", LARGE),
    lambda: LengthFramer(8, LARGE),
    lambda: NetstringFramer(LARGE),
]


def seconds(make: Callable[[], Framer], octets: int, piece: int) -> float:
    """How long a frame takes that comes in pieces; the best of three."""
    framer = make()
    data = framer.encode(b"x" * octets)
    pieces = [data[at : at + piece] for at in range(0, len(data), piece)]
    best = float("inf")
    for _ in range(3):
        framer, started = make(), time.process_time()
        assert [len(frame) for piece in pieces for frame in framer.feed(piece)] == [octets]
        best = min(best, time.process_time() - started)
    return best


@pytest.mark.parametrize("make", LARGE_MAKERS)
@pytest.mark.parametrize(("octets", "piece"), [(LARGE, 1400), (64 << 10, 1)])
def test_the_time_for_a_frame_grows_with_its_length_and_no_faster(
    make: Callable[[], Framer], octets: int, piece: int
) -> None:
    """Eight times the octets would take 64 times as long if it were quadratic."""
    assert seconds(make, octets, piece) < 24 * seconds(make, octets // 8, piece) + 0.05


@pytest.mark.parametrize("make", LARGE_MAKERS)
def test_memory_is_one_frame_and_one_read(make: Callable[[], Framer]) -> None:
    """Whatever came before: a thousand frames, and then one that never ends."""
    framer, most = make(), 0
    block = framer.encode(b"y" * 60_000)
    endless = framer.encode(b"x" * LARGE)[: LARGE // 2]
    tracemalloc.start()
    try:
        for _ in range(1000):
            assert sum(1 for _ in framer.feed(block)) == 1
        most = tracemalloc.get_traced_memory()[1]
        assert most < 400_000
        for at in range(0, len(endless), 1400):
            assert list(framer.feed(endless[at : at + 1400])) == []
        assert tracemalloc.get_traced_memory()[1] < len(endless) * 2.5
    finally:
        tracemalloc.stop()


def test_an_endless_line_is_refused_once_it_is_too_long() -> None:
    framer, fed = LineFramer(max_length=1000), 0
    with pytest.raises(RemoteProtocolError, match="at octet 1000"):
        for _ in range(100):
            fed += 100
            list(framer.feed(b"x" * 100))
    assert fed == 1100
