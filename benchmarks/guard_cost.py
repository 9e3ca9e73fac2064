"""What policies cost: the CPU of an echo server a round trip, with every policy switched on, beside the factory alone.

    python benchmarks/guard_cost.py [--rounds 40] [--seconds 0.05]

Twisted's own Echo and twistnet's, each bare and guarded, each in a process of its own; a window of load on one and on the
other in turn, round after round, with 1 connection and with 100, 64 octets a message. Prints the medians of the CPU and,
as what counts, of the ratios within a round. Takes about 20 s. Exit status 1 if `guard` puts anything around a factory of
which nothing is asked.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from twistnet import ConnectionConfig, guard

MESSAGE = bytes(range(64))
HEADER = b"PROXY TCP4 127.0.0.2 127.0.0.1 40000 7007\r\n"
PROTOCOLS = ("wire.Echo", "EchoFactory")
TARGET = 1.15
WARM = 4

SERVER = """
import sys
from twisted.internet import reactor
from twisted.internet.protocol import Factory
from twisted.protocols.wire import Echo
from twistnet import ConnectionConfig, EchoFactory, guard
GIB = 1 << 30
EVERYTHING = ConnectionConfig(
    proxy_protocol="auto", proxy_allow_from="127.0.0.0/8", max_connections=1000, overflow="refuse", per_source=1000,
    accept_rate=1e6, accept_burst=1000, allow="127.0.0.0/8", deny="192.0.2.0/24",
    idle_timeout=60, lifetime=3600, handshake_timeout=10,
    rate=GIB, burst=GIB // 4,
    high_water_mark=65536, low_water_mark=16384, write_buffer_limit=1 << 20,
    no_delay=True, keepalive=True,
)
factory = Factory.forProtocol(Echo) if sys.argv[1] == "wire.Echo" else EchoFactory()
factory.noisy = False
if sys.argv[2] == "guarded":
    factory = guard(factory, EVERYTHING, clock=reactor)
print(reactor.listenTCP(0, factory, interface="127.0.0.1", backlog=200).getHost().port, flush=True)
reactor.run()
"""


@contextmanager
def serving(protocol: str, manner: str, processor: int) -> Iterator[tuple[int, int]]:
    """A server in a process of its own: its process and its port."""
    command = [sys.executable, "-c", SERVER, protocol, manner]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            os.sched_setaffinity(server.pid, {processor})
            yield server.pid, int(server.stdout.readline())
        finally:
            server.terminate()


def cpu(pid: int) -> float:
    """Seconds that a process has computed: its clock, as `clock_getcpuclockid(3)` has it."""
    return time.clock_gettime(~pid << 3 | 2)


def connect(port: int, manner: str) -> socket.socket:
    """A connection that has had its first answer."""
    client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.sendall((HEADER if manner == "guarded" else b"") + MESSAGE)
    if client.recv(64) != MESSAGE:
        sys.exit("what came back is not what was sent")
    return client


class Load:
    """What one server is given to do: so many connections, with a message under way on each while it lasts."""

    def __init__(self, pid: int, port: int, manner: str, connections: int) -> None:
        self._pid = pid
        self._clients = {
            client.fileno(): client for client in (connect(port, manner) for _ in range(connections))
        }
        self._ready = select.epoll()
        for number in self._clients:
            self._ready.register(number, select.EPOLLIN)

    def close(self) -> None:
        """Close all connections."""
        self._ready.close()
        for client in self._clients.values():
            client.close()

    def cost(self, seconds: float) -> float:
        """Microseconds of the server's CPU a round trip."""
        before = cpu(self._pid)
        trips = self._run(seconds)
        return (cpu(self._pid) - before) * 1e6 / trips

    def _run(self, seconds: float) -> int:
        """Round trips in so many seconds; at the end nothing is under way."""
        for client in self._clients.values():
            client.send(MESSAGE)
        under_way, trips, end = len(self._clients), 0, time.perf_counter() + seconds
        while under_way:
            going_on = time.perf_counter() < end
            for number, _ in self._ready.poll(10) or sys.exit("a server has not answered for 10 seconds"):
                client = self._clients[number]
                if client.recv(64) != MESSAGE:
                    sys.exit("what came back is not what was sent")
                trips += 1
                if going_on:
                    client.send(MESSAGE)
                else:
                    under_way -= 1
        return trips


def measure(protocol: str, connections: int, rounds: int, seconds: float) -> tuple[float, float, float]:
    """The medians of the bare CPU, the guarded CPU and their ratio; each round in the other order."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, processors[-1:])
    costs: dict[str, list[float]] = {"bare": [], "guarded": []}
    with ExitStack() as stack:
        loads = {}
        for manner in costs:
            server = stack.enter_context(serving(protocol, manner, processors[0]))
            loads[manner] = stack.enter_context(closing(Load(*server, manner, connections)))
        for number in range(-WARM, rounds):
            for manner in list(costs)[:: 1 if number % 2 else -1]:
                costs[manner].append(loads[manner].cost(seconds))
    os.sched_setaffinity(0, processors)
    bare, guarded = (measured[WARM:] for measured in costs.values())
    ratios = [one / other for one, other in zip(guarded, bare, strict=True)]
    return statistics.median(bare), statistics.median(guarded), statistics.median(ratios)


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=0.05, help="of load, for one server in one round")
    options = parser.parse_args()
    factory = Factory()
    if guard(factory, ConnectionConfig(), clock=Clock()) is not factory:
        sys.exit("guard() wraps a factory of which nothing is asked")
    print("no policy: guard() returns the factory itself")
    print(f"every policy, CPU a round trip of 64 octets (the target is a ratio of at most {TARGET}):")
    for protocol in PROTOCOLS:
        for connections in (1, 100):
            bare, guarded, ratio = measure(protocol, connections, options.rounds, options.seconds)
            print(
                f"{protocol:<12} connections {connections:>3}: {bare:6.2f} us bare, {guarded:6.2f} us guarded, "
                f"ratio {ratio:.3f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
