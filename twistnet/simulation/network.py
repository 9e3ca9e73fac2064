"""A network: hosts, what is between them, and what goes wrong.

The rule of this module: it knows who is there and how they are joined; how time passes is `running`'s affair.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from twisted.internet.abstract import isIPAddress

from ..errors import SimulationError
from .conditions import LinkConfig, changed
from .faulting import Faulting
from .kernel import FilePaths, Kernel, KernelConfig, MemoryPaths
from .kernel.addresses import is_broadcast
from .link import Direction
from .links import Link, Links
from .names import Names
from .reactor import Host
from .running import Running
from .tape import Tape
from .trace import Trace

__all__ = ["Network"]

Boot = Callable[[Host], object]
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
LONGEST = 253
"""Characters of a name (RFC 1035, section 2.3.4, as text)."""
PATIENCE = 3_000_000
"""Events; some ten seconds' worth of them."""
TIMEOUT = 864_000.0
"""Virtual seconds; ten days."""


class Network(Running, Faulting):
    """A network in memory, in virtual time.

    Make hosts, which are reactors, and let things happen with `run`, `advance` and `settle`. As a context manager it
    lends the global reactor to its hosts until it is closed; without, only while it runs.

    Attributes:
        seed: What every choice of the network follows from.
        tape: Those choices.
        random: A `random.Random` for the choices of a test's own; it follows from the seed as well.
        clock: Virtual time.
        names: How names are resolved.
        links: The ways between hosts.
        trace: What has happened.
        hosts: The hosts, by name.

    Args:
        seed: A whole number, at least 0.
        link: What is between hosts unless it is said otherwise: fields of `LinkConfig`; 1 ms of latency by default.
        trace: Where to write down what happens; `Trace(limit=0)` for nowhere.
        patience: How many events `run` and `settle` let happen before they call it a `Livelock`.
        timeout: Virtual seconds after which `run` gives up, unless it is told otherwise; ten days by default.

    Raises:
        TypeError: A setting is of the wrong kind, or `link` has a field that links do not have.
        ValueError: A setting is out of its range.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        link: LinkConfig | dict[str, Any] | None = None,
        trace: Trace | None = None,
        patience: int = PATIENCE,
        timeout: float = TIMEOUT,
    ) -> None:
        if type(seed) is not int or seed < 0:
            raise TypeError(f"seed must be a whole number, at least 0, not {seed!r}")
        if not isinstance(trace, Trace | None):
            raise TypeError(f"trace must be a Trace, not {trace!r}")
        self.seed = seed
        self.tape = Tape(seed)
        self.random = self.tape.another("random")
        self.trace = trace if trace is not None else Trace()
        self.names = Names()
        self.hosts: dict[str, Host] = {}
        self._by_address: dict[str, Host] = {}
        self._numbers = iter(range(1, 1 << 24))
        self._boots: dict[str, Boot] = {}
        Running.__init__(self, patience, timeout)
        Faulting.__init__(self)
        self.links = Links(self.clock, self.tape, self.trace.record, _config(link))
        self.bystander = self._bystander()
        self.current = self.bystander

    def __repr__(self) -> str:
        return f"<simulated network of {', '.join(self.hosts) or 'nobody'}, seed {self.seed}, at {self.clock.now:g} s>"

    # Hosts

    def host(
        self,
        name: str,
        *,
        addresses: Iterable[str] | None = None,
        files: str = "memory",
        config: KernelConfig | None = None,
        boot: Boot | None = None,
    ) -> Host:
        """Add a host.

        Args:
            name: By which other hosts find it.
            addresses: Numeric ones, IPv4 or IPv6, the preferred first; by default one of 10.0.0.0/8 and one of
                fd00::/8.
            files: Where the paths of its UNIX sockets are: `"memory"`, or `"real"` for nodes in the file system.
            config: The limits of its kernel.
            boot: Called with the host now, and whenever it starts again after a crash: opens its ports. It may be an
                `async def`.

        Returns:
            The host, which is a reactor.

        Raises:
            SimulationError: The name or an address is taken.
            TypeError: `config` or `boot` is of the wrong kind.
            ValueError: The name is none that resolves, an address is not one of a host, or `files` is neither.
            Exception: What `boot` raised; there is no such host then.
        """
        if (
            not NAME.fullmatch(name)
            or isIPAddress(name)
            or len(name) > LONGEST
            or name.lower() == "localhost"
        ):
            raise ValueError(f"{name!r} is no name for a host: letters, digits, dots and hyphens make one")
        if not isinstance(config, KernelConfig | None):
            raise TypeError(f"config must be a KernelConfig, not {config!r}")
        if boot is not None and not callable(boot):
            raise TypeError(f"boot must be callable, with the host, not {boot!r}")
        own = self._addresses(addresses)
        taken = [other for other in self.hosts if other.lower() == name.lower()]
        taken += [address for address in own if address in self._by_address]
        if taken:
            raise SimulationError(f"{taken[0]} is taken: every host has its own name and addresses")
        if files not in {"memory", "real"}:
            raise ValueError(f"files must be 'memory' or 'real', not {files!r}")
        host = self.hosts[name] = self._make(name, own, config, FilePaths() if files == "real" else None)
        self._by_address.update(dict.fromkeys(own, host))
        self.names.add(name, *own)
        self.hosts_changed()
        if boot is not None:
            self._boots[name] = boot
            try:
                self._boot(host)
            except BaseException:
                self._remove(host)
                raise
        return host

    def _remove(self, host: Host) -> None:
        """A host that could not boot never was: what it has opened and begun is gone, and its name is free."""
        del self.hosts[host.name], self._boots[host.name]
        for address in host.addresses:
            del self._by_address[address]
        self.names.remove(host.name)
        self.attention.pop(host, None)
        host.kernel.halt()
        host.lose_everything()
        self.hosts_changed()

    def _make(
        self, name: str, addresses: tuple[str, ...], config: KernelConfig | None, paths: FilePaths | None
    ) -> Host:
        kernel = Kernel(
            name,
            addresses,
            clock=self.clock,
            wire=self,
            loopback=self.links.direction(name, name),
            record=self.trace.record,
            ready=self.ready,
            config=config,
            paths=paths or MemoryPaths(),
        )
        return Host(name, self, kernel)

    def _bystander(self) -> Host:
        """What the global reactor is for code that runs on no host."""
        from .bystander import Bystander

        return Bystander("outside", self, self._make("outside", (), None, None).kernel)

    def _addresses(self, given: Iterable[str] | None) -> tuple[str, ...]:
        if given is not None:
            return tuple(dict.fromkeys(map(_address, (given,) if isinstance(given, str) else given)))
        return next(
            pair for pair in map(_numbered, self._numbers) if self._by_address.keys().isdisjoint(pair)
        )

    def crash(self, host: str | Host) -> None:
        """Let a machine stop at once: its connections, ports and timers are gone, and nobody is told.

        Its peers see what peers of a crashed machine see: nothing, until they send and are not answered, or until it
        runs again and refuses what it does not know.
        """
        crashed = self.host_named(host)
        if not crashed.kernel.is_up:
            return
        self.note(crashed.name, "crashes")
        crashed.kernel.halt()
        crashed.lose_everything()
        if self.current is crashed:
            self.enter(crashed)

    def restart(self, host: str | Host) -> None:
        """Let a machine that has crashed run again, with nothing open but what its `boot` opens."""
        restarted = self.host_named(host)
        if restarted.kernel.is_up:
            return
        self.note(restarted.name, "starts again")
        restarted.kernel.boot()
        self._boot(restarted)
        with self.on(restarted):
            restarted.start()

    def _boot(self, host: Host) -> None:
        if host.name in self._boots:
            with self.on(host):
                booted = self._boots[host.name](host)
                if isinstance(booted, Coroutine):
                    self.start(booted)

    # Links

    def link(self, one: str | Host, other: str | Host) -> Link:
        """What is between two hosts: `net.link(a, b).update(latency=0.05)`, `net.link(a, b).towards(b).update(...)`.

        Raises:
            SimulationError: There is no such host.
        """
        return self.links.link(self.host_named(one).name, self.host_named(other).name)

    def direction(self, source: str | Host, target: str | Host) -> Direction:
        """The way from one host to another.

        Raises:
            SimulationError: There is no such host.
        """
        return self.links.direction(self.host_named(source).name, self.host_named(target).name)

    def default_link(self, **changes: Any) -> None:
        """Change what is between every two hosts."""
        self.links.update_default(**changes)

    def route(self, kernel: Kernel, host: str) -> tuple[Kernel | None, Direction] | None:
        """See `Wire.route`."""
        target = self._by_address.get(host)
        return (target.kernel, self.links.direction(kernel.name, target.name)) if target is not None else None

    def others(self, kernel: Kernel) -> Iterator[tuple[Kernel, Direction]]:
        """See `Wire.others`."""
        for host in self.hosts.values():
            if host.kernel is not kernel:
                yield host.kernel, self.links.direction(kernel.name, host.name)

    def note(self, host: str, text: str) -> None:
        """Write a line of one's own into the trace."""
        self.trace.note(self.clock.now, host, "fault", text)


def _config(link: Any) -> LinkConfig:
    if isinstance(link, LinkConfig):
        return link
    if not isinstance(link, dict | None):
        raise TypeError(f"link must be a LinkConfig, or a dictionary of its fields, not {link!r}")
    return changed(LinkConfig(), link or {})


def _numbered(number: int) -> tuple[str, str]:
    """The addresses that a host has by default."""
    return str(ipaddress.ip_address((10 << 24) + number)), str(ipaddress.ip_address((0xFD << 120) + number))


def _address(text: str) -> str:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    own = address.is_loopback or (address.version == 6 and (address.is_link_local or "%" in text))
    if own or address.is_multicast or address.is_unspecified or is_broadcast(str(address)):
        raise ValueError(f"{text} is not an address by which others could reach a host")
    return str(address)
