"""What a long quiet time costs: connections over simulated TCP, each with a heartbeat every 30 seconds.

    python benchmarks/simulation_day.py [--full]
    python benchmarks/simulation_day.py --connections 1000 --hours 1 6 24

A heartbeat is a message and its answer, by a `LoopingCall` of the client; both ends have an idle timeout of 90 s that
every message resets. Prints, for each number of connections, the CPU of a heartbeat and the memory after each number of
hours: if the cost is linear, neither grows. Exit status 1 if the last stretch of the longest run costs over one and a half
times as much a heartbeat as the first, or memory grew by more than 16 MiB from the first stretch to the last.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from pathlib import Path
from typing import Any

from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.protocols.policies import TimeoutMixin

from twistnet.simulation import Network, Trace

INTERVAL, IDLE = 30.0, 90.0
HOUR = 3600.0


class End(Protocol, TimeoutMixin):
    """One end of a connection, which is given up when nothing comes for long enough."""

    def __init__(self, clock: Any) -> None:
        self.callLater = clock.callLater  # type: ignore[method-assign]

    def connectionMade(self) -> None:
        self.setTimeout(IDLE)

    def dataReceived(self, data: bytes) -> None:
        self.resetTimeout()


class Server(End):
    """Answers."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.transport.write(b"pong")  # type: ignore[union-attr]


class Client(End):
    """Asks, and counts what is answered."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.answered = 0
        self.beat = LoopingCall(self.ask)
        self.beat.clock = clock

    def ask(self) -> None:
        """One heartbeat."""
        self.transport.write(b"ping")  # type: ignore[union-attr]

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        self.answered += 1


async def connect(network: Network, count: int) -> list[Client]:
    """Make all connections, and begin their heartbeats at different times."""
    server, client = network.host("server"), network.host("client")
    await serverFromString(server, "tcp:7007").listen(Factory.forProtocol(lambda: Server(server)))
    endpoint = clientFromString(client, "tcp:server:7007")
    clients = []
    for _ in range(count):
        made = await connectProtocol(endpoint, Client(client))
        clients.append(made)
        made.beat.start(INTERVAL)
        await deferLater(client, INTERVAL / count)
    return clients


def memory() -> float:
    """MiB that this process occupies."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024


def stretch(network: Network, clients: list[Client], seconds: float) -> float:
    """Let some virtual time pass; the CPU of a heartbeat, in microseconds."""
    before = sum(client.answered for client in clients)
    begun = time.process_time()
    network.advance(seconds)
    spent = time.process_time() - begun
    answered = sum(client.answered for client in clients) - before
    if abs(answered - len(clients) * seconds / INTERVAL) > len(clients):
        sys.exit(f"{answered} heartbeats in {seconds:g} s of {len(clients)} connections")
    return spent / answered * 1e6


def measure(count: int, hours: list[float], trace: Trace) -> None:
    """Run once, and print a line after each number of hours."""
    network = Network(trace=trace)
    clients: list[Client] = network.run(connect(network, count))
    network.advance(INTERVAL)
    costs, sizes, now = [], [], 0.0
    begun = time.process_time()
    for hour in hours:
        costs.append(stretch(network, clients, (hour - now) * HOUR))
        sizes.append(memory())
        now = hour
        spent = time.process_time() - begun
        print(
            f"{count} connections, {hour:g} h: {costs[-1]:.1f} us a heartbeat in this stretch, "
            f"{spent:.1f} s of CPU so far, {sizes[-1]:.0f} MiB",
            flush=True,
        )
    if costs[-1] > 1.5 * costs[0]:
        sys.exit(f"the cost of a heartbeat grew from {costs[0]:.1f} to {costs[-1]:.1f} us")
    if sizes[-1] - sizes[0] > 16:
        sys.exit(f"memory grew from {sizes[0]:.0f} to {sizes[-1]:.0f} MiB")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _hours(text: str) -> float:
    number = float(text)
    if not 0.1 <= number <= 10_000:
        raise argparse.ArgumentTypeError("must be from 0.1 to 10000")
    return number


def main() -> None:
    """Measure each number of connections."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=_count, nargs="+", default=[100, 1000])
    parser.add_argument("--hours", type=_hours, nargs="+", default=[0.5, 1, 1.5])
    parser.add_argument("--traced", action="store_true", help="with a trace of the latest 100,000 records")
    parser.add_argument("--full", action="store_true", help="100 and 1,000 connections for 1, 6 and 24 h")
    options = parser.parse_args()
    hours = sorted(set([1.0, 6.0, 24.0] if options.full else options.hours))
    for count in [100, 1000] if options.full else options.connections:
        measure(count, hours, Trace() if options.traced else Trace(limit=0))


if __name__ == "__main__":
    main()
