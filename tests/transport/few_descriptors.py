"""An echo server with few file descriptors: `python -m tests.transport.few_descriptors KIND`.

It says its port in its first line and what it logs in the others, and stops when somebody sends "stop".
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path
from typing import Any

from twisted.internet.protocol import Factory, Protocol
from twisted.python import log

from .live_streams import KINDS

SPARE = 6
"""Descriptors that it may open, besides those it has."""


class Echo(Protocol):
    """Answers, or stops."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        if data == b"stop":
            self.transport.reactor.stop()
        self.transport.write(data)


def main(kind: str) -> None:
    """Serve until it is stopped."""
    reactor = KINDS[kind]()
    port = reactor.listenTCP(0, Factory.forProtocol(Echo), interface="127.0.0.1")
    reactor.callWhenRunning(print, port.getHost().port, flush=True)
    log.startLogging(sys.stdout, setStdout=False)
    most = max(int(each.name) for each in Path("/proc/self/fd").iterdir()) + SPARE
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    main(sys.argv[1])
