"""What happened on the network, in the order in which it happened.

The rule of this module: what is written down is bounded, and says nothing that another process, running the same, would
say otherwise. The oldest goes first, and how much went is counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from attrs import define, field, setters

from ..units import parse_size, parse_whole
from .diagram import Kind, Note, Record, draw
from .naming import name_of
from .packets import Packet
from .pcap import write_pcap

__all__ = ["Kind", "Note", "Record", "Trace"]

_Line: TypeAlias = tuple[float, str, Kind, str]
"""A note before anybody reads it: timers fire more often than a trace is read, and a tuple is made sooner."""

_KINDS = {kind.value: kind for kind in Kind}  # asking the enumeration takes several times as long


@define(eq=False, on_setattr=setters.NO_OP)  # checked once; a check at each `=` costs more than a packet
class Trace:
    """The latest packets and notes.

    Args:
        octets: Payload that it holds at most, in octets or with a unit (`"64MiB"`). A packet that alone has more is
            dropped with all before it.
        limit: Records that it holds at most; 0 to hold nothing.

    Attributes:
        dropped: How many records were dropped to make room; those of a limit of 0 were never held, and don't count.

    Raises:
        ValueError: No size, or not a whole number.
    """

    _allowed: int = field(alias="octets", default=64 * 1024**2, converter=parse_size)
    _limit: int = field(alias="limit", default=100_000, converter=parse_whole)
    dropped: int = field(init=False, default=0)
    _held: int = field(init=False, default=0)
    _records: deque[Packet | _Line] = field(init=False, factory=deque)

    def record(self, packet: Packet) -> None:
        """Write down a packet that was sent. Its fate may be filled in later; its payload may not change."""
        if self._limit:
            records = self._records
            records.append(packet)
            self._held = held = self._held + len(packet.payload)
            if held > self._allowed or len(records) > self._limit:
                self._make_room()

    def note(self, time: float, host: str, kind: Kind | str, what: str | Callable[..., object]) -> None:
        """Write down something else.

        Args:
            time: When, in virtual seconds.
            host: Where; empty for the network as a whole.
            kind: `Kind`, or its value: timer, fault, name or mark.
            what: A sentence; or a function, for its name. The function is not kept, so that a trace keeps nothing
                alive.

        Raises:
            ValueError: No such kind.
        """
        if self._limit:
            if isinstance(kind, str):
                kind = _KINDS.get(kind) or Kind(kind)
            text = what if isinstance(what, str) else name_of(what)
            self._records.append((time, host, kind, text))
            if len(self._records) > self._limit:
                self._make_room()

    def _make_room(self) -> None:
        records, held = self._records, self._held
        while held > self._allowed or len(records) > self._limit:
            oldest = records.popleft()
            self.dropped += 1
            if isinstance(oldest, Packet):
                held -= len(oldest.payload)
        self._held = held

    def __len__(self) -> int:
        return len(self._records)

    @property
    def records(self) -> list[Record]:
        """Packets and notes, the oldest first."""
        return [_read(record) for record in self._records]

    @property
    def packets(self) -> list[Packet]:
        """The packets alone, the oldest first."""
        return [record for record in self._records if isinstance(record, Packet)]

    def __str__(self) -> str:
        """The sequence diagram of all (`draw` says how to read it)."""
        return self.last(len(self._records))

    def last(self, n: int) -> str:
        """The sequence diagram of the latest records, as a failure report shows it.

        Args:
            n: How many at most.
        """
        if not self._limit:
            return "(nothing was recorded: the limit is 0)"
        shown = [_read(record) for record in islice(self._records, max(0, len(self) - n), None)]
        before = self.dropped + len(self) - len(shown)
        lines = [f"({before} earlier {'record' if before == 1 else 'records'})"] if before else []
        return "\n".join([*lines, draw(shown)] if shown else lines) or "(nothing was recorded)"

    def save(self, path: str | Path) -> None:
        """Write all of it to a file, which is replaced if it is there.

        Args:
            path: Ends with `.pcap`, for a capture that Wireshark reads (TCP and UDP alone; `write_pcap` says more), or
                with `.txt`, for the sequence diagram in UTF-8.

        Raises:
            ValueError: It ends otherwise, or a packet can't be one of a network's.
            OSError: From the file system.
        """
        path = Path(path)
        if path.suffix == ".pcap":
            with path.open("wb") as file:
                write_pcap(file, self.packets)
        elif path.suffix == ".txt":
            path.write_bytes(f"{self}\n".encode())
        else:
            raise ValueError(f"{str(path)!r} ends neither with .pcap (a capture) nor with .txt (a diagram)")


def _read(record: Packet | _Line) -> Record:
    if isinstance(record, Packet):
        return record
    time, host, kind, text = record
    return Note(time=time, host=host, kind=kind, text=text)
