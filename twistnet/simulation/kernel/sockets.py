"""A socket as Python shows it: what a program holds.

The rule of this module: the methods, the shapes of addresses and the errors are those of `socket.socket` in
non-blocking mode; what they do is done by the file behind it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import TYPE_CHECKING, Any

from .addresses import Address, failure, shown, taken
from .files import File
from .paths import as_path
from .unix import RIGHTS

if TYPE_CHECKING:
    from .kernel import Kernel

__all__ = ["Socket"]


def _shown_path(path: bytes | None) -> str | bytes:
    if not path:
        return ""
    return path if path[:1] == b"\0" else os.fsdecode(path)


class Socket:
    """A descriptor of a simulated socket.

    Attributes:
        family: `AF_INET`, `AF_INET6` or `AF_UNIX`.
        type: `SOCK_STREAM` or `SOCK_DGRAM`.
        proto: 0.
    """

    proto = 0

    def __init__(self, kernel: Kernel, file: File) -> None:
        self._kernel = kernel
        self._file: Any = file
        self._fd = kernel.open_descriptor(self)
        self.family = socket.AddressFamily(file.family)
        self.type = socket.SocketKind(file.kind)
        file.descriptors += 1

    @property
    def file(self) -> Any:
        """The file behind it.

        Raises:
            OSError: EBADF: it has been closed.
        """
        if self._fd < 0:
            raise failure(errno.EBADF)
        return self._file

    def __repr__(self) -> str:
        return f"<simulated socket fd={self._fd} family={self.family.name} type={self.type.name} of {self._kernel.name}>"

    def __enter__(self) -> Socket:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fileno(self) -> int:
        """Its number, or -1 when it is closed."""
        return self._fd

    def setblocking(self, flag: bool) -> None:
        """Only non-blocking sockets are simulated: nothing ever waits in a call."""

    def settimeout(self, value: float | None) -> None:
        """See `setblocking`."""

    def gettimeout(self) -> float:
        """See `setblocking`."""
        return 0.0

    def dup(self) -> Socket:
        """Another descriptor of the same file."""
        return Socket(self._kernel, self.file)

    def close(self) -> None:
        """Give the descriptor up; the last one closes the file."""
        if self._fd < 0:
            return
        self._kernel.close_descriptor(self._fd)
        self._fd = -1
        self._file.descriptors -= 1
        if not self._file.descriptors:
            self._file.close()

    def detach(self) -> int:
        """Give up the object and keep the descriptor."""
        number, self._fd = self._fd, -1
        return number

    # Names

    def _taken(self, address: Any, call: str) -> Any:
        return as_path(address) if self.family == socket.AF_UNIX else taken(address, self.family, call)

    def _shown(self, address: Address | bytes | None) -> Any:
        if self.family == socket.AF_UNIX:
            return _shown_path(address)  # type: ignore[arg-type]
        unbound = ("::" if self.family == socket.AF_INET6 else "0.0.0.0", 0)
        if isinstance(address, tuple) and address[0] in {"::", "0.0.0.0"}:
            return shown((unbound[0], address[1]), self.family)
        return shown(address if isinstance(address, tuple) else unbound, self.family)

    def bind(self, address: Any) -> None:
        """See bind(2).

        Raises:
            OSError: EADDRINUSE, EADDRNOTAVAIL, EINVAL (bound already).
        """
        file, where = self.file, self._taken(address, "bind")
        if file.local is not None:
            raise failure(errno.EINVAL)
        if self.family == socket.AF_UNIX:
            self._kernel.paths.bind(where, file)
            file.local = where
        else:
            self._kernel.bind(file, where)

    def getsockname(self) -> Any:
        """See getsockname(2)."""
        return self._shown(self.file.local)

    def getpeername(self) -> Any:
        """See getpeername(2).

        Raises:
            OSError: ENOTCONN.
        """
        file = self.file
        connected = file.is_connected if self.type == socket.SOCK_STREAM else file.remote is not None
        if not connected:
            raise failure(errno.ENOTCONN)
        return self._shown(file.remote)

    def setsockopt(self, level: int, option: int, value: Any, optlen: int | None = None) -> None:
        """See setsockopt(2)."""
        self.file.set_option(level, option, value)

    def getsockopt(self, level: int, option: int, buflen: int = 0) -> Any:
        """See getsockopt(2)."""
        value = self.file.get_option(level, option)
        if buflen and isinstance(value, int):
            return value.to_bytes(buflen, "little")
        if not buflen and isinstance(value, bytes):
            return int.from_bytes(value, "little")
        return value

    # Connections

    def listen(self, backlog: int = 128) -> None:
        """See listen(2).

        Raises:
            OSError: EOPNOTSUPP, EINVAL (connected).
        """
        file = self.file
        if self.type != socket.SOCK_STREAM:
            raise failure(errno.EOPNOTSUPP)
        self._file = self._kernel.listen(file, backlog)

    def accept(self) -> tuple[Socket, Any]:
        """See accept(2).

        Raises:
            OSError: EAGAIN, EMFILE, EINVAL (not listening).
        """
        file = self.file
        if not file.is_listening:
            raise failure(errno.EINVAL if self.type is socket.SOCK_STREAM else errno.EOPNOTSUPP)
        if not file.queue:
            raise failure(errno.EAGAIN)
        self._kernel.check_room()
        end = file.accept()
        return Socket(self._kernel, end), self._shown(end.remote)

    def connect_ex(self, address: Any, call: str = "connect_ex") -> int:
        """See connect(2): the number of the error, or 0."""
        try:
            return int(self.file.connect(self._taken(address, call)))
        except socket.gaierror:
            raise
        except OSError as error:
            return error.errno or errno.EINVAL

    def connect(self, address: Any) -> None:
        """See connect(2)."""
        number = self.connect_ex(address, "connect")
        if number:
            raise failure(number)

    def shutdown(self, how: int) -> None:
        """See shutdown(2)."""
        self.file.shutdown(how)

    # Octets

    def recv(self, most: int, flags: int = 0) -> bytes:
        """See recv(2); for no octets Python does not ask the kernel."""
        if not most:
            return b""
        if self._fd < 0:
            raise failure(errno.EBADF)
        if self.type is socket.SOCK_STREAM:
            data: bytes = self._file.recv(most, flags)
            return data
        return self.recvfrom(most, flags)[0]

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """See recv(2)."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def recvfrom(self, most: int, flags: int = 0) -> tuple[bytes, Any]:
        """See recvfrom(2)."""
        file = self.file
        if self.type is socket.SOCK_STREAM:
            return file.recv(most, flags), None
        data, source = file.receive_from(most, flags)
        if self.family == socket.AF_UNIX:
            return data, _shown_path(source) if source is not None else None
        return data, shown(source, self.family)

    def recvmsg(self, most: int, ancbufsize: int = 0, flags: int = 0) -> tuple[bytes, list[Any], int, Any]:
        """See recvmsg(2)."""
        if self.family == socket.AF_UNIX and self.type is socket.SOCK_STREAM:
            data, rights = self.file.receive_message(most, flags)
            return data, *self._ancillary(rights, ancbufsize), None
        data, source = self.recvfrom(most, flags)
        return data, [], 0, source

    def _ancillary(self, rights: list[Any], room: int) -> tuple[list[tuple[int, int, bytes]], int]:
        """Descriptors as cmsg(3) shows them, and the flags of the message: without room for them they are gone."""
        if rights and not room:
            self._kernel.drop_descriptors(rights)
            return [], socket.MSG_CTRUNC
        numbers = [self._kernel.receive_descriptor(right) for right in rights]
        return ([(*RIGHTS, struct.pack(f"{len(numbers)}i", *numbers))] if numbers else []), 0

    def send(self, data: Any, flags: int = 0) -> int:
        """See send(2)."""
        if self._fd < 0:
            raise failure(errno.EBADF)
        if self.type is socket.SOCK_STREAM:
            octets: int = self._file.send(data)
            return octets
        return int(self._file.send_to(bytes(data), None))

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Send all, or raise EAGAIN, as a non-blocking socket does."""
        view = memoryview(data)
        while view:
            view = view[self.send(view) :]

    def sendto(self, data: Any, *arguments: Any) -> int:
        """See sendto(2): `sendto(data, address)` or `sendto(data, flags, address)`."""
        file = self.file
        if self.type is socket.SOCK_STREAM and self.family != socket.AF_UNIX:
            return self.send(data)
        if self.type is socket.SOCK_STREAM:
            raise failure(errno.EISCONN if file.is_connected else errno.EOPNOTSUPP)
        return int(file.send_to(bytes(data), self._taken(arguments[-1], "sendto")))

    def sendmsg(self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None) -> int:
        """See sendmsg(2)."""
        data = b"".join(bytes(buffer) for buffer in buffers)
        if ancdata and self.family == socket.AF_UNIX and self.type is socket.SOCK_STREAM:
            return int(self.file.send_message(data, list(ancdata)))
        return self.sendto(data, address) if address is not None else self.send(data)
