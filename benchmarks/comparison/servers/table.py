"""Which servers are compared, what each can do, and what it needs to be installed."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from attrs import field, frozen

STREAMS = frozenset({"echo", "lines", "datagrams"})
TLS = STREAMS | {"tls"}
WEB = TLS | {"web"}


@frozen(kw_only=True)
class Server:
    """One that is compared.

    Attributes:
        name: as `--server` takes it.
        title: what it is.
        module: its program, of this package; none for the one in C.
        arguments: of the program.
        requires: what must be importable.
        jobs: what it can do.
        keeps_timers: whether it can be asked to keep a timer.
    """

    name: str
    title: str
    module: str | None
    arguments: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    jobs: frozenset[str] = field(default=STREAMS)
    keeps_timers: bool = True

    def missing(self) -> list[str]:
        """What it needs and is not installed."""
        return [name for name in self.requires if not _is_installed(name)]

    def command(self, programs: Path, job: str) -> list[str]:
        """The words that start it for a job; `programs` has the ones that were compiled."""
        if self.module is None:
            return [str(programs / "echo"), job]
        return [sys.executable, "-m", f"{__package__}.{self.module}", job, *self.arguments]


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # what it is in is not installed
        return False


def _twisted(name: str, title: str, loop: str, *arguments: str) -> Server:
    requires = {"uvloop": ("uvloop",)}.get(loop, ())
    ours = ("twistnet.transport",) if name.startswith("twistnet") else ()
    return Server(
        name=name,
        title=title,
        module="on_twisted",
        arguments=("--loop", loop, *arguments),
        requires=(*requires, *ours),
        jobs=WEB,
    )


def _asyncio(loop: str, title: str, jobs: frozenset[str]) -> Server:
    return Server(
        name=loop, title=title, module="on_asyncio", arguments=("--loop", loop), requires=(loop,), jobs=jobs
    )


SERVERS = (
    Server(name="c", title="C, one thread, epoll; recvfrom and sendto", module=None, keeps_timers=False),
    _twisted("twistnet", "Twisted, fast transports on the epoll reactor", "epoll", "--fast"),
    _twisted("twistnet-reactor", "Twisted, twistnet's reactor", "twistnet"),
    _twisted("twistnet-asyncio", "Twisted, fast transports on the asyncio reactor", "asyncio", "--fast"),
    _twisted(
        "twistnet-uvloop", "Twisted, fast transports on the asyncio reactor on uvloop", "uvloop", "--fast"
    ),
    _twisted("twisted-epoll", "Twisted, epoll reactor", "epoll"),
    _twisted("twisted-asyncio", "Twisted, asyncio reactor", "asyncio"),
    _twisted("twisted-uvloop", "Twisted, asyncio reactor on uvloop", "uvloop"),
    _asyncio("asyncio", "asyncio, Protocol", TLS),
    _asyncio("uvloop", "uvloop, Protocol", TLS),
    _asyncio("rloop", "rloop (asyncio in Rust), Protocol; it has no TLS", STREAMS),
    Server(name="trio", title="trio", module="on_trio", requires=("trio",)),
    Server(name="gevent", title="gevent", module="on_gevent", requires=("gevent",)),
)
