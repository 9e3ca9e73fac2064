"""What stands around a kernel in these tests: other machines and the ways between them, or the real kernel instead.

The rule of this module: no Twisted. A script sees a `World` and cannot tell a simulated one from the real one; every wait
in it is for something that poll(2) shows, and has an end.
"""

from __future__ import annotations

import errno
import functools
import select
import socket
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from twistnet.simulation.clock import Clock
from twistnet.simulation.conditions import LinkConfig
from twistnet.simulation.kernel import Kernel, KernelConfig
from twistnet.simulation.link import Direction
from twistnet.simulation.links import Links
from twistnet.simulation.packets import Fate, Packet, Transport
from twistnet.simulation.tape import Tape

__all__ = ["Machines", "RealWorld", "SimulatedWorld", "World", "raises_errno", "same_on_both", "shown_mask"]

PATIENCE = 2.0
"""Seconds that any one wait may take, virtual or real."""
NAMES = {select.POLLIN: "IN", select.POLLOUT: "OUT", select.POLLERR: "ERR", select.POLLHUP: "HUP"}
EVERY = select.POLLIN | select.POLLOUT


def shown_mask(mask: int) -> str:
    """The bits of poll(2), by name."""
    return " ".join(name for bit, name in NAMES.items() if mask & bit)


def raises_errno(number: int, call: Callable[..., object], *arguments: Any) -> None:
    """See that a call fails with this error number."""
    try:
        result = call(*arguments)
    except OSError as error:
        assert errno.errorcode.get(error.errno or 0, error) == errno.errorcode[number]
    else:
        raise AssertionError(f"no {errno.errorcode[number]}, but {result!r}")


class Machines:
    """Kernels and the ways between them: a `Wire`.

    Attributes:
        clock: Of all of them.
        packets: All that were sent, the first first.
        links: The ways.
        verdicts: What a fault does to a port, by machine, transport and port.
    """

    def __init__(self, seed: int = 0, **link: Any) -> None:
        self.clock = Clock()
        self.packets: list[Packet] = []
        self.links = Links(self.clock, Tape(seed), self.packets.append, LinkConfig(**link))
        self.verdicts: dict[tuple[str, Transport, int], Fate] = {}
        self.kernels: dict[str, Kernel] = {}

    def machine(self, name: str, *addresses: str, **config: Any) -> Kernel:
        """Add one."""
        kernel = self.kernels[name] = Kernel(
            name,
            addresses,
            clock=self.clock,
            wire=self,
            loopback=self.links.direction(name, name),
            record=self.packets.append,
            ready={},
            config=KernelConfig(**config),
        )
        return kernel

    def route(self, kernel: Kernel, host: str) -> tuple[Kernel | None, Direction] | None:
        """See `Wire.route`."""
        for other in self.kernels.values():
            if host in other.addresses:
                return other, self.links.direction(kernel.name, other.name)
        return None

    def others(self, kernel: Kernel) -> Iterator[tuple[Kernel, Direction]]:
        """See `Wire.others`."""
        for other in self.kernels.values():
            if other is not kernel:
                yield other, self.links.direction(kernel.name, other.name)

    def verdict(self, kernel: Kernel, transport: Transport, port: int) -> Fate | None:
        """See `Wire.verdict`."""
        return self.verdicts.get((kernel.name, transport, port))

    def run(self, seconds: float, until: Callable[[], object] = lambda: False) -> bool:
        """Let so much time pass, or less if something is so; returns whether it is."""
        end = self.clock.now + seconds
        while not until():
            due = self.clock.next_time
            if due is None or due > end:
                self.clock.now = end
                return bool(until())
            self.clock.now = max(self.clock.now, due)
            self.clock.fire_due()
        return True

    def pair(self, one: Kernel, other: Kernel, port: int = 7000) -> tuple[Any, Any]:
        """The two ends of a connection from one machine to another, which stops listening."""
        host = other.addresses[0] if one is not other else "127.0.0.1"
        with other.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(5)
            client = one.socket()
            client.connect_ex((host, port))
            assert self.run(PATIENCE, lambda: listener.file.queue)
            return client, listener.accept()[0]


class World:
    """Sockets of one machine, real or simulated, and what a script has seen of them.

    Attributes:
        seen: Everything that it has noted.
    """

    def __init__(self, folder: Path) -> None:
        self.seen: list[Any] = []
        self.folder = folder
        self.closing = ExitStack()

    def open(self, family: int, kind: int) -> Any:
        """A new socket."""
        raise NotImplementedError

    def poll(self, opened: Any) -> int:
        """What poll(2) says of a socket now."""
        raise NotImplementedError

    def wait(self, opened: Any, mask: int = select.POLLIN) -> int:
        """Wait until a socket is ready for any of this; returns what poll(2) says then."""
        raise NotImplementedError

    def path(self, name: str = "socket") -> str:
        """A path for a UNIX socket."""
        return str(self.folder / name)

    def note(self, *things: Any) -> None:
        """Write down what was seen: the scripts must see the same in every world."""
        self.seen.extend(things)

    def attempt(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """What a call returns, or the name of its error."""
        try:
            result = call(*arguments)
        except socket.gaierror as error:
            return f"gaierror {error.errno}"
        except (TypeError, ValueError, OverflowError) as error:
            return type(error).__name__
        except OSError as error:
            return errno.errorcode[error.errno] if error.errno else "OSError"
        return self._keep(result)

    def _keep(self, result: Any) -> Any:
        if isinstance(result, tuple) and result and hasattr(result[0], "fileno"):
            self.closing.callback(result[0].close)
            return "accepted"
        return result

    def tries(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Make a call and write down what became of it."""
        result = self.attempt(call, *arguments)
        self.note(result)
        return result

    def connects(self, client: Any, address: Any) -> str:
        """What `connect_ex` says, by name."""
        number = client.connect_ex(address)
        name = errno.errorcode[number] if number else "0"
        self.note(name)
        return name

    def polls(self, *sockets: Any) -> None:
        """Write down what poll(2) says of sockets."""
        self.note(*(shown_mask(self.poll(opened)) for opened in sockets))

    def error(self, opened: Any) -> None:
        """Write down SO_ERROR."""
        number = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        self.note(errno.errorcode[number] if number else "0")

    def tcp(self, family: int = socket.AF_INET) -> Any:
        """A new TCP socket."""
        return self.open(family, socket.SOCK_STREAM)

    def udp(self, family: int = socket.AF_INET) -> Any:
        """A new UDP socket."""
        return self.open(family, socket.SOCK_DGRAM)

    def unix(self, kind: int = socket.SOCK_STREAM) -> Any:
        """A new UNIX socket."""
        return self.open(socket.AF_UNIX, kind)

    def listener(self, host: str = "127.0.0.1", backlog: int = 5, options: Iterable[int] = ()) -> Any:
        """A listening socket on a port that nobody had."""
        listening = self.tcp(socket.AF_INET6 if ":" in host else socket.AF_INET)
        for option in options:
            listening.setsockopt(socket.SOL_SOCKET, option, 1)
        listening.bind((host, self.dead_port()))
        listening.listen(backlog)
        return listening

    def accept(self, listening: Any) -> Any:
        """The next connection, once it is there."""
        self.wait(listening)
        accepted, _ = listening.accept()
        accepted.setblocking(False)
        self.closing.callback(accepted.close)
        return accepted

    def connected(self, listening: Any) -> tuple[Any, Any]:
        """The two ends of a connection, the client's first."""
        client = self.open(listening.family, socket.SOCK_STREAM)
        client.connect_ex(listening.getsockname())
        self.wait(client, select.POLLOUT)
        return client, self.accept(listening)

    def pair(self) -> tuple[Any, Any]:
        """The two ends of a connection whose listener is closed."""
        listening = self.listener()
        ends = self.connected(listening)
        listening.close()
        return ends

    def bound_udp(self, host: str = "127.0.0.1") -> Any:
        """A UDP socket on a port that the kernel has chosen."""
        bound = self.udp(socket.AF_INET6 if ":" in host else socket.AF_INET)
        bound.bind((host, 0))
        return bound

    def dead_port(self, kind: int = socket.SOCK_STREAM) -> int:
        """A port that nobody has on any address; the real kernel's other programs have theirs."""
        with self.open(socket.AF_INET6, kind) as bound:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            bound.bind(("::", 0))
            port: int = bound.getsockname()[1]
            return port

    def read_all(self, opened: Any, patience: int = 10_000) -> Any:
        """All octets until the peer's end, or until an error, whose name comes last."""
        parts: list[Any] = []
        for _ in range(patience):
            self.wait(opened)
            part = self.attempt(opened.recv, 65536)
            if not isinstance(part, bytes):
                return b"".join(parts), part
            if not part:
                return b"".join(parts)
            parts.append(part)
        raise AssertionError("there is no end of it")


class RealWorld(World):
    """Sockets of the kernel that this program runs on."""

    def open(self, family: int, kind: int) -> Any:
        """See `World.open`."""
        opened = socket.socket(family, kind)
        opened.setblocking(False)
        self.closing.callback(opened.close)
        return opened

    def _poll(self, opened: Any, interest: int, timeout: int) -> int:
        poll = select.poll()
        poll.register(opened, interest)
        return dict(poll.poll(timeout)).get(opened.fileno(), 0)

    def poll(self, opened: Any) -> int:
        """See `World.poll`."""
        return self._poll(opened, EVERY, 0)

    def wait(self, opened: Any, mask: int = select.POLLIN) -> int:
        """See `World.wait`."""
        assert self._poll(opened, mask & EVERY, int(PATIENCE * 1000)) & mask, f"never {shown_mask(mask)}"
        return self.poll(opened)


class SimulatedWorld(World):
    """Sockets of a simulated kernel.

    Attributes:
        machines: It alone.
        kernel: Itself.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.machines = Machines()
        self.kernel = self.machines.machine("here", "10.0.0.1", "fd00::1")

    def open(self, family: int, kind: int) -> Any:
        """See `World.open`."""
        opened = self.kernel.socket(family, kind)
        self.closing.callback(opened.close)
        return opened

    def poll(self, opened: Any) -> int:
        """See `World.poll`: what has been sent has arrived by then, as it has on a real loopback."""
        self.machines.run(0.001)
        return int(opened.file.poll())

    def wait(self, opened: Any, mask: int = select.POLLIN) -> int:
        """See `World.wait`."""
        assert self.machines.run(PATIENCE, lambda: opened.file.poll() & mask), f"never {shown_mask(mask)}"
        return self.poll(opened)


def same_on_both(script: Callable[[World], None]) -> Callable[[Path], None]:
    """A test: a script sees the same on real sockets and on simulated ones."""

    @pytest.mark.skipif(sys.platform != "linux", reason="the simulated kernel does as Linux does")
    @functools.wraps(script)
    def test(tmp_path: Path) -> None:
        seen = []
        for kind in (RealWorld, SimulatedWorld):
            world = kind(tmp_path)
            with world.closing:
                script(world)
            seen.append(world.seen)
        real, simulated = seen
        assert real, "the script has seen nothing"
        assert simulated == real, f"\n     real {real}\nsimulated {simulated}"

    del test.__wrapped__  # pytest would ask for the script's arguments
    return test
