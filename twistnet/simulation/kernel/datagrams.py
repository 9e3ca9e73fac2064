"""What a kernel does with datagrams of UDP: those that leave, and those that have come.

The rule of this module: a datagram goes to everybody whom it is for, one copy for each way; one that nobody wants is refused
if it was for one machine, and forgotten if it was for a group.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from ..packets import Endpoint, Fate, Packet, Transport
from .addresses import Address, is_any, is_broadcast, is_group, is_multicast
from .ports import spread
from .udp import UdpFile

if TYPE_CHECKING:
    from .kernel import Kernel

__all__ = ["arrived", "send"]


def send(kernel: Kernel, file: UdpFile, source: Endpoint, to: Address, data: bytes) -> None:
    """Send a datagram to a machine, to a group, or to all."""
    if is_group(to[0]):
        loops = (socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP)
        if ":" in to[0]:
            loops = (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP)
        ways: list[tuple[Kernel | None, Any]] = list(kernel.wire.others(kernel))
        if file.get_option(*loops) or is_broadcast(to[0]):
            ways.insert(0, (kernel, kernel.loopback))
    else:
        route = kernel.route(to[0])
        ways = [route] if route is not None else [(None, kernel.loopback)]
    for target, direction in ways:
        host = to[0] if not is_any(to[0]) else source.address
        there = Endpoint(target.name if target is not None else "", host, to[1])
        packet = Packet(kernel.clock.now, Transport.UDP, source, there, data)
        kernel.record(packet)
        if target is None:
            packet.fate = Fate.UNREACHABLE
        else:
            arrive = _Arrival(target, file)
            direction.carry(packet, len(data) + 28, arrive, _nobody_sends_again, drops=True)


def arrived(kernel: Kernel, packet: Packet, sender: UdpFile) -> None:
    """A datagram has come: give it to its socket, to every member of its group, or refuse it."""
    to = packet.destination
    if not kernel.is_up:
        packet.fate = Fate.LOST
        return
    verdict = kernel.wire.verdict(kernel, Transport.UDP, to.port)
    fits: dict[int, list[UdpFile]] = {}
    for file in kernel.udp.at(to.port) if verdict is None else ():
        fits.setdefault(file.wants(packet), []).append(file)
    fits.pop(0, None)
    if is_multicast(to.address) and not _is_member(kernel, to.address):
        packet.fate = Fate.UNREACHABLE
    elif is_group(to.address):
        for file in (file for files in fits.values() for file in files):
            file.arrived(packet)
    elif fits:
        best = fits[max(fits)]
        best[spread(packet.source, len(best)) if best[-1].flag(socket.SO_REUSEPORT) else -1].arrived(packet)
    elif verdict is Fate.CUT_OFF:
        packet.fate = verdict
    else:
        _refuse(kernel, packet, sender)


def _is_member(kernel: Kernel, group: str) -> bool:
    """Whether any socket of this machine has joined a group (IP_MULTICAST_ALL)."""
    return any(
        group in opened._file.groups
        for opened in kernel.open_sockets
        if isinstance(opened._file, UdpFile) and opened._file.groups
    )


def _refuse(kernel: Kernel, packet: Packet, sender: UdpFile) -> None:
    """Say that the port is unreachable (RFC 792)."""
    packet.arrived, packet.fate = kernel.clock.now, Fate.REFUSED
    route = kernel.route(packet.source.address)
    if route is not None and route[1].is_open:
        if route[1].latency:
            kernel.clock.carry(route[1].latency, sender.refused, packet)
        else:
            sender.refused(packet)


class _Arrival:
    """The end of a datagram's way."""

    __slots__ = ("sender", "target")

    def __init__(self, target: Kernel, sender: UdpFile) -> None:
        self.target = target
        self.sender = sender

    def __call__(self, packet: Packet) -> None:
        arrived(self.target, packet, self.sender)


def _nobody_sends_again(packet: Packet) -> None:
    """What becomes of a datagram that is lost."""
