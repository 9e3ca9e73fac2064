"""Many simulated hosts with many connections: what each costs in CPU and in memory.

    python benchmarks/simulation_hosts.py [--hosts 1000] [--connections 10000]

Every host listens, and connects to those that come after it in a ring; then a message goes over every connection and
comes back. Both ends of a connection, with Twisted's transports and protocols, are in the figures. Beside it, in the same
run, a real epoll reactor makes connections to itself over loopback: as many, or what the limit of open files allows.
Exit status 1 if a message was not answered.
"""

from __future__ import annotations

import argparse
import gc
import re
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol, serverFromString
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import Factory, Protocol

from twistnet.simulation import Network, Trace

MESSAGE = b"hello"


class Echo(Protocol):
    """Sends back what comes."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]


class Asker(Protocol):
    """Asks once."""

    def ask(self) -> Deferred[bytes]:
        """Send the message; fires with the answer."""
        self.answer: Deferred[bytes] = Deferred()
        self.transport.write(MESSAGE)  # type: ignore[union-attr]
        return self.answer

    def dataReceived(self, data: bytes) -> None:
        self.answer.callback(data)


def memory() -> float:
    """KiB that this process occupies."""
    gc.collect()
    return int(re.findall(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())[0])


def measured(what: str, count: int, work: Callable[[], Any]) -> tuple[Any, float]:
    """Do some work and print what it took; its result, and the CPU in microseconds for each of `count`."""
    before, begun, wall = memory(), time.process_time(), time.monotonic()
    result = work()
    spent, seconds = time.process_time() - begun, time.monotonic() - wall
    grown = memory() - before
    print(
        f"{what}: {count} in {seconds:.2f} s, {spent / count * 1e6:.0f} us of CPU and {grown / count:.1f} KiB each",
        flush=True,
    )
    return result, spent / count


async def connect(pairs: Iterator[tuple[Any, str, int]]) -> list[Asker]:
    """Connect each (reactor, address, port), one after the other."""
    return [
        await connectProtocol(TCP4ClientEndpoint(host, address, port), Asker())
        for host, address, port in pairs
    ]


async def ask(askers: list[Asker]) -> None:
    """Ask over all of them at once."""
    answers = await gatherResults([asker.ask() for asker in askers])
    if any(answer != MESSAGE for answer in answers):
        sys.exit("an answer differs")


def simulated(hosts: int, connections: int) -> float:
    """Measure the simulation; the CPU of a connection."""
    network = Network(trace=Trace(limit=0))

    def make() -> list[Any]:
        return [network.host(f"host{number}") for number in range(hosts)]

    def listen() -> None:
        for host in made:
            serverFromString(host, "tcp:7007").listen(Factory.forProtocol(Echo))

    made, _ = measured("simulated hosts", hosts, make)
    measured("listening", hosts, listen)
    pairs = (
        (made[number % hosts], made[(number + 1 + number // hosts) % hosts].addresses[0], 7007)
        for number in range(connections)
    )
    askers, each = measured("simulated connections", connections, lambda: network.run(connect(pairs)))
    measured("messages and answers", connections, lambda: network.run(ask(askers)))
    return each


def real(connections: int) -> float:
    """Measure the real reactor; the CPU of a connection."""
    reactor: Any = EPollReactor()

    def run(coroutine: Any) -> Any:
        results: list[Any] = []

        def ended(result: Any) -> None:
            results.append(result)
            reactor.crash()

        reactor.callLater(0, lambda: Deferred.fromCoroutine(coroutine).addBoth(ended))
        reactor.run(installSignalHandlers=False)
        return results[0]

    port = reactor.listenTCP(0, Factory.forProtocol(Echo), backlog=1000, interface="127.0.0.1")
    pairs = ((reactor, "127.0.0.1", port.getHost().port) for _ in range(connections))
    askers, each = measured("real connections", connections, lambda: run(connect(pairs)))
    measured("messages and answers", connections, lambda: run(ask(askers)))
    return each


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=_count, default=1000)
    parser.add_argument("--connections", type=_count, default=10_000)
    options = parser.parse_args()
    if options.hosts < 2:
        parser.error("--hosts must be 2 or more")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cost = simulated(options.hosts, options.connections)
    beside = real(max(1, min(options.connections, (hard - 100) // 2, 10_000)))
    print(f"a simulated connection costs {cost / beside:.2f} of the CPU of a real one")


if __name__ == "__main__":
    main()
