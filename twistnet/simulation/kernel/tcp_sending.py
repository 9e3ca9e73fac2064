"""What one end of a TCP connection sends: segments, and again those that are lost, until they are acknowledged.

The rule of this module: it does what Linux does at the same moment, so far as a program or a peer can see it. There is no
congestion control, because its effects are those of a link's rate. Where there is no latency, as on loopback, a segment is
with the peer before the call returns. An acknowledgement is an event only for a sender who waits for it.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from ..packets import ACK, FIN, PSH, RST, SYN, Endpoint, Packet, Transport
from .addresses import Address
from .stream import StreamFile
from .tcp_states import AFTER_CLOSE, AFTER_FIN_ACKED, OPEN, State

if TYPE_CHECKING:
    from .kernel import Kernel
    from .tcp import TcpFile

__all__ = ["TCP", "TcpSender"]

SYN_RETRIES = 6
"""Connecting gives up after these: 127 seconds (tcp_syn_retries)."""
RETRIES = 15
"""A connection gives up after these: 924.6 seconds (tcp_retries2)."""
LONGEST_PAUSE = 120.0
"""Seconds between two retransmissions, at most (TCP_RTO_MAX)."""

KEEPIDLE = socket.IPPROTO_TCP, socket.TCP_KEEPIDLE
KEEPINTVL = socket.IPPROTO_TCP, socket.TCP_KEEPINTVL
KEEPCNT = socket.IPPROTO_TCP, socket.TCP_KEEPCNT
DEFAULTS = {KEEPIDLE: 7200, KEEPINTVL: 75, KEEPCNT: 9}
"""Seconds of silence, seconds between questions, and how many questions in vain are the end (tcp(7))."""
CLOSE_ENOUGH = 1e-6
"""Seconds that make no difference to a silence."""

CLOSED, SYN_RECEIVED = State.CLOSED, State.SYN_RECEIVED
TCP = Transport.TCP


class TcpSender(StreamFile):
    """A connection, as a sender knows it.

    Attributes:
        state: As in RFC 9293.
        local: Its own address.
        remote: The peer's.
        outgoing: What the program has written and the peer's window did not allow yet.
        orphaned: Whether the program has closed it.
        heard_at: When the peer was last heard of.
    """

    def __init__(self, kernel: Kernel, family: int) -> None:
        super().__init__(kernel, family)
        self.clock = kernel.clock
        self.state = CLOSED
        self.local: Address | None = None
        self.remote: Address | None = None
        self.outgoing = bytearray()
        self.orphaned = False
        self.heard_at = 0.0
        self.peer: TcpFile | None = None
        self.listener: Any = None
        self._told = False
        self.path: Any = None
        self.target: Any = None
        self._acks: deque[tuple[float, int, int]] = deque()
        self._acks_scheduled = False
        self._wants_acks = False
        self._late: dict[int, Packet] = {}
        self._sent_first = self._sent_next = 0
        self._window_edge = 0
        self._expected = 0
        self._advertised = 0
        self._finishing = False
        self._fin_sent = False
        self._probing = False
        self._probes = 0
        self._watched = False
        self._unanswered = 0
        self._mss = 536

    @property
    def unsent(self) -> int:
        """Octets that were written and are not acknowledged."""
        self._take_acks()
        return len(self.outgoing) + max(0, self._sent_next - self._sent_first)

    def _find_way(self) -> bool:
        """Look up how packets get to the peer."""
        assert self.local is not None
        assert self.remote is not None
        route = self.kernel.route(self.remote[0])
        if route is None:
            return False
        self.target, self.path = route
        self.here = Endpoint(self.kernel.name, *self.local)
        self.there = Endpoint(self.target.name if self.target else "", *self.remote)
        self._mss = self.path.config.mtu - (60 if ":" in self.remote[0] else 40)
        return True

    def _send(self, flags: int, payload: bytes = b"") -> None:
        now = self.clock.now
        packet = Packet(now, TCP, self.here, self.there, payload, flags, self._sent_next, self._expected)
        self.kernel.record(packet)
        self._sent_next += len(payload) + (1 if flags & (SYN | FIN) else 0)
        self._launch(packet)

    def _launch(self, packet: Packet) -> None:
        if self.path.plain:
            if self.path.latency:
                self.clock.carry(self.path.latency, self._reach, packet)
            else:
                self._reach(packet)
        else:
            self.path.carry(packet, len(packet.payload) + 40, self._reach, self._lost)

    def _reach(self, packet: Packet) -> None:
        """The packet is at its destination."""
        peer = self.peer
        if peer is not None and peer.state is not CLOSED:
            peer.arrived(packet)
        elif self.target is not None:
            self.target.tcp_arrived(packet, self)
        else:
            self._lost(packet)

    def _flush(self) -> None:
        """Send what the peer's window allows, then the FIN if it is time."""
        outgoing = self.outgoing
        while outgoing and self.state is not CLOSED:
            size = min(len(outgoing), self._mss, self._window_edge - self._sent_next)
            if size <= 0:
                break
            if not self.path.whole:
                size = self.path.cut(self, self._sent_next - 1, size)
            self._send(PSH | ACK, bytes(outgoing[:size]))
            del outgoing[:size]
            if not self.path.whole:
                self.path.passed(self, self._sent_next - 1)
        if outgoing:
            self._expect_acks()
        elif self._finishing and not self._fin_sent and self.state in AFTER_CLOSE:
            self._fin_sent = True
            self.state = AFTER_CLOSE[self.state]
            self._send(FIN | ACK)
            self._expect_acks()

    def _lost(self, packet: Packet) -> None:
        """A packet will not arrive: send it again when the time is up (RFC 6298)."""
        if packet.flags & RST or self.state is CLOSED:
            return
        first = 1.0 if packet.flags & SYN else 0.2 + 2 * self.path.config.latency
        pause = min(first * 2**packet.tries, LONGEST_PAUSE)
        self.path.awaiting += 1
        self.clock.after(pause, self._retransmit, (packet, self.path))

    def _retransmit(self, lost: tuple[Packet, Any]) -> None:
        packet, way = lost
        way.awaiting -= 1
        end = packet.seq + len(packet.payload) + bool(packet.flags & (SYN | FIN))
        self._take_acks()
        if self.state is CLOSED or (end <= self._sent_first and end > packet.seq):
            return
        if end == packet.seq and not self._is_awaited():
            return
        if packet.tries >= (SYN_RETRIES if packet.flags & SYN else RETRIES):
            self._fail(errno.ETIMEDOUT)
            return
        again = packet.again(self.clock.now)
        again.ack = self._expected
        again.tries += 1
        self.kernel.record(again)
        self._launch(again)

    def _is_awaited(self) -> bool:
        """Whether anybody waits for a packet that only acknowledges: the peer, as the third of its handshake, or we."""
        if self._sent_first < self._sent_next:
            return True
        return self.peer is not None and self.peer.state is SYN_RECEIVED

    # Acknowledgements

    def _acknowledge(self) -> None:
        """Tell the peer what has arrived and how much more may come.

        The peer looks at it when it next wants to send; only one that waits is woken by an event of its own.
        """
        peer = self.peer
        if peer is None or peer.state is CLOSED:
            return
        edge = self._expected + max(0, self.receive_buffer - self.incoming.size)
        self._advertised = edge
        if not (self.path.plain or self.path.is_open):
            peer.go_unanswered()
            return
        peer._acks.append((self.clock.now + self.path.latency, self._expected, edge))
        if peer._wants_acks:
            peer._expect_acks()

    def _expect_acks(self) -> None:
        self._wants_acks = True
        if self._acks and not self._acks_scheduled:
            self._acks_scheduled = True
            self.clock.carry(max(0.0, self._acks[0][0] - self.clock.now), self._heard, None)

    def _take_acks(self) -> None:
        acks, now = self._acks, self.clock.now
        while acks and acks[0][0] <= now:
            self.heard_at, first, edge = acks.popleft()
            if first > self._sent_first:
                self._sent_first = first
                self._probes = 0
            self._window_edge = max(self._window_edge, edge)

    def _heard(self, _: None) -> None:
        """Acknowledgements have come for which somebody waits."""
        self._acks_scheduled = self._wants_acks = False
        if self.state is CLOSED:
            return
        self._take_acks()
        self._flush()
        if self._fin_sent and self._sent_first >= self._sent_next:
            if self.state in AFTER_FIN_ACKED:
                self._enter(AFTER_FIN_ACKED[self.state])
        elif self._fin_sent or self.outgoing:
            self._expect_acks()
        self.wake()

    def go_unanswered(self) -> None:
        """An acknowledgement cannot get through: ask again later, as a retransmission would."""
        if self._probing or self.state is CLOSED:
            return
        self._probing = True
        pause = min((0.2 + 2 * self.path.config.latency) * 2**self._probes, LONGEST_PAUSE)
        self._probes += 1
        self.path.awaiting += 1
        self.clock.after(pause, self._probe, self.path)

    def _probe(self, way: Any) -> None:
        self._probing = False
        way.awaiting -= 1
        if self.state is CLOSED or self._sent_first >= self._sent_next:
            return
        if self._probes > RETRIES:
            self._fail(errno.ETIMEDOUT)
            return
        self._ask(self._sent_first, self._probes)

    def _ask(self, seq: int, tries: int) -> None:
        """Send what is no news, so that the peer says what it has."""
        packet = Packet(self.clock.now, TCP, self.here, self.there, b"", ACK, seq, self._expected)
        packet.copy, packet.tries = True, tries
        self.kernel.record(packet)
        self._launch(packet)

    # Whether an idle peer is there

    def watch_over(self) -> None:
        """Ask the peer for a sign of life whenever it has been silent for long; see SO_KEEPALIVE of socket(7)."""
        if not self._watched:
            self._watched, self._unanswered = True, 0
            self.clock.after(self._setting(KEEPIDLE), self._look_after)

    def _setting(self, option: tuple[int, int]) -> int:
        return self.options.get(option) or DEFAULTS[option]

    def _look_after(self, _: None) -> None:
        self._watched = self.state in OPEN and self.flag(socket.SO_KEEPALIVE)
        if not self._watched:
            return
        self._take_acks()
        idle, silent = self._setting(KEEPIDLE), self.clock.now - self.heard_at
        if silent < idle - CLOSE_ENOUGH or self._sent_first < self._sent_next or self.outgoing:
            self._unanswered = 0
            self.clock.after(max(idle - silent, 1.0), self._look_after)
        elif self._unanswered >= self._setting(KEEPCNT):
            self._send(RST | ACK)
            self._fail(errno.ETIMEDOUT)
        else:
            self._unanswered += 1
            self._ask(self._sent_next - 1, 0)
            self.clock.after(self._setting(KEEPINTVL), self._look_after)

    # What decides

    def _enter(self, state: State) -> None:
        """Go over to another state."""
        raise NotImplementedError

    def _fail(self, number: int) -> None:
        """The connection is at an end, for a reason that the program is told."""
        raise NotImplementedError
