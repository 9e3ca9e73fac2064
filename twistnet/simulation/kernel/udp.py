"""A UDP socket.

The rule of this module: a datagram arrives whole, once or more, or not at all, and only a connected socket hears that
nobody was there (udp(7), RFC 768, RFC 1122 section 4.1.3.3).
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
from collections import deque
from typing import TYPE_CHECKING, Any

from ..packets import Endpoint, Fate, Packet
from .addresses import ANY, Address, failure, is_any, is_broadcast, is_multicast
from .files import ERR, HUP, IN, OUT, PEEK, File

if TYPE_CHECKING:
    from .kernel import Kernel

__all__ = ["UdpFile"]

LONGEST = {4: 65507, 6: 65527}
"""Octets of the longest payload, by version of IP."""
OVERHEAD = 512
"""What each waiting datagram costs of the receive buffer, besides its octets; 768 together at the least."""
JOINING = {
    (socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP): True,
    (socket.IPPROTO_IP, socket.IP_DROP_MEMBERSHIP): False,
    (socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP): True,
    (socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP): False,
}
ON_BY_DEFAULT = {
    (socket.IPPROTO_IP, socket.IP_MULTICAST_TTL): 1,
    (socket.IPPROTO_IP, socket.IP_MULTICAST_LOOP): 1,
    (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS): 1,
    (socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_LOOP): 1,
}


class UdpFile(File):
    """A UDP socket.

    Attributes:
        local: Its own address, once it is bound.
        remote: The peer's, if it is connected.
        groups: The groups that it has joined.
        dropped: How many datagrams found its receive buffer full.
    """

    kind = socket.SOCK_DGRAM
    is_listening = False

    def __init__(self, kernel: Kernel, family: int) -> None:
        super().__init__(kernel, family)
        self.receive_buffer = kernel.config.datagram_buffer
        self.local: Address | None = None
        self.remote: Address | None = None
        self.groups: set[str] = set()
        self.dropped = 0
        self._reads_no_more = self._writes_no_more = False
        self._queue: deque[tuple[bytes, Address]] = deque()
        self._queued = 0

    def poll(self) -> int:
        """See `File.poll`; an error is there to be read."""
        mask = OUT | (IN if self._queue or self.error or self._reads_no_more else 0)
        mask |= HUP if self._reads_no_more and self._writes_no_more else 0
        return mask | ERR if self.error else mask

    def connect(self, address: Address) -> int:
        """See connect(2): from now on only this peer is heard. Returns an error number, or 0."""
        here = self.kernel.source_for(address[0])
        if here is None:
            return errno.ENETUNREACH
        if is_broadcast(address[0]) and not self.flag(socket.SO_BROADCAST):
            return errno.EACCES
        self._bind_if_needed(here)
        assert self.local is not None
        if is_any(self.local[0]):
            self.local = (here, self.local[1])
        self.remote = (here, address[1]) if is_any(address[0]) else address
        return 0

    def _bind_if_needed(self, host: str) -> None:
        if self.local is None:
            self.kernel.udp.bind(self, (host, 0))

    def send_to(self, data: bytes, address: Address | None) -> int:
        """Send a datagram.

        Args:
            data: Its payload.
            address: Whom to; `None` for the peer that it is connected to.

        Raises:
            OSError: EMSGSIZE, EDESTADDRREQ, EACCES (a broadcast without SO_BROADCAST), EINVAL (port 0), ENETUNREACH,
                ECONNREFUSED for one that was sent before, EPIPE (shut down).
        """
        self.raise_error()
        to = address or self.remote
        if to is None:
            raise failure(errno.EDESTADDRREQ)
        self._check(data, to)
        here = self.kernel.source_for(to[0])
        if here is None:
            raise failure(errno.ENETUNREACH)
        self._bind_if_needed(ANY[socket.AddressFamily(self.family)])
        assert self.local is not None
        if ":" in self.local[0] and ":" not in to[0] and self._only_six:
            raise failure(errno.ENETUNREACH)
        if self._writes_no_more:
            raise failure(errno.EPIPE)
        source = here if is_any(self.local[0]) else self.local[0]
        self.kernel.send_datagram(self, Endpoint(self.kernel.name, source, self.local[1]), to, data)
        return len(data)

    def _check(self, data: bytes, to: Address) -> None:
        if len(data) > LONGEST[6 if ":" in to[0] else 4]:
            raise failure(errno.EMSGSIZE)
        if to[1] == 0:
            raise failure(errno.EINVAL)
        if is_broadcast(to[0]) and not self.flag(socket.SO_BROADCAST):
            raise failure(errno.EACCES)

    def wants(self, packet: Packet) -> int:
        """How well a datagram fits, 0 for not at all: a connected socket before a bound one before a wildcard."""
        assert self.local is not None
        to, source = packet.destination, packet.source
        local = self.local[0]
        if self.remote is not None and self.remote != (source.address, source.port):
            return 0
        if local == to.address:
            return 3 + 4 * (self.remote is not None)
        covered = is_any(local) and (":" in local or ":" not in to.address)
        if not covered or (":" in local and ":" not in to.address and self._only_six):
            return 0
        return 1 + ((":" in local) == (":" in to.address))

    @property
    def _only_six(self) -> bool:
        """Whether a socket with an address of IPv6 has nothing to do with IPv4."""
        assert self.local is not None
        return not is_any(self.local[0]) or self.flag(socket.IPV6_V6ONLY, socket.IPPROTO_IPV6)

    def arrived(self, packet: Packet) -> None:
        """A datagram has come; a full buffer drops it."""
        cost = max(768, len(packet.payload) + OVERHEAD)
        if self._queued + cost > self.receive_buffer and self._queue:
            self.dropped += 1
            packet.fate = Fate.OVERFLOWED
            return
        packet.arrived, packet.fate = self.kernel.clock.now, Fate.ARRIVED
        self._queued += cost
        self._queue.append((packet.payload, (packet.source.address, packet.source.port)))
        self.wake()

    def receive_from(self, most: int, flags: int = 0) -> tuple[bytes, Address]:
        """The next datagram, cut to `most` octets, and who sent it.

        Raises:
            OSError: EAGAIN, ECONNREFUSED.
        """
        self.raise_error()
        if not self._queue:
            raise failure(errno.EAGAIN)
        if flags & PEEK:
            payload, source = self._queue[0]
        else:
            payload, source = self._queue.popleft()
            self._queued -= max(768, len(payload) + OVERHEAD)
        return payload[:most], source

    def refused(self, packet: Packet) -> None:
        """The network has said that nobody is where a datagram went (ICMP): one that is connected there is told."""
        if self.remote == (packet.destination.address, packet.destination.port):
            self.error = errno.ECONNREFUSED
            self.wake()

    def shutdown(self, how: int) -> None:
        """See shutdown(2): it is done all the same if the socket is not connected."""
        self._reads_no_more |= how != socket.SHUT_WR
        self._writes_no_more |= how != socket.SHUT_RD
        self.wake()
        if self.remote is None:
            raise failure(errno.ENOTCONN)

    def set_option(self, level: int, option: int, value: Any) -> None:
        """See `File.set_option`; groups are joined and left here.

        Raises:
            OSError: EINVAL (no group), EADDRINUSE (joined already), EADDRNOTAVAIL (not joined).
        """
        if (level, option) in JOINING:
            self._join(bytes(value), JOINING[level, option])
        else:
            if isinstance(value, bytes) and (level, option) in ON_BY_DEFAULT:
                value = int.from_bytes(value, "little")
            super().set_option(level, option, value)

    def _join(self, request: bytes, joins: bool) -> None:
        group = str(ipaddress.ip_address(request[: 4 if self.family == socket.AF_INET else 16]))
        if not is_multicast(group):
            raise failure(errno.EINVAL)
        if joins == (group in self.groups):
            raise failure(errno.EADDRINUSE if joins else errno.EADDRNOTAVAIL)
        (self.groups.add if joins else self.groups.discard)(group)

    def get_option(self, level: int, option: int) -> Any:
        """See `File.get_option`."""
        if (level, option) in ON_BY_DEFAULT:
            return self.options.get((level, option), ON_BY_DEFAULT[level, option])
        if (level, option) == (socket.IPPROTO_IP, socket.IP_MULTICAST_IF):
            return self.options.get((level, option), struct.pack("4x"))
        return super().get_option(level, option)

    def vanish(self) -> None:
        """The machine is gone."""
        self._queue.clear()

    def close(self) -> None:
        """See `File.close`."""
        self.kernel.udp.forget(self)
