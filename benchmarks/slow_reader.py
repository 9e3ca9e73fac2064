"""The memory that a peer costs which sends 512 MiB and reads nothing, beside Twisted's own echo.

    python benchmarks/slow_reader.py

Prints one line a server. Exit status 1 if twistnet's grows by 8 MiB or more.
"""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from pathlib import Path

MIB = 1 << 20
LIMIT = 8.0

SERVER = """
import sys
from twisted.internet import protocol, reactor
from twisted.protocols.wire import Echo
from twistnet import EchoFactory
factory = EchoFactory() if sys.argv[1] == "twistnet" else protocol.Factory.forProtocol(Echo)
print(reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port, flush=True)
reactor.run()
"""


def memory(pid: int) -> float:
    """MiB that a process occupies."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0]) / 1024


def growth(which: str, octets: int = 512 * MIB) -> tuple[float, float]:
    """MiB by which a server grows, and MiB that it took, when a peer sends and does not read."""
    with subprocess.Popen([sys.executable, "-c", SERVER, which], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            with socket.create_connection(("127.0.0.1", port)) as warm:
                warm.sendall(b"x" * MIB)
                received = 0
                while received < MIB:
                    received += len(warm.recv(MIB))
            before = memory(server.pid)
            with socket.create_connection(("127.0.0.1", port)) as peer:
                peer.settimeout(1)
                sent, deadline = 0, time.monotonic() + 60
                try:
                    while sent < octets and time.monotonic() < deadline:
                        sent += peer.send(b"x" * MIB)
                except TimeoutError:
                    pass
                return memory(server.pid) - before, sent / MIB
        finally:
            server.terminate()


def main() -> None:
    """Measure both."""
    results = {which: growth(which) for which in ("twistnet", "twisted.protocols.wire.Echo")}
    for which, (grown, sent) in results.items():
        print(f"{which}: grew by {grown:.1f} MiB; took {sent:.1f} MiB of 512 from a peer that read nothing")
    if results["twistnet"][0] >= LIMIT:
        sys.exit(f"twistnet grew by more than {LIMIT} MiB")


if __name__ == "__main__":
    main()
