"""Many datagrams a system call: recvmmsg(2) and sendmmsg(2) of the C library.

The rule of this module: the memory that the kernel reads and writes is laid out once (`struct mmsghdr`, `struct iovec`,
the names and the payloads), and a call copies whatever came out of it before it returns. It knows no Twisted. The layout
is that of Linux with pointers of 64 bits; elsewhere there are no batches, and `available` says so.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
import sys
from array import array
from collections.abc import Callable, Sequence
from functools import cache

__all__ = ["SLOTS", "ReceiveVector", "SendVector", "available"]

SLOTS = 64
"""Datagrams of one call, at most."""

HEADER = struct.Struct("=QIxxxxQQQQixxxxIxxxx")
"""`struct mmsghdr`: name, its length, iovec, how many, control data, its length, flags; octets of the datagram."""

IOVEC = struct.Struct("=QQ")
NAME_LENGTH, WORDS = 2, HEADER.size // 4
"""Where the length of a name is in a header, and how long that is, in words of 32 bits."""

CACHE_LINE = 64
"""Slots begin at odd multiples of it, lest their first lines fall on each other in the processor's cache."""

DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)


@cache
def _calls() -> tuple[Callable[..., int], Callable[..., int]] | None:
    """The C library's recvmmsg and sendmmsg."""
    if not sys.platform.startswith("linux") or ctypes.sizeof(ctypes.c_void_p) != 8:
        return None
    try:
        library = ctypes.CDLL(None, use_errno=True)
        return library.recvmmsg, library.sendmmsg
    except (OSError, AttributeError):
        return None


def available() -> bool:
    """Whether this system has batches of datagrams."""
    return _calls() is not None


def _address(memory: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


class _Vector:
    """Headers, each with one payload and one name."""

    def __init__(self, slots: int, name_size: int) -> None:
        self.slots = slots
        self.name_size = name_size
        self._names = mmap.mmap(-1, slots * name_size)
        self._iovecs = mmap.mmap(-1, slots * IOVEC.size)
        self._headers = mmap.mmap(-1, slots * HEADER.size)
        names, iovecs = _address(self._names), _address(self._iovecs)
        for slot in range(slots):
            header = (names + slot * name_size, name_size, iovecs + slot * IOVEC.size, 1, 0, 0, 0, 0)
            HEADER.pack_into(self._headers, slot * HEADER.size, *header)
        self._start = _address(self._headers)
        self._words = memoryview(self._headers).cast("I")
        self._name_lengths = self._words[NAME_LENGTH::WORDS]


class ReceiveVector(_Vector):
    """Room for datagrams to come in. What is not used costs no memory.

    Args:
        size: Octets of one datagram, at most; of a longer one the rest is lost.
        name_size: Octets of one name, at most.
        slots: Datagrams a call.
        names_vary: Names are of different lengths, as those of UNIX sockets are.
    """

    def __init__(self, size: int, name_size: int, slots: int = SLOTS, *, names_vary: bool = False) -> None:
        super().__init__(slots, name_size)
        calls = _calls()
        assert calls is not None, "there are no batches on this system"
        self._call = calls[0]
        self._arguments = (ctypes.c_void_p(self._start), slots, DONT_WAIT, None)
        stride = (size // CACHE_LINE + 1 | 1) * CACHE_LINE
        self._payloads = mmap.mmap(-1, slots * stride)
        self._starts = range(0, slots * stride, stride)
        start = _address(self._payloads)
        for slot in range(slots):
            IOVEC.pack_into(self._iovecs, slot * IOVEC.size, start + slot * stride, size)
        self._lengths = [struct.Struct("=" + "56xI4x" * count).unpack_from for count in range(slots + 1)]
        self._senders = [struct.Struct(f"{name_size}s" * count).unpack_from for count in range(slots + 1)]
        self._full_names = memoryview(array("I", [name_size] * slots)) if names_vary else None

    def receive(self, descriptor: int) -> tuple[list[bytes], Sequence[bytes]]:
        """Whatever is there, without waiting: one datagram at least.

        Args:
            descriptor: Of the socket.

        Returns:
            The datagrams, and the names of their senders as the kernel lays them out.

        Raises:
            OSError: As recv(2).
        """
        if self._full_names is not None:
            self._name_lengths[:] = self._full_names
        count = self._call(descriptor, *self._arguments)
        if count < 0:
            raise _error()
        payloads = self._payloads
        lengths = self._lengths[count](self._headers)
        datagrams = [
            payloads[start : start + size] for start, size in zip(self._starts, lengths, strict=False)
        ]
        if self._full_names is None:
            return datagrams, self._senders[count](self._names)
        return datagrams, self._cut_names(count)

    def _cut_names(self, count: int) -> list[bytes]:
        names, size = self._names, self.name_size
        lengths = self._name_lengths[:count].tolist()
        return [names[slot * size : slot * size + length] for slot, length in enumerate(lengths)]


class SendVector(_Vector):
    """Room for datagrams to go out.

    Args:
        size: Octets of one datagram, at most.
        name_size: Octets of every name that is not empty.
        slots: Datagrams a call.
    """

    def __init__(self, size: int, name_size: int, slots: int = SLOTS) -> None:
        super().__init__(slots, name_size)
        calls = _calls()
        assert calls is not None, "there are no batches on this system"
        self._call = calls[1]
        self._pointers = [ctypes.c_void_p(self._start + slot * HEADER.size) for slot in range(slots)]
        self.size = size
        self._payloads = mmap.mmap(-1, slots * size)
        self._begin = _address(self._payloads)
        self._pack_iovecs = [struct.Struct(f"={2 * count}Q").pack_into for count in range(slots + 1)]
        self._laid_out: list[int] = []
        self._named = True

    def load(self, datagrams: Sequence[bytes], names: Sequence[bytes]) -> None:
        """Lay out what is to go out.

        Args:
            datagrams: `slots` at most, none longer than `size`.
            names: To whom, as the kernel lays out names; all empty for a socket that is connected.
        """
        payload, name = b"".join(datagrams), b"".join(names)
        self._payloads[: len(payload)] = payload
        self._names[: len(name)] = name
        self._lay_out(list(map(len, datagrams)))
        if self._named != bool(name):
            self._named = bool(name)
            self._name_lengths[:] = memoryview(array("I", [len(names[0])] * self.slots))

    def _lay_out(self, lengths: list[int]) -> None:
        """Say where each datagram begins and how long it is, unless it is as the last time: equal ones are frequent."""
        if lengths == self._laid_out:
            return
        self._laid_out = lengths
        iovecs: list[int] = []
        at = self._begin
        for length in lengths:
            iovecs += (at, length)
            at += length
        self._pack_iovecs[len(lengths)](self._iovecs, 0, *iovecs)

    def send(self, descriptor: int, first: int, end: int) -> int:
        """Send some of what was laid out, without waiting.

        Args:
            descriptor: Of the socket.
            first: The first to send.
            end: The one after the last.

        Returns:
            How many were sent: one at least.

        Raises:
            OSError: The first could not be sent; as send(2).
        """
        count = self._call(descriptor, self._pointers[first], end - first, DONT_WAIT)
        if count < 0:
            raise _error()
        return count


def _error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
