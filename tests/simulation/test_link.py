"""What a link is told to do, and that it does it: settings, order, loss, rate, queue, fragments, slicing."""

from __future__ import annotations

from typing import Any

import pytest

from twistnet.simulation import (
    CutAt,
    Exponential,
    Fixed,
    GilbertElliott,
    Independent,
    LinkConfig,
    Network,
    Normal,
    OneByte,
    RandomSizes,
    SimulationError,
    Uniform,
)
from twistnet.simulation.clock import Clock
from twistnet.simulation.link import Direction, Mark
from twistnet.simulation.links import Links
from twistnet.simulation.packets import Endpoint, Fate, Packet, Transport
from twistnet.simulation.tape import Tape


class Way:
    """A direction, and what becomes of what it carries."""

    def __init__(self, seed: int = 0, **config: Any) -> None:
        self.clock = Clock()
        self.recorded: list[Packet] = []
        self.arrived: list[tuple[float, int]] = []
        self.lost: list[Fate] = []
        self.direction = Direction(
            "a", "b", self.clock, Tape(seed), LinkConfig(**config), self.recorded.append
        )

    def send(self, name: int, octets: int = 100, drops: bool = False) -> Packet:
        """Let it carry one packet, which has a number."""
        here, there = Endpoint("a", "10.0.0.1", 1), Endpoint("b", "10.0.0.2", 2)
        packet = Packet(self.clock.now, Transport.UDP, here, there, b"", seq=name)
        self.direction.carry(packet, octets, self._arrive, self._lose, drops=drops)
        return packet

    def _arrive(self, packet: Packet) -> None:
        self.arrived.append((round(self.clock.now, 9), packet.seq))

    def _lose(self, packet: Packet) -> None:
        self.lost.append(packet.fate)

    def run(self, seconds: float = 1000.0) -> None:
        """Let time pass."""
        end = self.clock.now + seconds
        while (due := self.clock.next_time) is not None and due <= end:
            self.clock.now = max(self.clock.now, due)
            self.clock.fire_due()
        self.clock.now = end


# Settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"latency": -1},
        {"latency": "1 s"},
        {"loss": 1.5},
        {"loss": -0.1},
        {"loss": "much"},
        {"jitter": -1.0},
        {"jitter": "some"},
        {"duplicate": 2},
        {"reorder": -1},
        {"rate": 0},
        {"rate": -5},
        {"mtu": 100},
        {"mtu": 1500.0},
        {"queue": -1},
        {"slicing": 5},
    ],
)
def test_what_cannot_be_is_refused_and_named(wrong: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        LinkConfig(**wrong)


def test_a_setting_that_is_not_there_is_refused() -> None:
    with pytest.raises(TypeError, match="lattency"):
        LinkConfig(lattency=1)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"loss": 0.25}, {"loss": Independent(0.25)}),
        ({"loss": 0}, {"loss": None}),
        (
            {"loss": GilbertElliott(to_bad=0.1, to_good=0.5)},
            {"loss": GilbertElliott(to_bad=0.1, to_good=0.5)},
        ),
        ({"jitter": 0.25}, {"jitter": Uniform(0.25)}),
        ({"jitter": 0.0}, {"jitter": None}),
        ({"jitter": Normal(0.1)}, {"jitter": Normal(0.1)}),
        ({"jitter": Exponential(0.1)}, {"jitter": Exponential(0.1)}),
    ],
)
def test_a_number_is_the_plainest_kind(given: dict[str, Any], expected: dict[str, Any]) -> None:
    config = LinkConfig(**given)
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (Independent, {"probability": 1.1}),
        (GilbertElliott, {"to_bad": 1.1, "to_good": 0.5}),
        (GilbertElliott, {"to_bad": 0.1, "to_good": -0.5}),
        (GilbertElliott, {"to_bad": 0.1, "to_good": 0.5, "bad": 7}),
        (Uniform, {"spread": -1}),
        (Normal, {"deviation": -1}),
        (Exponential, {"mean": 0}),
        (Fixed, {"size": 0}),
        (RandomSizes, {"low": 5, "high": 4}),
        (RandomSizes, {"low": 0, "high": 4}),
        (CutAt, {"offsets": (0,)}),
        (CutAt, {"offsets": (1.5,)}),
    ],
)
def test_kinds_check_their_numbers(kind: Any, values: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        kind(**values)


def test_both_directions_or_one_are_changed() -> None:
    net = Network(link={"latency": 0.5})
    a, b = net.host("a"), net.host("b")
    assert net.link(a, b).there.config.latency == 0.5
    net.link(a, "b").update(latency=0.25, rate=1000)
    assert net.link("a", "b").back.config.rate == 1000
    net.link(a, b).towards(a).update(latency=2)
    assert (net.link(a, b).there.config.latency, net.link(a, b).back.config.latency) == (0.25, 2)
    assert net.link(b, a).there is net.link(a, b).back
    with pytest.raises(ValueError, match="c is not at either end"):
        net.link(a, b).towards("c")
    with pytest.raises(TypeError, match="lattency"):
        net.link(a, b).update(lattency=1)
    with pytest.raises(SimulationError, match="did you mean"):
        net.link("a", "bb")


def test_a_change_that_is_refused_changes_nothing() -> None:
    net = Network()
    a, b = net.host("a"), net.host("b")
    with pytest.raises(ValueError, match="loss"):
        net.link(a, b).update(latency=5, loss=7)
    assert net.link(a, b).there.config == net.link(a, b).back.config == LinkConfig()


def test_the_default_is_what_new_and_old_links_have_but_loopback() -> None:
    net = Network()
    a, b, c = (net.host(name) for name in "abc")
    loopback = net.link(a, a).there.config
    assert net.link(a, b).there.config.latency == 0.001
    net.default_link(latency=0.5)
    assert net.link(a, b).there.config.latency == net.link(a, c).there.config.latency == 0.5
    assert net.link(a, a).there.config == loopback
    assert loopback.latency < 0.001


def test_a_way_that_was_changed_keeps_the_rest_when_the_default_changes() -> None:
    links = Links(Clock(), Tape(0), lambda packet: None, LinkConfig())
    links.direction("a", "b").update(loss=0.5)
    links.update_default(latency=3)
    assert links.direction("a", "b").config == LinkConfig(loss=0.5, latency=3)


# Time


def test_a_packet_arrives_after_the_latency() -> None:
    way = Way(latency=0.25)
    way.send(1)
    way.run(0.1)
    way.send(2)
    way.run()
    assert way.arrived == [(0.25, 1), (0.35, 2)]


def test_packets_of_one_instant_arrive_in_order() -> None:
    way = Way(latency=0.25)
    for number in range(50):
        way.send(number)
    way.run()
    assert way.arrived == [(0.25, number) for number in range(50)]


def test_a_rate_lets_one_packet_wait_for_another() -> None:
    way = Way(latency=0.5, rate=1000)
    for number in range(4):
        way.send(number, 500)
    way.run()
    assert way.arrived == [(1.0, 0), (1.5, 1), (2.0, 2), (2.5, 3)]
    way.send(4, 500)
    way.run()
    assert way.arrived[-1] == (1001.0, 4)


def test_a_delay_is_never_below_nothing() -> None:
    way = Way(latency=0.001, jitter=Normal(1.0))
    for number in range(200):
        way.send(number)
    way.run()
    times = [when for when, _ in way.arrived]
    assert len(times) == 200
    assert min(times) == 0.0
    assert max(times) > 1.0


def test_jitter_lets_packets_overtake_each_other_and_none_does_not() -> None:
    for jitter, overtakes in ((0.1, True), (None, False)):
        way = Way(latency=0.2, jitter=jitter)
        for number in range(100):
            way.send(number)
        way.run()
        order = [name for _, name in way.arrived]
        assert (order != sorted(order)) is overtakes
        assert sorted(order) == list(range(100))


def test_a_change_concerns_what_is_sent_from_then_on() -> None:
    way = Way(latency=1.0)
    way.send(1)
    way.direction.update(latency=0.1)
    way.send(2)
    way.run()
    assert way.arrived == [(0.1, 2), (1.0, 1)]


# Loss


def test_what_is_lost_for_certain_never_arrives_and_says_why() -> None:
    way = Way(loss=1.0)
    packet = way.send(1)
    way.run()
    assert way.arrived == []
    assert way.lost == [Fate.LOST]
    assert packet.fate is Fate.LOST


def test_a_queue_that_is_full_drops_datagrams_and_lets_streams_wait() -> None:
    for drops in (True, False):
        way = Way(latency=0.0, rate=1000, queue=1000)
        for number in range(5):
            way.send(number, 400, drops=drops)
        way.run(1000)
        assert len(way.arrived) == (2 if drops else 5)
        assert way.lost == [Fate.OVERFLOWED] * (3 if drops else 0)


def test_a_queue_has_room_again_when_its_packets_have_left() -> None:
    way = Way(latency=0.0, rate=1000, queue=1000)
    for number in range(3):
        way.send(number, 500, drops=True)
    way.run(0.75)
    way.send(3, 500, drops=True)
    way.send(4, 500, drops=True)
    way.run()
    assert [name for _, name in way.arrived] == [0, 1, 3]


def test_a_fragmented_datagram_is_lost_with_any_of_its_fragments() -> None:
    counts = []
    for octets in (1000, 10_000):
        way = Way(loss=0.1, mtu=1000)
        for number in range(4000):
            way.send(number, octets)
        way.run()
        counts.append(len(way.arrived) / 4000)
    assert counts[0] == pytest.approx(0.9, abs=0.015)
    assert counts[1] == pytest.approx(0.9**10, abs=0.025)


def test_a_duplicate_is_written_down_and_arrives() -> None:
    way = Way(latency=0.1, duplicate=1.0)
    first = way.send(1)
    way.run()
    assert way.arrived == [(0.1, 1), (0.1, 1)]
    assert [packet.copy for packet in way.recorded] == [True]
    assert not first.copy


# Partitions and holds


def test_a_way_that_is_cut_twice_is_open_when_both_are_over() -> None:
    way = Way()
    for blocks, fate in ((1, Fate.CUT_OFF), (1, Fate.CUT_OFF), (-1, Fate.CUT_OFF), (-1, Fate.IN_FLIGHT)):
        way.direction.block(blocks)
        assert way.send(1).fate is fate
    way.run()
    assert len(way.arrived) == 1
    assert way.direction.is_open


def test_what_is_held_goes_on_its_way_in_order() -> None:
    way = Way(latency=0.5)
    way.send(0)
    way.direction.hold()
    for number in (1, 2, 3):
        way.send(number)
    way.run(10)
    assert way.arrived == [(0.5, 0)]
    assert way.direction.held == 3
    way.direction.release()
    way.run(10)
    assert way.arrived == [(0.5, 0), (10.5, 1), (10.5, 2), (10.5, 3)]
    assert way.direction.held == 0


def test_two_holds_let_go_when_both_are_over() -> None:
    way = Way()
    way.direction.hold()
    way.direction.hold()
    way.send(1)
    way.direction.release()
    way.run(10)
    assert way.arrived == []
    way.direction.release()
    way.run(10)
    assert [name for _, name in way.arrived] == [1]


def test_what_is_let_go_into_a_partition_is_cut_off() -> None:
    way = Way()
    way.direction.hold()
    way.send(1)
    way.direction.block(1)
    way.direction.release()
    way.run(10)
    assert way.arrived == []
    assert way.lost == [Fate.CUT_OFF]


# Slicing


def sizes(total: int, slicing: Any, marks: tuple[int, ...] = ()) -> list[int]:
    """The lengths of the segments of so many octets."""
    way = Way(slicing=slicing)
    for offset in marks:
        way.direction.mark(Mark(offset, lambda end: True, lambda: None))
    found, at = [], 0
    while at < total:
        found.append(way.direction.cut(None, at, total - at))
        at += found[-1]
        way.direction.passed(None, at)
    return found


def test_slicings_cut_where_they_say() -> None:
    assert sizes(4, OneByte()) == [1, 1, 1, 1]
    assert sizes(10, Fixed(4)) == [4, 4, 2]
    assert sizes(10, CutAt((3, 7, 3))) == [3, 4, 3]
    assert sizes(10, CutAt((50,))) == [10]
    assert sizes(10, None) == [10]


def test_random_sizes_are_within_their_bounds_and_reach_them() -> None:
    found = sizes(10_000, RandomSizes(3, 7))[:-1]
    assert set(found) == {3, 4, 5, 6, 7}


def test_marks_cut_and_are_reached_once() -> None:
    reached = list[int]()
    way = Way(slicing=Fixed(4))
    for offset in (6, 6, 9):
        way.direction.mark(Mark(offset, lambda end: True, lambda offset=offset: reached.append(offset)))  # type: ignore[misc]
    assert not way.direction.whole
    assert way.direction.cut(None, 0, 20) == 4
    assert way.direction.cut(None, 4, 20) == 2
    way.direction.passed(None, 4)
    assert reached == []
    way.direction.passed(None, 6)
    assert reached == [6, 6]
    assert way.direction.cut(None, 6, 20) == 3
    way.direction.passed(None, 9)
    way.direction.passed(None, 9)
    assert reached == [6, 6, 9]
    assert way.direction.marks == []


def test_a_mark_concerns_the_connections_that_it_names() -> None:
    way = Way()
    way.direction.mark(Mark(5, lambda end: end == "this", lambda: None))
    assert way.direction.cut("other", 0, 20) == 20
    assert way.direction.cut("this", 0, 20) == 5
    way.direction.passed("other", 20)
    assert len(way.direction.marks) == 1


def test_slicing_decides_what_a_read_sees_unless_it_is_told_otherwise() -> None:
    assert LinkConfig().coalesces
    assert not LinkConfig(slicing=OneByte()).coalesces
    assert LinkConfig(slicing=OneByte(), coalescing=True).coalesces
    assert not LinkConfig(coalescing=False).coalesces


# Chance


def test_the_same_seed_makes_the_same_choices_and_another_does_not() -> None:
    def choices(seed: int) -> list[Any]:
        tape = Tape(seed)
        return [
            *(tape.chance(0.5) for _ in range(50)),
            tape.uniform(0, 1),
            tape.normal(0, 1),
            tape.exponential(1),
            tape.whole(1, 1000),
            tape.another("x").random(),
        ]

    assert choices(1) == choices(1)
    assert choices(1) != choices(2)


def test_generators_of_their_own_differ_and_leave_the_tape_alone() -> None:
    tape, other = Tape(1), Tape(1)
    assert tape.another("a").random() != tape.another("b").random()
    assert tape.uniform(0, 1) == other.uniform(0, 1)
    assert tape.choices == 1
