"""Who waits for what, and who goes round in circles: what a person needs to know when a network gets nowhere.

The rule of this module: it only looks, and what it says is the same in every process.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .kernel.listening import TcpListener
from .kernel.tcp import TcpFile
from .packets import Packet
from .trace import Kind

if TYPE_CHECKING:
    from .reactor import Host
    from .running import Running

__all__ = ["called", "where", "who_spins", "who_waits"]

LOOKED_AT = 5_000
SHOWN = 12


def called(awaitable: Any) -> str:
    """What somebody waits for, in a word."""
    return str(getattr(awaitable, "__qualname__", None) or f"the {type(awaitable).__name__}")


def where(task: Any) -> Iterator[str]:
    """Where a coroutine stands, the outermost first."""
    while inspect.iscoroutine(task):
        frame = task.cr_frame
        if frame is not None:
            yield f"{task.__qualname__} waits at {Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        task = task.cr_await


def who_waits(network: Running) -> Iterator[str]:
    """Every open socket and what it is doing, then every way that lets nothing through."""
    for host in network.hosts.values():
        lines = list(_sockets(host))
        yield from lines[:SHOWN]
        if len(lines) > SHOWN:
            yield f"{host.name}: and {len(lines) - SHOWN} more sockets"
        if not host.kernel.is_up:
            yield f"{host.name} has crashed"
    for way in network.links:
        if way.blocks:
            yield f"{way.source} -> {way.target} is cut off by a partition"
        if way.holds:
            yield f"{way.source} -> {way.target} holds {way.held} packets"


def _sockets(host: Host) -> Iterator[str]:
    readers, writers = set(host.getReaders()), set(host.getWriters())
    for selectable in dict.fromkeys([*host.getReaders(), *host.getWriters()]):
        protocol = getattr(selectable, "protocol", None) or getattr(selectable, "factory", None) or selectable
        wants = [word for word, those in (("read", readers), ("write", writers)) if selectable in those]
        watch = host._watches[selectable]
        yield f"{host.name}: {_kind(protocol)} waits to {' and to '.join(wants)} on {_shown(watch.file)}"
    for opened in host.kernel.open_sockets:
        if not opened._file.watches and isinstance(opened._file, TcpFile) and opened._file.remote:
            yield f"{host.name}: nobody reads from or writes to {_shown(opened._file)}"


def _kind(protocol: Any) -> str:
    """What somebody has written, within what Twisted has put around it."""
    for wrapped in ("_wrappedProtocol", "wrappedProtocol", "_wrappedFactory", "wrappedFactory"):
        protocol = getattr(protocol, wrapped, None) or protocol
    return type(protocol).__name__


def _shown(file: Any) -> str:
    if isinstance(file, TcpListener):
        return f"port {file.local[1]}, listening" if file.local else "a port, listening"
    if isinstance(file, TcpFile):
        local, remote = file.local or ("?", 0), file.remote or ("?", 0)
        unsent = f", {file.unsent} octets not acknowledged" if file.unsent else ""
        return f"{local[0]}:{local[1]} -> {remote[0]}:{remote[1]}, {file.state.value}{unsent}"
    return f"{file.local or 'an unnamed socket'}"


def who_spins(network: Running) -> Iterator[str]:
    """What happened most among the last events."""
    counts: Counter[str] = Counter()
    for record in network.trace.records[-LOOKED_AT:]:
        if isinstance(record, Packet):
            counts[f"{record.source} -> {record.destination} ({record.transport.value})"] += 1
        elif record.kind is Kind.TIMER:
            counts[f"{record.host}: a timer calls {record.text}"] += 1
    for what, count in counts.most_common(SHOWN):
        yield f"{what}, {count} times"
