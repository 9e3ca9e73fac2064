"""A socket that accepts connections.

The rule of this module: a connection is complete before the program hears of it, and waits in a queue of limited length;
when that is full, new ones are left unanswered and ask again (listen(2)), unless there is room within a moment.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from ..packets import Fate, Packet
from .addresses import Address, failure
from .files import HUP, IN, OUT
from .stream import StreamFile
from .tcp import TcpFile
from .tcp_states import State

if TYPE_CHECKING:
    from .kernel import Kernel

__all__ = ["TcpListener"]

CROWD = 0.1
"""Seconds: those who call at one instant would come one after the other on a real network, while the program accepts."""
MANY = 4096
"""Of them, how many are remembered at most (tcp_max_syn_backlog)."""


class TcpListener(StreamFile):
    """A listening TCP socket.

    Attributes:
        local: Where it listens.
        backlog: How many connections may wait to be accepted.
        queue: Those that do.
    """

    state = State.LISTEN
    is_connected = False

    def __init__(self, kernel: Kernel, family: int, bound: TcpFile, backlog: int) -> None:
        super().__init__(kernel, family)
        self.is_listening = True
        self.local: Address | None = bound.local
        self.options = bound.options
        self.send_buffer, self.receive_buffer = bound.send_buffer, bound.receive_buffer
        self.backlog = max(0, backlog)
        self.queue: deque[TcpFile] = deque()
        self._half_open: dict[TcpFile, None] = {}
        self._turned_away: deque[tuple[Packet, TcpFile]] = deque(maxlen=MANY)

    def poll(self) -> int:
        """See `File.poll`."""
        if not self.is_listening:
            return OUT | HUP
        return IN if self.queue else 0

    def connect(self, address: Address) -> int:
        """See connect(2): who listens does not connect."""
        return errno.EISCONN

    def asked(self, packet: Packet, sender: TcpFile) -> None:
        """A SYN has arrived."""
        if self._is_full:
            packet.fate = Fate.OVERFLOWED
            sender._lost(packet)
            self._turned_away.append((packet, sender))
            return
        self._welcome(packet, sender)

    @property
    def _is_full(self) -> bool:
        return len(self.queue) + len(self._half_open) > self.backlog

    def _invite(self) -> None:
        """There is room: let those in who came too soon by no more than a crowd takes, and have not asked again."""
        now = self.kernel.clock.now
        while self._turned_away and not self._is_full:
            packet, sender = self._turned_away.popleft()
            if now - packet.sent < CROWD and sender.state is State.SYN_SENT:
                self._welcome(packet, sender)

    def _welcome(self, packet: Packet, sender: TcpFile) -> None:
        packet.arrived, packet.fate = self.kernel.clock.now, Fate.ARRIVED
        end = TcpFile(self.kernel, self.family)
        self._half_open[end] = None
        end.welcome(packet, sender, self)

    def admit(self, end: TcpFile) -> None:
        """A connection is complete."""
        self.gone(end)
        self.queue.append(end)
        self.wake()

    def gone(self, end: TcpFile) -> None:
        """A connection is no longer half open."""
        self._half_open.pop(end, None)

    def accept(self) -> TcpFile:
        """The connection that has waited longest.

        Raises:
            OSError: EAGAIN.
        """
        if not self.queue:
            raise failure(errno.EAGAIN)
        accepted = self.queue.popleft()
        if self._turned_away:
            self._invite()
        return accepted

    def recv(self, most: int, flags: int = 0) -> bytes:
        """See recv(2): there is nothing to receive."""
        raise failure(errno.ENOTCONN)

    def send(self, data: Any) -> int:
        """See send(2): there is nobody to send to."""
        raise failure(errno.EPIPE)

    def has_read(self) -> None:
        """See `StreamFile.has_read`: nothing is ever read."""

    def shutdown(self, how: int) -> None:
        """See shutdown(2): what waits is reset, and nothing more is accepted."""
        if how != socket.SHUT_WR:
            self.is_listening = False
            self.close()

    def _drop_all(self) -> None:
        waiting = [*self.queue, *self._half_open]
        self.queue.clear()
        self._half_open.clear()
        for end in waiting:
            end.abandon()

    def vanish(self) -> None:
        """The machine is gone."""
        self.queue.clear()
        self._half_open.clear()

    def close(self) -> None:
        """See `File.close`: those that were not accepted are reset."""
        self._drop_all()
        self.kernel.tcp.forget(self)
