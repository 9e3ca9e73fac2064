"""What a kernel does with a segment of TCP that has come.

The rule of this module: it finds the connection or the listener that a segment is for, and answers for those that are not
there.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from ..packets import ACK, RST, SYN, Endpoint, Fate, Packet, Transport
from .listening import TcpListener
from .ports import spread
from .tcp import TcpFile
from .tcp_states import State

if TYPE_CHECKING:
    from .kernel import Kernel

__all__ = ["arrived", "refuse"]


def arrived(kernel: Kernel, packet: Packet, sender: TcpFile) -> None:
    """A segment has come: give it to its connection, to a listener, or refuse it."""
    here, there = packet.destination, packet.source
    if not kernel.is_up:
        packet.fate = Fate.LOST
        sender._lost(packet)
        return
    end = kernel.tcp_end((here.address, here.port), (there.address, there.port))
    verdict = kernel.wire.verdict(kernel, Transport.TCP, here.port) if packet.flags & SYN else None
    if verdict is Fate.CUT_OFF:
        packet.fate = verdict
        sender._lost(packet)
    elif packet.flags & (SYN | ACK) == SYN and (end is None or end.state is State.TIME_WAIT):
        listener = _listener(kernel, here, there) if verdict is None else None
        if listener is not None:
            listener.asked(packet, sender)
        else:
            refuse(kernel, packet, sender)
    elif end is not None:
        end.arrived(packet)
    elif not packet.flags & RST:
        refuse(kernel, packet, sender)


def _listener(kernel: Kernel, here: Endpoint, there: Endpoint) -> TcpListener | None:
    """The listener with the most exact address; those that share a port share the callers."""
    fits: dict[int, list[TcpListener]] = {}
    for file in kernel.tcp.at(here.port):
        if isinstance(file, TcpListener) and file.local is not None:
            fits.setdefault(_fit(file, here.address), []).append(file)
    best = max(fits, default=0)
    return fits[best][spread(there, len(fits[best]))] if best else None


def _fit(file: TcpListener, host: str) -> int:
    """How exactly a listener's address is the one that was called; 0 if it is another."""
    assert file.local is not None
    local = file.local[0]
    if local == host:
        return 3
    if local == "0.0.0.0":
        return 2 if ":" not in host else 0
    if local == "::":
        only_six = file.flag(socket.IPV6_V6ONLY, socket.IPPROTO_IPV6)
        return 2 if ":" in host else 0 if only_six else 1
    return 0


def refuse(kernel: Kernel, packet: Packet, sender: TcpFile) -> None:
    """Answer a segment that nobody here wants with a reset (RFC 9293, section 3.10.7.1)."""
    packet.arrived, packet.fate = kernel.clock.now, Fate.REFUSED
    route = kernel.route(packet.source.address)
    if route is None:
        return
    flags = RST if packet.flags & ACK else RST | ACK
    end = packet.seq + len(packet.payload) + bool(packet.flags & SYN)
    source = Endpoint(kernel.name, packet.destination.address, packet.destination.port)
    reset = Packet(kernel.clock.now, Transport.TCP, source, packet.source, b"", flags, packet.ack, end)
    kernel.record(reset)
    route[1].carry(reset, 40, sender.arrived_if_open, _nobody_sends_again)


def _nobody_sends_again(packet: Packet) -> None:
    """What becomes of a reset that is lost."""
