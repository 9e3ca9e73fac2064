"""What stands behind a descriptor: the part that all sockets share.

The rule of this module: a file knows who watches it and tells them when it may have become ready; whether it is ready is
asked of it afterwards, as poll(2) does.
"""

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, Any

from .addresses import failure

if TYPE_CHECKING:
    from .kernel import Kernel

__all__ = ["ERR", "HUP", "IN", "OUT", "PEEK", "File", "Watch"]

IN, OUT, ERR, HUP = select.POLLIN, select.POLLOUT, select.POLLERR, select.POLLHUP
"""What a file can be ready for, with the bits of poll(2)."""

PEEK = int(socket.MSG_PEEK)
"""A plain number: to ask the enumeration takes longer than to read a message."""

DEFAULTS = {
    (socket.SOL_SOCKET, socket.SO_SNDBUF): "send_buffer",
    (socket.SOL_SOCKET, socket.SO_RCVBUF): "receive_buffer",
}
TOLD = {
    (socket.SOL_SOCKET, socket.SO_TYPE): "kind",
    (socket.SOL_SOCKET, socket.SO_DOMAIN): "family",
    (socket.SOL_SOCKET, socket.SO_ACCEPTCONN): "is_listening",
}


class Watch:
    """Somebody's interest in a descriptor; what the kernel puts among the ready.

    Attributes:
        file: What is watched.
        owner: Whom it belongs to; the kernel never looks at it.
        reader: Who wants to read, or `None`.
        writer: Who wants to write, or `None`.
    """

    __slots__ = ("file", "owner", "reader", "writer")

    def __init__(self, file: File, owner: Any) -> None:
        self.file = file
        self.owner = owner
        self.reader: Any = None
        self.writer: Any = None

    @property
    def wants(self) -> int:
        """What it is interested in: `IN`, `OUT`, both or neither; in neither case does an end go unnoticed."""
        return (IN if self.reader is not None else 0) | (OUT if self.writer is not None else 0)

    def events(self) -> int:
        """What of it there is now, `ERR` and `HUP` included."""
        wants = (IN if self.reader is not None else 0) | (OUT if self.writer is not None else 0)
        return wants and self.file.poll() & (wants | ERR | HUP)


class File:
    """An open socket, which one or more descriptors stand for.

    Attributes:
        kernel: Whose it is.
        family: `AF_INET`, `AF_INET6` or `AF_UNIX`.
        kind: `SOCK_STREAM` or `SOCK_DGRAM`.
        error: The number of an error to be told at the next call (SO_ERROR), or 0.
        options: What `setsockopt` has set.
        descriptors: How many descriptors there are.
        send_buffer: Octets that it takes before it says EAGAIN.
        receive_buffer: Octets that it keeps for the reader.
    """

    kind: int

    def __init__(self, kernel: Kernel, family: int) -> None:
        self.kernel = kernel
        self.family = family
        self.error = 0
        self.options: dict[tuple[int, int], Any] = {}
        self.watches: list[Watch] = []
        self.descriptors = 0
        self.send_buffer = kernel.config.send_buffer
        self.receive_buffer = kernel.config.receive_buffer

    def wake(self) -> None:
        """Tell those who watch that something has changed."""
        for watch in self.watches:
            self.kernel.ready[watch] = None

    def poll(self) -> int:
        """What it is ready for: `IN`, `OUT`, `ERR` and `HUP` together."""
        raise NotImplementedError

    def take_error(self) -> int:
        """The pending error, which is then forgotten."""
        number, self.error = self.error, 0
        return number

    def raise_error(self) -> None:
        """Raise the pending error, if there is one."""
        if self.error:
            raise failure(self.take_error())

    def set_option(self, level: int, option: int, value: Any) -> None:
        """See setsockopt(2); what has no effect here is remembered all the same."""
        self.options[level, option] = value
        name = DEFAULTS.get((level, option))
        if name is not None:
            setattr(self, name, max(1, int(value)))

    def get_option(self, level: int, option: int) -> Any:
        """See getsockopt(2): the number or the octets that were set, or 0."""
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR):
            return self.take_error()
        told = TOLD.get((level, option))
        if told is not None:
            return int(getattr(self, told))
        name = DEFAULTS.get((level, option))
        return getattr(self, name) if name is not None else self.options.get((level, option), 0)

    def flag(self, option: int, level: int = socket.SOL_SOCKET) -> bool:
        """Whether an option is on."""
        return bool(self.options.get((level, option), 0))

    def close(self) -> None:
        """The last descriptor is gone."""
        raise NotImplementedError
