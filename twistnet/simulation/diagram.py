"""What happened, as a sequence diagram that a terminal and the log of a build can show.

The rule of this module: the same records are the same text, and the text drives no terminal: one line a record, nothing
of an identity, a hash or a locale in it, and what came from a peer escaped.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from attrs import frozen

from ..units import one_line
from .packets import ACK, FIN, PSH, RST, SYN, Endpoint, Fate, Packet, Transport

__all__ = ["Kind", "Note", "Record", "draw"]


class Kind(enum.Enum):
    """What a note is about."""

    TIMER = "timer"
    FAULT = "fault"
    NAME = "name"
    MARK = "mark"


@frozen(kw_only=True)
class Note:
    """What happened besides packets: a timer fired, a fault began or ended, a name was resolved, a user left a mark.

    Attributes:
        time: When, in virtual seconds.
        host: The name of the host where it happened; empty for the network as a whole.
        kind: What it is about.
        text: What there is to say; the qualified name of the function for a timer.
    """

    time: float
    host: str
    kind: Kind
    text: str


Record: TypeAlias = Packet | Note

_MOST_LIFELINES = 6
_WIDEST = 96  # columns for all lifelines; beyond, the arrows are longer than a terminal is wide
_NARROWEST = 14  # columns between two lifelines
_PREVIEW = 24  # octets

_FLAGS = ((SYN, "SYN"), (FIN, "FIN"), (RST, "RST"), (PSH, "PSH"))
_STREAMS = frozenset({Transport.TCP, Transport.UNIX_STREAM})
_UNIX = frozenset({Transport.UNIX_STREAM, Transport.UNIX_DATAGRAM})
_UNDERWAY = frozenset({Fate.ARRIVED, Fate.IN_FLIGHT})


def draw(records: Iterable[Record]) -> str:
    """A sequence diagram: a lifeline a host, in the order in which they first appear, and a line a record.

    Time is in seconds at the left, and left out where it is the same as in the line above. `--->` is a packet, with
    its ports, flags, octets and how long it took at the right; `---x` is one that did not arrive, with the reason; `<-)`
    is one from a host to itself; `*` is a timer or another note of that host; faults, and notes of no host, go across
    all lifelines. The range after `seq` counts as Wireshark's relative numbers do: the first octet of a stream is 1,
    and the last is not included. ACK is named only where it is all there is, or with SYN. A second copy of a packet is
    a retransmission where one before it was lost, and a duplicate otherwise.

    Of more than 6 hosts, or with names too long for a screen, it is a list: `client:49152 -> server:7007 ...`.

    Returns:
        Lines without an end of line after the last; empty if there are no records. ASCII, but for names and notes.
    """
    records = list(records)
    hosts = list(dict.fromkeys(host for record in records for host in _hosts(record)))
    gap = max([_NARROWEST, *(len(host) + 2 for host in hosts)])
    picture = _Lifelines(hosts, gap)
    as_list = len(hosts) > _MOST_LIFELINES or picture.width > _WIDEST
    rows = map(_list_row, records) if as_list else map(picture.row, records)
    times = [f"{_time(record):.6f}" for record in records]
    margin = max(map(len, times), default=0)
    lines = [] if as_list or not records else [" " * (margin + 2) + picture.header()]
    before = ""
    for time, row in zip(times, rows, strict=True):
        lines.append(f"{'' if time == before else time:>{margin}}  {row}".rstrip())
        before = time
    return "\n".join(lines)


def _time(record: Record) -> float:
    return record.sent if isinstance(record, Packet) else record.time


def _hosts(record: Record) -> Iterator[str]:
    """The lifelines that a record needs."""
    if isinstance(record, Packet):
        yield _lifeline(record.source)
        yield _lifeline(record.destination)
    elif not _goes_across(record):
        yield one_line(record.host)


def _lifeline(end: Endpoint) -> str:
    """The name above the line; a group, or an address of nobody, has a line of its own."""
    return one_line(end.host or end.address)


def _goes_across(note: Note) -> bool:
    return note.kind is Kind.FAULT or not note.host


class _Lifelines:
    """Hosts side by side, and the rows between them."""

    def __init__(self, hosts: Sequence[str], gap: int) -> None:
        self._hosts = hosts
        self._gap = gap
        self._position = {host: index * gap for index, host in enumerate(hosts)}
        self._blank = "".join("|".ljust(gap) for _ in hosts[:-1]) + "|".ljust(6) if hosts else ""
        self.width = len(self._blank)

    def header(self) -> str:
        return "".join(host.ljust(self._gap) for host in self._hosts).rstrip()

    def row(self, record: Record) -> str:
        if isinstance(record, Packet):
            return f"{self._arrow(record)}{_route(record)}  {_content(record)}"
        if _goes_across(record):
            return _across(record).ljust(self.width, "-")
        at = self._position[one_line(record.host)]
        return f"{self._blank[:at]}*{self._blank[at + 1 :]}{_remark(record)}"

    def _arrow(self, packet: Packet) -> str:
        source = self._position[_lifeline(packet.source)]
        destination = self._position[_lifeline(packet.destination)]
        here = packet.fate in _UNDERWAY
        left, length = min(source, destination) + 1, abs(destination - source) - 1
        if source == destination:
            shaft = "<-)" if here else "x-)"
        elif source < destination:
            shaft = (">" if here else "x").rjust(length, "-")
        else:
            shaft = ("<" if here else "x").ljust(length, "-")
        return self._blank[:left] + shaft + self._blank[left + len(shaft) :]


def _list_row(record: Record) -> str:
    """A record where lifelines have no room."""
    if isinstance(record, Packet):
        arrow = "->" if record.fate in _UNDERWAY else "-x"
        return (
            f"{one_line(str(record.source))} {arrow} {one_line(str(record.destination))}  {_content(record)}"
        )
    return _across(record) if _goes_across(record) else f"{one_line(record.host)} * {_remark(record)}"


def _across(note: Note) -> str:
    host = f"{one_line(note.host)}: " if note.host else ""
    return f"-- {host}{one_line(note.text)} --"


def _remark(note: Note) -> str:
    return f"{note.kind.value}: {one_line(note.text)}"


def _route(packet: Packet) -> str:
    """The ports, or the paths of UNIX sockets."""
    if packet.transport in _UNIX:
        return f"{one_line(packet.source.address) or '-'} > {one_line(packet.destination.address) or '-'}"
    return f"{packet.source.port} > {packet.destination.port}".ljust(13)


def _content(packet: Packet) -> str:
    """What a packet says, and what became of it."""
    words = [] if packet.transport is Transport.TCP else [packet.transport.value]
    words += [name for flag, name in _FLAGS if packet.flags & flag]
    if packet.flags & ACK and (packet.flags & SYN or not (packet.flags & ~ACK or packet.payload)):
        words.append("ACK")
    words += _octets(packet)
    if packet.copy:
        words.append(_again(packet))
    return f"{' '.join(words)}  {_outcome(packet)}"


def _octets(packet: Packet) -> Iterator[str]:
    """The numbers of a segment, and the beginning of its octets."""
    length = len(packet.payload)
    if packet.transport in _STREAMS and length:
        yield f"seq {packet.seq}:{packet.seq + length}"
    elif packet.flags & FIN:
        yield f"seq {packet.seq}"
    elif packet.flags == ACK:
        yield str(packet.ack)
    if length or packet.transport not in _STREAMS:
        yield f"len {length}"
    if length:
        yield _preview(packet.payload)


def _preview(payload: bytes) -> str:
    """The first octets in ASCII, the rest of it escaped; `...` where there are more."""
    escaped = payload[:_PREVIEW].decode("latin-1").encode("unicode_escape").decode("ascii")
    more = "..." if len(payload) > _PREVIEW else ""
    quoted = escaped.replace('"', '\\"')
    return f'"{quoted}"{more}'


def _again(packet: Packet) -> str:
    word = "retransmission" if packet.tries and packet.transport in _STREAMS else "duplicate"
    return f"({word} {packet.tries})" if packet.tries > 1 else f"({word})"


def _outcome(packet: Packet) -> str:
    """How long it took, or what kept it."""
    if packet.fate is not Fate.ARRIVED or packet.arrived is None:
        return packet.fate.value
    microseconds = round((packet.arrived - packet.sent) * 1e6)
    if 0 < microseconds < 1000:
        return f"+{microseconds}us"
    if 0 < microseconds < 1_000_000:
        return f"+{microseconds / 1000:g}ms"
    return f"+{microseconds / 1e6:.10g}s"
