"""All scripts on one real reactor: `python -m tests.simulation.differential.real epoll [name ...]`.

The rule of this module: one process, one reactor, one script after the other; what is printed is JSON, `{name: events}`.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore
from twisted.logger import globalLogBeginner

from twistnet.transport import fast

from .scripts import SCRIPTS
from .world import World, perform

__all__ = ["RealWorld", "main"]


class RealWorld(World):
    """A world on the loopback interface of this machine, in its own time."""

    group = f"239.255.{os.getpid() // 256 % 256}.{os.getpid() % 256}"

    async def vacant(self, kind: str = "tcp") -> int:
        """A port number that nobody else can take meanwhile.

        A TCP socket that is bound and does not listen refuses, and a UDP socket that is connected elsewhere gets nothing.
        """
        holder = socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
        holder.bind(("127.0.0.1", 0))
        if kind == "udp":
            holder.connect(("127.0.0.1", 9))
        self.at_end(holder.close)
        number: int = holder.getsockname()[1]
        return number


async def run_all(reactor: Any, names: list[str], folder: Path) -> dict[str, list[Any]]:
    """The events of each script."""
    found: dict[str, list[Any]] = {}
    for name in names:
        place = folder / str(len(found))
        place.mkdir()
        found[name] = await perform(SCRIPTS[name], RealWorld(reactor, place))
    return found


def install(kind: str) -> Any:
    """Make a reactor the process's: one of Twisted's, one of them with fast transports, or the one that has no others."""
    of_twisted = kind.removeprefix("fast-")
    module = "twistnet.transport.reactor" if kind == "twistnet" else f"twisted.internet.{of_twisted}reactor"
    importlib.import_module(module).install()
    reactor = importlib.import_module("twisted.internet.reactor")
    return fast(reactor) if kind.startswith("fast-") else reactor


def main(kind: str, *names: str) -> None:
    """Run scripts, all unless some are named, and print their events."""
    reactor = install(kind)
    assert IReactorCore.providedBy(reactor)
    globalLogBeginner.beginLoggingTo([], discardBuffer=True, redirectStandardIO=False)
    with tempfile.TemporaryDirectory() as folder:

        def start() -> None:
            running = Deferred.fromCoroutine(run_all(reactor, list(names or SCRIPTS), Path(folder)))
            running.addCallback(lambda found: sys.stdout.write(json.dumps(found)))
            running.addErrback(lambda failure: failure.printTraceback(sys.stderr))
            running.addBoth(lambda _: reactor.stop())

        reactor.callWhenRunning(start)
        reactor.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
