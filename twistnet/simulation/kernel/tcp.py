"""One end of a TCP connection: what a program asks of it, and what comes from the peer.

The rule of this module: what arrives is put in order, whatever the network did to it, and a program is told what Linux
would tell it, at the same moment.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from ..packets import ACK, FIN, PSH, RST, SYN, Fate, Packet
from .addresses import Address, failure, is_any
from .files import ERR, HUP, IN, OUT
from .tcp_sending import TCP, TcpSender
from .tcp_states import AFTER_FIN, OPEN, State

__all__ = ["TcpFile"]

TIME_WAIT = 60.0
"""Seconds for which a closed connection is remembered (TCP_TIMEWAIT_LEN), and an orphan waits for the peer's end."""
NEIGHBOUR = 3.0
"""Seconds until an address that nobody has is known to be unreachable (mcast_solicit times retrans_time)."""

CLOSED, SYN_SENT, SYN_RECEIVED = State.CLOSED, State.SYN_SENT, State.SYN_RECEIVED
UNCONNECTED = frozenset({CLOSED, SYN_SENT, State.LISTEN})
ARRIVED = Fate.ARRIVED


class TcpFile(TcpSender):
    """A connection, from the first SYN to the end of TIME_WAIT."""

    # What a program asks

    @property
    def is_connected(self) -> bool:
        """See `StreamFile.is_connected`."""
        return self.state not in UNCONNECTED

    @property
    def coalesces(self) -> bool:
        """See `StreamFile.coalesces`; it is the peer's direction that says so."""
        peer = self.peer
        return peer is None or peer.path is None or peer.path.config.coalesces

    def connect(self, address: Address) -> int:
        """Begin to connect; see connect(2).

        Returns:
            An error number: EINPROGRESS when all is well, EALREADY, EISCONN; 0 the first time after success.
        """
        if self.state is SYN_SENT:
            return errno.EALREADY
        if self.is_connected or self._told:
            self._told, told = True, self._told
            return errno.EISCONN if told else 0
        if self.error:
            return self.take_error()
        return self._start(address)

    def _start(self, address: Address) -> int:
        here = self.kernel.source_for(address[0])
        if here is None:
            return errno.ENETUNREACH
        if self.local is None or self.local[0] in {"0.0.0.0", "::"}:
            port = self.local[1] if self.local else 0
            self.kernel.tcp.forget(self)
            try:
                self.kernel.tcp.bind(self, (here, port))
            except OSError:
                return errno.EADDRNOTAVAIL
        assert self.local is not None
        if is_any(address[0]):
            address = (here, address[1])
        if self.kernel.is_connected(self.local, address):
            return errno.EADDRNOTAVAIL
        self.remote = address
        self.state = SYN_SENT
        if not self._find_way():
            self.clock.after(NEIGHBOUR, self._fail, errno.EHOSTUNREACH)
            return errno.EINPROGRESS
        self.kernel.remember(self)
        self._send(SYN)
        return errno.EINPROGRESS

    def send(self, data: Any) -> int:
        """See send(2).

        Raises:
            OSError: EAGAIN, EPIPE, ECONNRESET, ETIMEDOUT, ENOTCONN.
        """
        if self.error or self.write_closed or self.state in UNCONNECTED:
            self._refuse_to_send()
        if self._acks:
            self._take_acks()
        room = self.send_buffer - len(self.outgoing) - (self._sent_next - self._sent_first)
        if room <= 0:
            self._expect_acks()
            raise failure(errno.EAGAIN)
        octets = len(data)
        if octets > room:
            data, octets = data[:room], room
        fits = octets <= self._mss and self._sent_next + octets <= self._window_edge
        if fits and octets and not self.outgoing and self.path.whole:
            self._send(PSH | ACK, bytes(data))
        else:
            self.outgoing += data
            self._flush()
        return octets

    def _refuse_to_send(self) -> None:
        self.raise_error()
        raise failure(errno.EAGAIN if self.state is SYN_SENT else errno.EPIPE)

    def set_option(self, level: int, option: int, value: Any) -> None:
        """See `File.set_option`."""
        super().set_option(level, option, value)
        if (level, option) == (socket.SOL_SOCKET, socket.SO_KEEPALIVE) and value and self.state in OPEN:
            self.watch_over()

    def has_read(self) -> None:
        """See `StreamFile.has_read`: a window that was nearly shut is opened again."""
        edge = self._expected + self.receive_buffer - self.incoming.size
        half = (self.receive_buffer + 1) // 2
        worth_telling = edge - self._advertised >= min(half, 2 * self._mss)
        if worth_telling and self._advertised - self._expected < half:
            self._acknowledge()

    def shutdown(self, how: int) -> None:
        """See shutdown(2).

        Raises:
            OSError: ENOTCONN.
        """
        if not self.is_connected:
            raise failure(errno.ENOTCONN)
        self._told = True
        if how in {socket.SHUT_RD, socket.SHUT_RDWR}:
            self.read_closed = True
        if how in {socket.SHUT_WR, socket.SHUT_RDWR}:
            self._finish()
        self.wake()

    def _finish(self) -> None:
        if not self.write_closed:
            self.write_closed = self._finishing = True
            self._flush()

    def close(self) -> None:
        """See `File.close`: unread input, or a linger of zero, makes it a reset (RFC 2525, section 2.17)."""
        if not self.is_connected:
            self._destroy()
            return
        if self.incoming.size or self.lingers_not:
            self.abandon()
            return
        self.orphaned = self.read_closed = True
        self._finish()
        if self.state is State.FIN_WAIT_2:
            self.clock.after(TIME_WAIT, self._expire)

    @property
    def lingers_not(self) -> bool:
        """Whether SO_LINGER is on with no seconds."""
        value = self.options.get((socket.SOL_SOCKET, socket.SO_LINGER))
        return isinstance(value, bytes) and value[:1] != b"\0" and not any(value[4:8])

    def abandon(self) -> None:
        """Reset the connection."""
        if self.state not in {CLOSED, State.TIME_WAIT}:
            self._send(RST | ACK)
        self._destroy()

    def reset_from_outside(self) -> None:
        """A middlebox lets nothing through any more, and sends a reset in the peer's name.

        What is on its way from the peer arrives before that.
        """
        if self.state is CLOSED:
            return
        way, seq = (self.peer.path, self.peer._sent_next) if self.peer is not None else (self.path, 0)
        reset = Packet(self.clock.now, TCP, self.there, self.here, b"", RST, seq)
        self.kernel.record(reset)
        self.clock.carry(way.latency, self.arrived_if_open, reset)
        self.path = self.path.severed()

    def vanish(self) -> None:
        """The machine is gone: nobody is told."""
        self._destroy()

    def poll(self) -> int:
        """See `File.poll`."""
        if self.state is SYN_SENT:
            return 0
        mask = IN if self.incoming.size or self.ended or self.error or self.read_closed else 0
        if self.error:
            mask |= ERR
        if self.state is CLOSED:
            return mask | OUT | HUP
        if (self.ended or self.read_closed) and self.write_closed:
            mask |= HUP
        if self.write_closed or self._is_writable():
            mask |= OUT
        return mask

    def _is_writable(self) -> bool:
        """Whether a third of the send buffer is free (sk_stream_is_writeable)."""
        if self._acks:
            self._take_acks()
        used = len(self.outgoing) + self._sent_next - self._sent_first
        if used * 3 <= self.send_buffer * 2:
            return True
        self._expect_acks()
        return False

    # What comes in

    def arrived(self, packet: Packet) -> None:
        """A packet has come over the wire."""
        packet.arrived = self.heard_at = self.clock.now
        packet.fate = ARRIVED
        flags = packet.flags
        if flags & RST:
            self._was_reset()
            return
        if flags & SYN:
            self._shake_hands(packet)
            return
        if self.state is SYN_RECEIVED:
            self._accepted()
        self._sent_first = max(self._sent_first, packet.ack)
        if packet.payload or flags & FIN:
            self._take_in(packet)
        elif packet.copy:
            self._acknowledge()

    def arrived_if_open(self, packet: Packet) -> None:
        """A reset from a machine that knows nothing of the connection has come."""
        if self.state is not CLOSED:
            self.arrived(packet)

    def _take_in(self, packet: Packet) -> None:
        if packet.seq == self._expected:
            self._in_order(packet)
            while self._late and self._expected in self._late:
                self._in_order(self._late.pop(self._expected))
        elif packet.seq > self._expected:
            self._late[packet.seq] = packet
        if self.state is not CLOSED:
            self._acknowledge()
            self.wake()

    def _in_order(self, packet: Packet) -> None:
        payload = packet.payload
        if payload:
            if self.read_closed and self.write_closed:
                self._send(RST | ACK)
                self._fail(errno.ECONNRESET)
                return
            self._expected += len(payload)
            self.incoming.put(payload)
        if packet.flags & FIN and self.state in AFTER_FIN:
            self._expected += 1
            self.ended = True
            self._enter(AFTER_FIN[self.state])

    def _enter(self, state: State) -> None:
        self.state = state
        if state is State.TIME_WAIT:
            self.kernel.tcp.forget(self)
            self.clock.after(TIME_WAIT, self._expire)
        elif state is State.FIN_WAIT_2 and self.orphaned:
            self.clock.after(TIME_WAIT, self._expire)
        elif state is CLOSED:
            self._destroy()

    def _expire(self, _: None) -> None:
        if self.state in {State.TIME_WAIT, State.FIN_WAIT_2}:
            self._destroy()

    def _was_reset(self) -> None:
        numbers = {SYN_SENT: errno.ECONNREFUSED, State.CLOSE_WAIT: errno.EPIPE}
        self._fail(numbers.get(self.state, errno.ECONNRESET))

    def _shake_hands(self, packet: Packet) -> None:
        if self.state is SYN_SENT and packet.flags & ACK:
            self.peer = self.target.tcp_end(self.remote, self.local) if self.target else None
            self._established(packet.seq + 1)
            self._send(ACK)
            self.wake()
        elif self.state is SYN_SENT:
            self.kernel.refuse(packet, self)

    def _established(self, expected: int) -> None:
        self.state = State.ESTABLISHED
        self._expected = expected
        self._sent_first = self._sent_next
        self._advertised = expected + self.receive_buffer
        self.heard_at = self.clock.now
        if self.peer is not None:
            self._window_edge = self._sent_next + self.peer.receive_buffer
        if self.flag(socket.SO_KEEPALIVE):
            self.watch_over()

    def welcome(self, packet: Packet, sender: TcpFile, listener: Any) -> None:
        """Be the server's end of the connection that a SYN has asked for."""
        self.listener, self.peer, self._told = listener, sender, True
        self.state = SYN_RECEIVED
        self.local = (packet.destination.address, packet.destination.port)
        self.remote = (packet.source.address, packet.source.port)
        self.options = dict(listener.options)
        self.send_buffer, self.receive_buffer = listener.send_buffer, listener.receive_buffer
        if self._find_way():
            self.kernel.remember(self)
            self._expected = packet.seq + 1
            self._send(SYN | ACK)

    def _accepted(self) -> None:
        self._established(self._expected)
        listener, self.listener = self.listener, None
        if listener is not None:
            listener.admit(self)

    # The end

    def _fail(self, number: int) -> None:
        """The connection is at an end, for a reason that the program is told."""
        if self.state is CLOSED:
            return
        self._destroy()
        if not self.orphaned:
            self.error = number
        self.wake()

    def _destroy(self) -> None:
        """Nothing is left but what the program still has in its hands."""
        self.state = CLOSED
        self.read_closed = self.write_closed = True
        if self.listener is not None:
            self.listener.gone(self)
        self.outgoing.clear()
        self._acks.clear()
        self._late.clear()
        self.kernel.tcp.forget(self)
        self.kernel.forget(self)
