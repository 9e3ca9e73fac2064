"""One machine's kernel: its sockets, its addresses, its ports, and its connections.

The rule of this module: it keeps what is open and by which name it is found; what is done with what comes in from the
network is for `segments` and `datagrams`.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from attrs import field, frozen

from ..clock import Clock
from ..limits import whole
from ..packets import Endpoint, Fate, Packet, Transport
from . import datagrams, segments
from .addresses import Address, failure, is_any, is_group, is_loopback, overlap
from .descriptors import Descriptors
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


class Kernel(Descriptors):
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
        super().__init__(self.config.max_files)
        self.boot()

    def boot(self) -> None:
        """Begin with nothing open."""
        self.is_up = True
        self.tcp = Ports()
        self.udp = Ports()
        self._ends: dict[tuple[Address, Address], TcpFile] = {}
        self.forget_descriptors()

    def halt(self) -> None:
        """Lose everything at once: nobody is told."""
        self.is_up = False
        files = {open_socket._file: None for open_socket in self.open_sockets}
        for file in [*files, *list(self._ends.values())]:
            file.watches.clear()
            file.vanish()
        self.locks.update(dict.fromkeys(self.locks, False))
        self.boot()
        self.is_up = False

    # Sockets

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

    # Names

    def bind(self, file: TcpFile | UdpFile, address: Address) -> None:
        """Bind a TCP or UDP socket.

        Raises:
            OSError: EADDRINUSE, EADDRNOTAVAIL.
        """
        host, _ = address
        if not (is_any(host) or self.has(host) or (isinstance(file, UdpFile) and is_group(host))):
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
        """A segment has come."""
        segments.arrived(self, packet, sender)

    def refuse(self, packet: Packet, sender: TcpFile) -> None:
        """Answer a segment that nobody here wants."""
        segments.refuse(self, packet, sender)

    def reset(self, target: str, port: int | None) -> None:
        """Reset the connections to another machine, those with a port at either end or all."""
        for (local, remote), end in list(self._ends.items()):
            concerned = port is None or port in {local[1], remote[1]}
            if end.target is not None and end.target.name == target and concerned:
                end.reset_from_outside()

    # Datagrams

    def send_datagram(self, file: UdpFile, source: Endpoint, to: Address, data: bytes) -> None:
        """Send a datagram to a machine, to a group, or to all."""
        datagrams.send(self, file, source, to, data)
