"""What a trace keeps, drops, shows and saves."""

from __future__ import annotations

import functools
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.simulation import PSH, Endpoint, Fate, Kind, Network, Note, Packet, Trace, Transport
from twistnet.simulation.trace import Record

CLIENT = Endpoint("client", "10.0.0.1", 49152)
SERVER = Endpoint("server", "10.0.0.2", 7007)


def segment(payload: bytes = b"", sent: float = 0.0) -> Packet:
    return Packet(sent, Transport.TCP, CLIENT, SERVER, payload, PSH, 1)


def when_and_size(record: Record) -> tuple[float, int]:
    return (record.sent, len(record.payload)) if isinstance(record, Packet) else (record.time, 0)


def ring() -> None:
    """A timer's function."""


def named_by_its_repr() -> None:
    """Named as automat names what it makes."""


named_by_its_repr.__qualname__ = f"implementation for {ring!r}"


class Alarm:
    """An object that a timer calls, itself or one of its methods."""

    def ring(self) -> None:
        pass

    def __call__(self) -> None:
        pass


def test_packets_and_notes_are_kept_in_the_order_of_recording() -> None:
    trace, first, second = Trace(), segment(b"a"), segment(b"b")
    trace.record(first)
    trace.note(0.5, "client", Kind.TIMER, "tick")
    trace.record(second)
    note = Note(time=0.5, host="client", kind=Kind.TIMER, text="tick")
    assert trace.records == [first, note, second]
    assert trace.packets == [first, second]
    assert len(trace) == 3
    assert trace.dropped == 0


def test_a_fate_that_is_known_later_is_shown() -> None:
    trace, packet = Trace(), segment(b"a")
    trace.record(packet)
    assert "in flight" in str(trace)
    packet.fate = Fate.LOST
    assert "lost" in str(trace)
    assert "in flight" not in str(trace)


@given(
    st.lists(st.one_of(st.none(), st.integers(0, 40)), max_size=60),
    st.integers(0, 100),
    st.integers(1, 12),
)
def test_the_latest_are_kept_within_both_bounds_and_the_rest_is_counted(
    sizes: list[int | None], octets: int, limit: int
) -> None:
    trace, expected = Trace(octets=octets, limit=limit), list[tuple[float, int]]()
    for number, size in enumerate(sizes):
        expected.append((float(number), size or 0))
        if size is None:
            trace.note(float(number), "", Kind.MARK, "mark")
        else:
            trace.record(segment(bytes(size), float(number)))
        while len(expected) > limit or sum(size for _, size in expected) > octets:
            del expected[0]
        assert [when_and_size(record) for record in trace.records] == expected
        assert trace.dropped == number + 1 - len(expected)


def test_no_more_is_dropped_than_has_to_be() -> None:
    trace = Trace(octets=10)
    for size in (4, 4, 2, 5):
        trace.record(segment(bytes(size)))
    assert [len(packet.payload) for packet in trace.packets] == [2, 5]
    assert trace.dropped == 2


def test_a_packet_larger_than_all_that_is_allowed_is_dropped_too() -> None:
    trace = Trace(octets=10)
    trace.record(segment(bytes(11)))
    assert (len(trace), trace.dropped) == (0, 1)
    trace.record(segment(bytes(10)))
    assert (len(trace), trace.dropped) == (1, 1)


def test_a_limit_of_0_keeps_nothing_and_says_so() -> None:
    trace = Trace(limit=0)
    trace.record(segment(b"a"))
    trace.note(0.0, "", Kind.MARK, "mark")
    assert (trace.records, len(trace), trace.dropped) == ([], 0, 0)
    assert str(trace) == "(nothing was recorded: the limit is 0)"


@pytest.mark.parametrize("settings", [{"limit": -1}, {"limit": "many"}, {"octets": -1}, {"octets": "a lot"}])
def test_bounds_that_are_none_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="is not a"):
        Trace(**settings)


def test_a_size_may_have_a_unit() -> None:
    trace = Trace(octets="1KiB")
    for _ in range(3):
        trace.record(segment(bytes(512)))
    assert len(trace) == 2


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("a sentence", "a sentence"),
        (ring, "ring"),
        (Alarm().ring, "Alarm.ring"),
        (Alarm(), "Alarm"),
        (Alarm, "Alarm"),
        (functools.partial(functools.partial(ring)), "ring"),
        (functools.partial(Alarm()), "Alarm"),
        (named_by_its_repr, "implementation for <function ring>"),
    ],
)
def test_a_function_is_noted_by_its_name(what: str | Callable[..., object], text: str) -> None:
    trace = Trace()
    trace.note(1.0, "client", "timer", what)
    assert trace.records == [Note(time=1.0, host="client", kind=Kind.TIMER, text=text)]


@pytest.mark.parametrize(
    ("what", "name"),
    [
        (named_by_its_repr, "implementation for <function ring>"),
        (functools.partial(functools.partial(Alarm())), "Alarm"),
    ],
)
def test_a_timer_shows_the_name_that_it_is_noted_by(what: Callable[..., object], name: str) -> None:
    net = Network()
    timer = net.host("a").callLater(1, what)
    assert repr(timer) == f"<Timer of a: {name} in 1 s, active>"
    net.advance(1)
    assert net.trace.records == [Note(time=1.0, host="a", kind=Kind.TIMER, text=name)]


def test_a_note_keeps_no_object_alive() -> None:
    trace, alarm = Trace(), Alarm()
    there = weakref.ref(alarm)
    trace.note(1.0, "client", Kind.TIMER, alarm.ring)
    del alarm
    gc.collect()
    assert there() is None


def test_an_unknown_kind_is_refused_when_it_is_noted() -> None:
    with pytest.raises(ValueError, match="gossip"):
        Trace().note(0.0, "client", "gossip", "text")


def test_the_last_few_are_shown_with_how_many_came_before() -> None:
    trace = Trace(limit=4)
    for number in range(6):
        trace.note(float(number), "client", Kind.MARK, f"mark {number}")
    first, _header, *lines = trace.last(2).splitlines()
    assert first == "(4 earlier records)"
    assert [line.partition(": ")[2] for line in lines] == ["mark 4", "mark 5"]
    assert str(trace).splitlines()[0] == "(2 earlier records)"
    assert len(str(trace).splitlines()) == 2 + 4
    assert trace.last(99) == str(trace)
    assert trace.last(0) == trace.last(-1) == "(6 earlier records)"


def test_one_earlier_record_is_not_several() -> None:
    trace = Trace()
    trace.note(0.0, "client", Kind.MARK, "first")
    trace.note(0.0, "client", Kind.MARK, "second")
    assert trace.last(1).splitlines()[0] == "(1 earlier record)"


def test_an_empty_trace_says_that_it_is() -> None:
    assert str(Trace()) == Trace().last(5) == "(nothing was recorded)"


@pytest.mark.parametrize("as_path", [Path, str])
def test_a_trace_is_saved_as_text_or_as_a_capture(
    tmp_path: Path, as_path: Callable[[Path], Path | str]
) -> None:
    trace = Trace()
    trace.record(segment(b"hello"))
    trace.note(0.0, "zoë", Kind.MARK, "mark")
    trace.save(as_path(tmp_path / "trace.txt"))
    assert (tmp_path / "trace.txt").read_bytes().decode() == f"{trace}\n"
    trace.save(as_path(tmp_path / "trace.pcap"))
    capture = (tmp_path / "trace.pcap").read_bytes()
    assert len(capture) == 24 + 16 + 20 + 20 + 5
    assert capture.endswith(b"hello")


@pytest.mark.parametrize("name", ["trace", "trace.png", "trace.pcapng"])
def test_another_ending_is_refused_with_both_that_are_known(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{name}.*\.pcap.*\.txt"):
        Trace().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


PROGRAM = """
import functools
from twistnet.simulation.packets import Endpoint, Packet, Transport
from twistnet.simulation.trace import Trace

class Alarm:
    def ring(self): ...
    def __call__(self): ...

trace = Trace()
names = ["a", "b", "c", "d", "e"]
for number in range(20):
    ends = [Endpoint(names[number * step % 5], f"10.0.0.{number}", number) for step in (1, 2)]
    trace.record(Packet(number / 7, Transport.UDP, *ends, bytes(range(number))))
    trace.note(number / 7, names[number % 5], "timer", [Alarm(), Alarm().ring, functools.partial(Alarm())][number % 3])
print(trace)
"""


def test_another_process_with_other_hashes_writes_the_same_text() -> None:
    root = Path(__file__).parents[2]

    def printed(seed: str) -> bytes:
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PROGRAM]
        return subprocess.run(
            command, check=True, timeout=60, cwd=root, env=environment, capture_output=True
        ).stdout

    first = printed("1")
    assert first.count(b"\n") == 41
    assert first == printed("2") == printed("3")
