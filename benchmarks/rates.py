"""Whether `rate` is kept in real time: a guarded server that is sent and asked for as much as it lets through.

    python benchmarks/rates.py [--seconds 5]

1 KiB and 100 MiB a second, over real sockets, in either direction, and in both of an echo. What comes in is counted by the
protocol inside the guard, what goes out by its client. The burst that passes at once, a fifth of a second's worth, is counted
too. Takes 17 s. Exit status 1 if one of them is not within 10% of what is configured.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from threading import Thread

RATES = {"1 KiB/s": 1 << 10, "100 MiB/s": 100 << 20}
TOLERANCE = 0.10
BLOCK = bytes(1 << 18)

SERVER = """
import sys
from twisted.internet import reactor
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer
from twistnet import ConnectionConfig, EchoFactory, guard

RATE, SECONDS, WRITES = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3] == "out"
BLOCK = bytes(1 << 16)

@implementer(IPushProducer)
class Peer(Protocol):
    octets = 0
    producing = False

    def connectionMade(self):
        self.began = reactor.seconds()
        if WRITES:
            self.transport.registerProducer(self, True)
            self.resumeProducing()
        else:
            reactor.callLater(SECONDS, self.report)

    def report(self):
        print(self.octets / (reactor.seconds() - self.began), flush=True)

    def dataReceived(self, data):
        self.octets += len(data)

    def connectionLost(self, reason):
        self.producing = False

    def resumeProducing(self):
        self.producing = True
        while self.producing:
            self.transport.write(BLOCK)

    def pauseProducing(self):
        self.producing = False

    def stopProducing(self):
        self.producing = False

factory = EchoFactory() if sys.argv[3] == "echo" else Factory.forProtocol(Peer)
factory = guard(factory, ConnectionConfig(rate=RATE), clock=reactor)
print(reactor.listenTCP(0, factory, interface="127.0.0.1").getHost().port, flush=True)
reactor.run()
"""


def send(client: socket.socket, end: float) -> None:
    """Send as much as is taken, while the connection lasts."""
    with suppress(OSError):
        while time.monotonic() < end:
            client.send(BLOCK)


def receive(client: socket.socket, end: float) -> int:
    """Receive as much as comes; the octets."""
    octets = 0
    with suppress(TimeoutError):
        while time.monotonic() < end:
            octets += len(client.recv(len(BLOCK)))
    return octets


def measure(direction: str, seconds: float, rate: int) -> float:
    """Octets a second that one connection lets through."""
    command = [sys.executable, "-c", SERVER, str(rate), str(seconds), direction]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            address = ("127.0.0.1", int(server.stdout.readline()))
            with socket.create_connection(address, timeout=seconds) as client:
                begun = time.monotonic()
                if direction == "in":
                    send(client, begun + seconds)
                    return float(server.stdout.readline())
                if direction == "echo":
                    Thread(target=send, args=(client, begun + seconds), daemon=True).start()
                return receive(client, begun + seconds) / (time.monotonic() - begun)
        finally:
            server.terminate()


def main() -> None:
    """Measure both rates at the same time, one direction after the other, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="for each direction")
    seconds = parser.parse_args().seconds
    missed = 0
    for direction in ("in", "out", "echo"):
        with ThreadPoolExecutor() as threads:
            measured = threads.map(partial(measure, direction, seconds), RATES.values())
        for (name, rate), octets in zip(RATES.items(), measured, strict=True):
            print(f"{name:>9} {direction:<4}: {octets / rate:.3f} of it over {seconds:g} s", flush=True)
            missed += abs(octets / rate - 1) > TOLERANCE
    if missed:
        sys.exit(f"{missed} missed by more than {TOLERANCE:.0%}")


if __name__ == "__main__":
    main()
