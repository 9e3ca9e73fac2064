"""One machine's kernel: its descriptors, its ports, and what it does with a packet that comes in.

The rule of this module: it finds the socket that a packet is for, and answers for those that are not there.
"""

from __future__ import annotations

import errno
import os
import socket
import zlib
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from attrs import field, frozen

from ..clock import Clock
from ..limits import whole
from ..packets import ACK, RST, SYN, Endpoint, Fate, Packet, Transport
from .addresses import Address, failure, is_any, is_broadcast, is_loopback, is_multicast, overlap
from .files import File, Watch
from .listening import TcpListener
from .paths import FilePaths, MemoryPaths
from .ports import Ports
from .sockets import Socket
from .tcp import TcpFile
from .tcp_states import State
from .udp import UdpFile
from .unix import UnixDatagramFile, UnixListener, UnixStreamFile

__all__ = ["Kernel", "KernelConfig", "Wire"]

FIRST_DESCRIPTOR = 1 << 24
"""Numbers that no real file has, so that one that strays into a real call is refused there."""
COUNT = whole(1)


@frozen(kw_only=True)
class KernelConfig:
    """The limits of a machine.

    Attributes:
        max_files: Descriptors that may be open at once; more are an EMFILE.
        send_buffer: Octets that a stream takes from the program before the peer has acknowledged them.
        receive_buffer: Octets of a stream that wait for the program to read, and so the largest window.
        datagram_buffer: The same for datagrams, which cost their length and 512 octets, 768 at least.
    """

    max_files: int = field(default=100_000, validator=COUNT)
    send_buffer: int = field(default=262_144, validator=COUNT)
    receive_buffer: int = field(default=131_072, validator=COUNT)
    datagram_buffer: int = field(default=212_992, validator=COUNT)


class Wire(Protocol):
    """What joins kernels: a network."""

    def route(self, kernel: Kernel, host: str) -> tuple[Kernel | None, Any] | None:
        """Where packets for an address go, and by which direction; `None` if nobody has the address.

        A kernel of `None` swallows what it is sent.
        """

    def others(self, kernel: Kernel) -> Iterable[tuple[Kernel, Any]]:
        """Every other machine and the direction to it, for groups and broadcasts."""

    def verdict(self, kernel: Kernel, transport: Transport, port: int) -> Fate | None:
        """Whether a fault refuses or swallows what is for a port: `REFUSED`, `CUT_OFF` or `None`."""


class Kernel:
    """One machine.

    Attributes:
        name: Of the machine.
        addresses: Its own, numeric, besides loopback.
        clock: The network's.
        wire: What joins it to others.
        loopback: The direction from it to itself.
        record: Writes a packet down.
        config: Its limits.
        paths: The names of its UNIX sockets.
        locks: The lock files beside those that are in memory only, and whether somebody who lives holds them.
        ready: Where watches are put when something has changed, in that order.
        tcp: Its TCP ports.
        udp: Its UDP ports.
        is_up: Whether it runs; a machine that does not swallows everything.
    """

    def __init__(
        self,
        name: str,
        addresses: tuple[str, ...],
        *,
        clock: Clock,
        wire: Wire,
        loopback: Any,
        record: Callable[[Packet], object],
        ready: dict[Watch, None],
        config: KernelConfig | None = None,
        paths: MemoryPaths | FilePaths | None = None,
    ) -> None:
        self.name = name
        self.addresses = addresses
        self.clock = clock
        self.wire = wire
        self.loopback = loopback
        self.record = record
        self.ready = ready
        self.config = config or KernelConfig()
        self.paths = paths or MemoryPaths()
        self.locks: dict[Any, bool] = {}
        self._number = FIRST_DESCRIPTOR
        self.boot()

    def boot(self) -> None:
        """Begin with nothing open."""
        self.is_up = True
        self.tcp = Ports()
        self.udp = Ports()
        self._ends: dict[tuple[Address, Address], TcpFile] = {}
        self._descriptors: dict[int, Socket] = {}

    def halt(self) -> None:
        """Lose everything at once: nobody is told."""
        self.is_up = False
        files = {open_socket._file: None for open_socket in self._descriptors.values()}
        for file in [*files, *list(self._ends.values())]:
            file.watches.clear()
            file.vanish()
        self.locks.update(dict.fromkeys(self.locks, False))
        self.boot()
        self.is_up = False

    # Descriptors

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, proto: int = 0) -> Socket:
        """See socket(2).

        Raises:
            OSError: EMFILE; EAFNOSUPPORT for a family or a kind that is not simulated.
        """
        self.check_room()
        kinds: dict[tuple[int, int], type[Any]] = {
            (socket.AF_INET, socket.SOCK_STREAM): TcpFile,
            (socket.AF_INET6, socket.SOCK_STREAM): TcpFile,
            (socket.AF_INET, socket.SOCK_DGRAM): UdpFile,
            (socket.AF_INET6, socket.SOCK_DGRAM): UdpFile,
            (socket.AF_UNIX, socket.SOCK_STREAM): UnixStreamFile,
            (socket.AF_UNIX, socket.SOCK_DGRAM): UnixDatagramFile,
        }
        kind &= ~(socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        if (family, kind) not in kinds:
            raise failure(errno.EAFNOSUPPORT)
        return Socket(self, kinds[family, kind](self, family))

    def check_room(self) -> None:
        """See that one more descriptor may be opened.

        Raises:
            OSError: EMFILE.
        """
        if len(self._descriptors) >= self.config.max_files:
            raise failure(errno.EMFILE)

    def open_descriptor(self, opened: Socket) -> int:
        """A number for a socket."""
        self.check_room()
        self._number += 1
        self._descriptors[self._number] = opened
        return self._number

    def close_descriptor(self, number: int) -> None:
        """The number is free again; it is not used twice."""
        self._descriptors.pop(number, None)

    def find(self, number: int) -> Socket | None:
        """The socket behind a number, if it is one of this machine's."""
        return self._descriptors.get(number)

    @property
    def open_sockets(self) -> list[Socket]:
        """All that is open, the oldest first."""
        return list(self._descriptors.values())

    def send_descriptor(self, number: int) -> Any:
        """A copy of a descriptor, real or simulated, on its way to another program."""
        own = self.find(number)
        return own.dup() if own is not None else os.dup(number)

    def receive_descriptor(self, right: Any) -> int:
        """The number of a descriptor that has come."""
        return right.fileno() if isinstance(right, Socket) else int(right)

    def drop_descriptors(self, rights: Iterable[Any]) -> None:
        """Descriptors that nobody received."""
        for right in rights:
            if isinstance(right, Socket):
                right.close()
            else:
                os.close(right)

    # Names

    def bind(self, file: TcpFile | UdpFile, address: Address) -> None:
        """Bind a TCP or UDP socket.

        Raises:
            OSError: EADDRINUSE, EADDRNOTAVAIL.
        """
        host, _ = address
        if not (is_any(host) or self.has(host) or (isinstance(file, UdpFile) and self._is_group(host))):
            raise failure(errno.EADDRNOTAVAIL)
        ports = self.tcp if isinstance(file, TcpFile) else self.udp
        if isinstance(file, TcpFile) and address[1] and self._is_remembered(file, address):
            raise failure(errno.EADDRINUSE)
        ports.bind(file, address)

    def _is_remembered(self, file: TcpFile, address: Address) -> bool:
        """Whether a connection, closed ones in TIME_WAIT included, keeps an address from a socket (SO_REUSEADDR)."""
        reuses = file.flag(socket.SO_REUSEADDR)
        return any(
            port == address[1]
            and overlap(host, address[0], v6only=False)
            and not (reuses and end.flag(socket.SO_REUSEADDR))
            for ((host, port), _), end in self._ends.items()
        )

    def _is_group(self, host: str) -> bool:
        return is_multicast(host) or is_broadcast(host)

    def has(self, host: str) -> bool:
        """Whether an address is this machine's own."""
        return host in self.addresses or is_loopback(host)

    def source_for(self, host: str) -> str | None:
        """The address that packets for `host` leave from, or `None` if there is none of that family."""
        if is_any(host) or host.startswith("127."):
            return "::1" if ":" in host else "127.0.0.1"
        if self.has(host):
            return host
        own = [address for address in self.addresses if (":" in address) == (":" in host)]
        return own[0] if own else None

    def route(self, host: str) -> tuple[Kernel | None, Any] | None:
        """Where packets for an address go, and by which direction."""
        if self.has(host) or is_any(host):
            return self, self.loopback
        return self.wire.route(self, host)

    # Streams

    def listen(self, file: Any, backlog: int) -> File:
        """Make a socket a listening one.

        Raises:
            OSError: EINVAL: it is connected, or a UNIX socket without a name; EADDRINUSE: somebody else listens there.
        """
        if file.is_listening:
            file.backlog = max(0, backlog)
            return file  # type: ignore[no-any-return]
        if file.is_connected or file.peer is not None:
            raise failure(errno.EINVAL)
        if isinstance(file, UnixStreamFile):
            return self._listen_unix(file, backlog)
        if file.local is None:
            self.tcp.bind(file, ("::" if file.family == socket.AF_INET6 else "0.0.0.0", 0))
        self.tcp.check_listening(file)
        listener = TcpListener(self, file.family, file, backlog)
        others = self.tcp.at(file.local[1])
        others[others.index(file)] = listener
        listener.descriptors, listener.watches = file.descriptors, file.watches
        return listener

    def _listen_unix(self, file: UnixStreamFile, backlog: int) -> File:
        if file.local is None:
            raise failure(errno.EINVAL)
        listener = UnixListener(self, file.family, file.local, backlog)
        self.paths.become(file, listener)
        listener.descriptors, listener.watches = file.descriptors, file.watches
        return listener

    def remember(self, end: TcpFile) -> None:
        """A connection that packets may come for."""
        assert end.local is not None
        assert end.remote is not None
        old = self._ends.get((end.local, end.remote))
        self._ends[end.local, end.remote] = end
        if old is not None:
            old.vanish()
            self._ends[end.local, end.remote] = end

    def forget(self, end: TcpFile) -> None:
        """A connection that is no more."""
        if end.local is None or end.remote is None:
            return
        if self._ends.get((end.local, end.remote)) is end:
            del self._ends[end.local, end.remote]

    def is_connected(self, local: Address, remote: Address) -> bool:
        """Whether two addresses have a connection that is not closed."""
        end = self._ends.get((local, remote))
        return end is not None and end.state is not State.TIME_WAIT

    def tcp_end(self, local: Address, remote: Address) -> TcpFile | None:
        """The end of a connection, if there is one."""
        return self._ends.get((local, remote))

    def tcp_arrived(self, packet: Packet, sender: TcpFile) -> None:
        """A segment has come: give it to its connection, to a listener, or refuse it."""
        here, there = packet.destination, packet.source
        if not self.is_up:
            packet.fate = Fate.LOST
            sender._lost(packet)
            return
        end = self._ends.get(((here.address, here.port), (there.address, there.port)))
        verdict = self.wire.verdict(self, Transport.TCP, here.port) if packet.flags & SYN else None
        if verdict is Fate.CUT_OFF:
            packet.fate = verdict
            sender._lost(packet)
        elif packet.flags & (SYN | ACK) == SYN and (end is None or end.state is State.TIME_WAIT):
            listener = self._listener(here, there) if verdict is None else None
            if listener is not None:
                listener.asked(packet, sender)
            else:
                self.refuse(packet, sender)
        elif end is not None:
            end.arrived(packet)
        elif not packet.flags & RST:
            self.refuse(packet, sender)

    def _listener(self, here: Endpoint, there: Endpoint) -> TcpListener | None:
        """The listener with the most exact address; those that share a port share the callers."""
        fits: dict[int, list[TcpListener]] = {}
        for file in self.tcp.at(here.port):
            if isinstance(file, TcpListener) and file.local is not None:
                fits.setdefault(self._fit(file, here.address), []).append(file)
        best = max(fits, default=0)
        return fits[best][_spread(there, len(fits[best]))] if best else None

    def _fit(self, file: TcpListener, host: str) -> int:
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

    def refuse(self, packet: Packet, sender: TcpFile) -> None:
        """Answer a segment that nobody here wants with a reset (RFC 9293, section 3.10.7.1)."""
        packet.arrived, packet.fate = self.clock.now, Fate.REFUSED
        route = self.route(packet.source.address)
        if route is None:
            return
        flags = RST if packet.flags & ACK else RST | ACK
        end = packet.seq + len(packet.payload) + bool(packet.flags & SYN)
        source = Endpoint(self.name, packet.destination.address, packet.destination.port)
        reset = Packet(self.clock.now, Transport.TCP, source, packet.source, b"", flags, packet.ack, end)
        self.record(reset)
        route[1].carry(reset, 40, sender.arrived_if_open, _let_go)

    def reset(self, target: str, port: int | None) -> None:
        """Reset the connections to another machine, those with a port at either end or all."""
        for (local, remote), end in list(self._ends.items()):
            concerned = port is None or port in {local[1], remote[1]}
            if end.target is not None and end.target.name == target and concerned:
                end.reset_from_outside()

    # Datagrams

    def send_datagram(self, file: UdpFile, source: Endpoint, to: Address, data: bytes) -> None:
        """Send a datagram to a machine, to a group, or to all."""
        if is_multicast(to[0]) or is_broadcast(to[0]):
            loops = (socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP)
            if ":" in to[0]:
                loops = (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP)
            ways: list[tuple[Kernel | None, Any]] = list(self.wire.others(self))
            if file.get_option(*loops) or is_broadcast(to[0]):
                ways.insert(0, (self, self.loopback))
        else:
            route = self.route(to[0])
            ways = [route] if route is not None else [(None, self.loopback)]
        for target, direction in ways:
            host = to[0] if not is_any(to[0]) else source.address
            there = Endpoint(target.name if target is not None else "", host, to[1])
            packet = Packet(self.clock.now, Transport.UDP, source, there, data)
            self.record(packet)
            if target is None:
                packet.fate = Fate.UNREACHABLE
            else:
                arrive = _Arrival(target, file)
                direction.carry(packet, len(data) + 28, arrive, _let_go, drops=True)

    def udp_arrived(self, packet: Packet, sender: UdpFile) -> None:
        """A datagram has come: give it to its socket, to every member of its group, or refuse it."""
        to = packet.destination
        if not self.is_up:
            packet.fate = Fate.LOST
            return
        verdict = self.wire.verdict(self, Transport.UDP, to.port)
        fits: dict[int, list[UdpFile]] = {}
        for file in self.udp.at(to.port) if verdict is None else ():
            fits.setdefault(file.wants(packet), []).append(file)
        fits.pop(0, None)
        if is_multicast(to.address) and not self._is_member(to.address):
            packet.fate = Fate.UNREACHABLE
        elif self._is_group(to.address):
            for file in (file for files in fits.values() for file in files):
                file.arrived(packet)
        elif fits:
            best = fits[max(fits)]
            best[_spread(packet.source, len(best)) if best[-1].flag(socket.SO_REUSEPORT) else -1].arrived(
                packet
            )
        elif verdict is Fate.CUT_OFF:
            packet.fate = verdict
        else:
            self._refuse_datagram(packet, sender)

    def _is_member(self, group: str) -> bool:
        """Whether any socket of this machine has joined a group (IP_MULTICAST_ALL)."""
        return any(
            group in opened._file.groups
            for opened in self._descriptors.values()
            if isinstance(opened._file, UdpFile) and opened._file.groups
        )

    def _refuse_datagram(self, packet: Packet, sender: UdpFile) -> None:
        """Say that the port is unreachable (RFC 792)."""
        packet.arrived, packet.fate = self.clock.now, Fate.REFUSED
        route = self.route(packet.source.address)
        if route is not None and route[1].is_open:
            if route[1].latency:
                self.clock.carry(route[1].latency, sender.refused, packet)
            else:
                sender.refused(packet)


class _Arrival:
    """The end of a datagram's way."""

    __slots__ = ("sender", "target")

    def __init__(self, target: Kernel, sender: UdpFile) -> None:
        self.target = target
        self.sender = sender

    def __call__(self, packet: Packet) -> None:
        self.target.udp_arrived(packet, self.sender)


def _let_go(packet: Packet) -> None:
    """Nobody sends it again."""


def _spread(source: Endpoint, count: int) -> int:
    """Which of several sockets that share a port a peer gets: always the same (SO_REUSEPORT)."""
    return zlib.crc32(f"{source.address} {source.port}".encode()) % count
