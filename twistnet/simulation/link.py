"""One direction of one path between two hosts: how long, how reliably and how fast it carries packets.

The rule of this module: a link knows octets and time, never what a packet means. It either delivers a packet, later, or
says that it was lost; on a stream the kernel turns both into delay.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from attrs import define, field, frozen

from .clock import Clock
from .conditions import LinkConfig, changed
from .packets import Fate, Packet
from .tape import Tape

__all__ = ["Direction", "Mark"]

Deliver = Callable[[Packet], object]


@frozen
class Mark:
    """A place in the streams of a direction at which something is to happen, once.

    Attributes:
        offset: After so many octets of one connection.
        concerns: Whether a connection, told by its sending end, is meant.
        reached: Called when that many octets have been sent, and no more.
    """

    offset: int
    concerns: Callable[[Any], bool]
    reached: Callable[[], object]


@define(eq=False, repr=False)
class Direction:
    """The way from one host to another.

    Attributes:
        source: The name of the host where it begins.
        target: The name of the host where it ends.
        clock: The network's.
        tape: The network's.
        config: What it does to packets, what is worse for a while included.
        record: Writes down the duplicates that the link itself makes.
        blocks: How many partitions lie across it.
        holds: How many holds are on it.
        awaiting: How many retransmissions of lost segments are still to come.
        plain: Whether a packet simply arrives after the latency: nothing else is to be decided.
        whole: Whether streams are cut nowhere but at the MTU.
        latency: That of the configuration.
        marks: Places in a stream at which something is to happen.
    """

    source: str
    target: str
    clock: Clock
    tape: Tape
    config: LinkConfig
    record: Callable[[Packet], object]
    blocks: int = 0
    holds: int = 0
    awaiting: int = 0
    plain: bool = True
    whole: bool = True
    latency: float = 0.0
    marks: list[Mark] = field(factory=list)
    _usual: LinkConfig = field(init=False)
    _worse: list[dict[str, Any]] = field(factory=list)
    _bad: bool = False
    _free_at: float = 0.0
    _in_flight: int = 0
    _held: list[tuple[Packet, int, Deliver, Deliver]] = field(factory=list)

    def __repr__(self) -> str:
        return f"<from {self.source} to {self.target}: {self.config}>"

    def __attrs_post_init__(self) -> None:
        self._usual = self.config
        self._look()

    def _look(self) -> None:
        self.latency = self.config.latency
        self.plain = self.config.plain and not self.blocks and not self.holds
        self.whole = self.config.slicing is None and not self.marks

    def update(self, **changes: Any) -> None:
        """Change some of the configuration; packets on their way keep what they have.

        Args:
            changes: Fields of `LinkConfig`.

        Raises:
            TypeError: There is no such field.
            ValueError: A value is out of its range.
        """
        self._usual = changed(self._usual, changes)
        self._compose()

    def worsen(self, changes: dict[str, Any]) -> None:
        """Change some of the configuration until `mend` is given the same dict; the latest change counts."""
        self._worse.append(changes)
        self._compose()

    def mend(self, changes: dict[str, Any]) -> None:
        """Take back what `worsen` was given; what else is worse stays so."""
        self._worse = [others for others in self._worse if others is not changes]
        self._compose()

    def _compose(self) -> None:
        self.config = self._usual
        for changes in self._worse:
            self.config = changed(self.config, changes)
        self._look()

    @property
    def is_open(self) -> bool:
        """Whether what is sent now can arrive, chance aside."""
        return not (self.blocks or self.holds)

    def block(self, more: int) -> None:
        """Lay a partition across (1) or take one away (-1)."""
        self.blocks += more
        self._look()

    def severed(self) -> Direction:
        """The same way for one who gets nothing through any more."""
        return Direction(self.source, self.target, self.clock, self.tape, self.config, self.record, blocks=1)

    def hold(self) -> None:
        """Keep what is sent from now on, until `release`."""
        self.holds += 1
        self._look()

    def release(self) -> None:
        """Let what was held go on its way, in the order in which it was sent."""
        self.holds -= 1
        self._look()
        held, self._held = (self._held, []) if not self.holds else ([], self._held)
        for packet, octets, deliver, lost in held:
            self.carry(packet, octets, deliver, lost)

    def mark(self, mark: Mark) -> None:
        """Let something happen at a place in a stream."""
        self.marks.append(mark)
        self._look()

    def cut(self, end: Any, offset: int, size: int) -> int:
        """How long the next segment may be, of `size` octets that begin at `offset` of a stream."""
        if self.config.slicing is not None:
            size = min(size, self.config.slicing.longest(offset, self.tape) or size)
        for mark in self.marks:
            if offset < mark.offset and mark.concerns(end):
                size = min(size, mark.offset - offset)
        return size

    def passed(self, end: Any, offset: int) -> None:
        """So much of a stream has been sent: let happen what was to happen there."""
        for mark in [mark for mark in self.marks if offset >= mark.offset and mark.concerns(end)]:
            self.marks.remove(mark)
            self._look()
            mark.reached()

    @property
    def held(self) -> int:
        """How many packets are held."""
        return len(self._held)

    def carry(
        self, packet: Packet, octets: int, deliver: Deliver, lost: Deliver, drops: bool = False
    ) -> None:
        """Take a packet that is sent now.

        Args:
            packet: What to carry.
            octets: How large it is, headers included.
            deliver: Called with it when it arrives.
            lost: Called with it, at once, when it does not; its fate says why.
            drops: Whether a full queue drops it; a stream waits instead.
        """
        if self.plain and not self.latency:
            deliver(packet)
        elif self.plain:
            self.clock.carry(self.latency, deliver, packet)
        elif self.blocks:
            self._lose(packet, Fate.CUT_OFF, lost)
        elif self.holds:
            packet.fate = Fate.HELD
            self._held.append((packet, octets, deliver, lost))
        elif drops and self._full(octets):
            self._lose(packet, Fate.OVERFLOWED, lost)
        else:
            self._carry(packet, octets, deliver, lost)

    def _carry(self, packet: Packet, octets: int, deliver: Deliver, lost: Deliver) -> None:
        waiting = self._wait(octets)
        if self._is_lost(octets):
            self._lose(packet, Fate.LOST, lost)
            return
        packet.fate = Fate.IN_FLIGHT
        self._depart(waiting, octets, deliver, packet)
        if self.config.duplicate and self.tape.chance(self.config.duplicate):
            duplicate = packet.again(self.clock.now)
            self.record(duplicate)
            self._depart(waiting, octets, deliver, duplicate)

    def _depart(self, waiting: float, octets: int, deliver: Deliver, packet: Packet) -> None:
        delay = waiting + self._delay()
        self.clock.carry(delay, deliver, packet)
        if self.config.queue is not None:
            self._in_flight += octets
            self.clock.carry(delay, self._leave, octets)

    def _leave(self, octets: int) -> None:
        self._in_flight -= octets

    def _full(self, octets: int) -> bool:
        return self.config.queue is not None and self._in_flight + octets > self.config.queue

    def _lose(self, packet: Packet, fate: Fate, lost: Deliver) -> None:
        packet.fate = fate
        lost(packet)

    def _wait(self, octets: int) -> float:
        """Seconds until the last octet has left, at the rate of the link."""
        if self.config.rate is None:
            return 0.0
        self._free_at = max(self._free_at, self.clock.now) + octets / self.config.rate
        return self._free_at - self.clock.now

    def _is_lost(self, octets: int) -> bool:
        """Whether any of the fragments is lost."""
        if self.config.loss is None:
            return False
        gone = False
        for _ in range(math.ceil(octets / self.config.mtu) or 1):
            lost, self._bad = self.config.loss.lost(self._bad, self.tape)
            gone = gone or lost
        return gone

    def _delay(self) -> float:
        config = self.config
        delay = config.latency
        if config.jitter is not None:
            delay += config.jitter.extra(self.tape)
        if config.reorder and self.tape.chance(config.reorder):
            delay += self.tape.uniform(0.0, 2 * max(config.latency, 0.001))
        return max(0.0, delay)
