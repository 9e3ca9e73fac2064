"""CPU a round trip: a simulated network beside a real epoll reactor over loopback, in one process, in turn.

    python benchmarks/simulation_round_trips.py [--connections 1 100] [--round-trips 10000] [--repeats 7] [--full]

The same protocols and endpoints run over both; each has the client and the server in it, and CPU is the time of the
whole process, the kernel's work for it included. Prints medians, and the median of the ratios of each repetition. Exit
status 1 if a round trip over simulated TCP costs more than a real one.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor as global_reactor  # noqa: E402
from twisted.internet.defer import Deferred, gatherResults  # noqa: E402
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString  # noqa: E402
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol  # noqa: E402

from twistnet.simulation import Network, Trace  # noqa: E402

reactor: Any = global_reactor
MESSAGE = b"x" * 64
Talk = Callable[[int], "Deferred[Any]"]
"""Makes so many round trips in all; its Deferred fires when they are done."""


class Echo(Protocol):
    """Sends back what comes."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)  # type: ignore[union-attr]


class Asker(Protocol):
    """Sends a message, and the next when it has come back."""

    def ask(self, times: int) -> Deferred[None]:
        """Ask so often."""
        self.left, self.missing, self.done = times, len(MESSAGE), Deferred[None]()
        self.transport.write(MESSAGE)  # type: ignore[union-attr]
        return self.done

    def dataReceived(self, data: bytes) -> None:
        self.missing -= len(data)
        if self.missing:
            return
        self.left -= 1
        if self.left:
            self.missing = len(MESSAGE)
            self.transport.write(MESSAGE)  # type: ignore[union-attr]
        else:
            self.done.callback(None)


class DatagramEcho(DatagramProtocol):
    """Sends back what comes."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.transport.write(datagram, addr)  # type: ignore[union-attr]


class DatagramAsker(DatagramProtocol):
    """Sends a datagram, and the next when it has come back."""

    def ask(self, times: int, to: tuple[str, int]) -> Deferred[None]:
        """Ask so often."""
        self.left, self.to, self.done = times, to, Deferred[None]()
        self.transport.write(MESSAGE, to)  # type: ignore[union-attr]
        return self.done

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.left -= 1
        if self.left:
            self.transport.write(MESSAGE, self.to)  # type: ignore[union-attr]
        else:
            self.done.callback(None)


class Real:
    """The real reactor, over loopback."""

    def __init__(self) -> None:
        self.server = self.client = reactor
        self.folder = tempfile.TemporaryDirectory()
        self.path = str(Path(self.folder.name) / "echo")

    address = "127.0.0.1"

    def run(self, awaitable: Any) -> Any:
        """Run the reactor until it is done."""
        results: list[Any] = []

        def ended(result: Any) -> None:
            results.append(result)
            reactor.crash()

        reactor.callLater(0, lambda: Deferred.fromCoroutine(_awaited(awaitable)).addBoth(ended))
        reactor.run(installSignalHandlers=False)
        return results[0]


class Simulated:
    """Two simulated hosts; the client's own sockets for UNIX."""

    def __init__(self, trace: Trace) -> None:
        self.network = Network(trace=trace)
        self.server, self.client = self.network.host("server"), self.network.host("client")
        self.address = self.server.addresses[0]
        self.path = "/echo"

    def run(self, awaitable: Any) -> Any:
        """Run the network until it is done."""
        return self.network.run(_awaited(awaitable))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


async def tcp(world: Any, connections: int) -> Talk:
    """Connections over TCP."""
    port = await serverFromString(world.server, "tcp:0").listen(Factory.forProtocol(Echo))
    return await _stream(world, connections, f"tcp:{world.address}:{port.getHost().port}")


async def unix(world: Any, connections: int) -> Talk:
    """Connections over UNIX sockets."""
    path = f"{world.path}-{connections}"
    await serverFromString(world.client, f"unix:{path}").listen(Factory.forProtocol(Echo))
    return await _stream(world, connections, f"unix:{path}")


async def _stream(world: Any, connections: int, description: str) -> Talk:
    askers = [
        await connectProtocol(clientFromString(world.client, description), Asker())
        for _ in range(connections)
    ]
    return lambda times: gatherResults([asker.ask(times // connections) for asker in askers])


async def udp(world: Any, connections: int) -> Talk:
    """UDP ports, each asking the same one."""
    port = world.server.listenUDP(0, DatagramEcho(), interface=world.address)
    to = world.address, port.getHost().port
    askers = [DatagramAsker() for _ in range(connections)]
    for asker in askers:
        world.client.listenUDP(0, asker, interface=world.address if world.client is reactor else "")
    return lambda times: gatherResults([asker.ask(times // connections, to) for asker in askers])


KINDS = {"TCP": tcp, "UNIX": unix, "UDP": udp}


def cpu(world: Any, talk: Talk, times: int) -> float:
    """CPU of a round trip in microseconds."""
    begun = time.process_time()
    world.run(talk(times) if world.server is not reactor else _later(talk, times))
    return (time.process_time() - begun) / times * 1e6


async def _later(talk: Talk, times: int) -> None:
    await talk(times)


def compare(kind: str, connections: int, times: int, repeats: int) -> float:
    """Measure one kind in all worlds, interleaved, and print a line; the ratio without a trace."""
    worlds: dict[str, Any] = {
        "real": Real(),
        "simulated": Simulated(Trace(limit=0)),
        "simulated, traced": Simulated(Trace()),
    }
    talks = {name: world.run(KINDS[kind](world, connections)) for name, world in worlds.items()}
    costs: dict[str, list[float]] = {name: [] for name in worlds}
    for name, world in worlds.items():
        cpu(world, talks[name], max(connections, times // 10))
    for _ in range(repeats):
        for name, world in worlds.items():
            costs[name].append(cpu(world, talks[name], times))
    parts, ratios = [], {}
    for name, values in costs.items():
        ratios[name] = statistics.median(
            value / real for value, real in zip(values, costs["real"], strict=True)
        )
        ratio = "" if name == "real" else f" ({ratios[name]:.2f} of real)"
        parts.append(f"{name} {statistics.median(values):.1f} us{ratio}")
    print(f"{kind}, {connections} at once, CPU a round trip: {'; '.join(parts)}", flush=True)
    return ratios["simulated"]


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def main() -> None:
    """Compare all kinds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=_count, nargs="+", default=[1, 100])
    parser.add_argument("--round-trips", type=_count, default=5000, help="in each repetition")
    parser.add_argument("--repeats", type=_count, default=5)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--full", action="store_true", help="20,000 round trips, 15 times")
    options = parser.parse_args()
    if options.round_trips < max(options.connections):
        parser.error("--round-trips must be at least --connections")
    times, repeats = (20_000, 15) if options.full else (options.round_trips, options.repeats)
    slow = []
    for kind in options.kinds:
        for connections in options.connections:
            ratio = compare(kind, connections, times, repeats)
            if kind == "TCP" and ratio > 1:
                slow.append(f"{connections} at once: {ratio:.2f}")
    if slow:
        sys.exit(f"simulated TCP costs more than real TCP: {', '.join(slow)}")


if __name__ == "__main__":
    main()
