"""Pipelined requests beside asyncio's streams with lines of `json`: the same handler, the same octets, the one and the other in turn.

    python benchmarks/messages.py [--rounds 11] [--seconds 0.3]

Each server is a process of its own, on one processor; the client, plain sockets, is on the other, and has so many requests
under way on each connection. A window of load on one server and on the other, round after round, in alternating order; what
is printed are the medians of the requests a second and of the ratios within a round. Before that, in this process, what it costs to read
and to write one of the messages with msgspec and with the standard library. Takes about 30 s. Exit status 1 if the ratio is below 1.5.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager

from twistnet.wire.messages import decode_request, encode_reply

TARGET = 1.5
WARM = 2
VALUE = {"name": "temperature", "values": [1, 2.5, 3], "ok": True, "nested": {"a": [1, [2, [None]]]}}
BIG = [VALUE] * 100

HANDLER = """
def handler(value):
    return value
"""
OURS = (
    HANDLER
    + """
from twisted.internet import reactor
from twistnet import MessageFactory
print(reactor.listenTCP(0, MessageFactory(handler, clock=reactor), interface="127.0.0.1").getHost().port, flush=True)
reactor.run()
"""
)
ASYNCIO = (
    HANDLER
    + """
import asyncio, json

async def answer(reader, writer):
    while line := await reader.readline():
        message = json.loads(line)
        writer.write(json.dumps({"id": message["id"], "value": handler(message["value"])}).encode() + b"\\n")
        await writer.drain()
    writer.close()

async def main():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""
)
SERVERS = {"twistnet": OURS, "asyncio": ASYNCIO}


@contextmanager
def serving(program: str, processor: int) -> Iterator[int]:
    """A server in a process of its own; its port."""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            os.sched_setaffinity(server.pid, {processor})
            yield int(server.stdout.readline())
        finally:
            server.terminate()


class Load:
    """Connections to one server, each with so many requests under way; a window sends as many again for each that is answered."""

    def __init__(self, port: int, value: object, connections: int, under_way: int) -> None:
        self._batch = b"".join(encode_reply(number, value) + b"\n" for number in range(under_way))
        self._under_way = under_way
        self._clients = {}
        self._ready = select.epoll()
        for _ in range(connections):
            client = socket.create_connection(("127.0.0.1", port), timeout=10)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._clients[client.fileno()] = client
            self._ready.register(client, select.EPOLLIN)
        client.sendall(self._batch)
        received = b""
        while received.count(b"\n") < under_way:
            received += client.recv(1 << 20)
        if [json.loads(line) for line in received.splitlines()] != [
            json.loads(line) for line in self._batch.splitlines()
        ]:
            sys.exit("what came back is not what was sent")

    def close(self) -> None:
        """Close all connections."""
        self._ready.close()
        for client in self._clients.values():
            client.close()

    def rate(self, seconds: float) -> float:
        """Requests a second that are answered within so many seconds; at the end nothing is under way."""
        missing = dict.fromkeys(self._clients, self._under_way)
        begun = time.perf_counter()
        for client in self._clients.values():
            client.sendall(self._batch)
        answered = 0
        while missing:
            for number, _ in self._ready.poll(10) or sys.exit("a server has not answered for 10 seconds"):
                missing[number] -= self._clients[number].recv(1 << 20).count(b"\n")
                if missing[number]:
                    continue
                answered += self._under_way
                if time.perf_counter() - begun < seconds:
                    missing[number] = self._under_way
                    self._clients[number].sendall(self._batch)
                else:
                    del missing[number]
        return answered / (time.perf_counter() - begun)


def measure(
    value: object, connections: int, under_way: int, rounds: int, seconds: float
) -> dict[str, list[float]]:
    """Requests a second of each server, round by round."""
    processors = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, processors[-1:])
    rates: dict[str, list[float]] = {name: [] for name in SERVERS}
    with ExitStack() as stack:
        loads = {}
        for name, program in SERVERS.items():
            port = stack.enter_context(serving(program, processors[0]))
            loads[name] = stack.enter_context(closing(Load(port, value, connections, under_way)))
        for number in range(-WARM, rounds):
            for name in list(rates)[:: 1 if number % 2 else -1]:
                rates[name].append(loads[name].rate(seconds))
    os.sched_setaffinity(0, processors)
    return {name: measured[WARM:] for name, measured in rates.items()}


def microseconds(work: Callable[[], object]) -> float:
    """Of the processor, for one call: the least of several runs."""
    count = 1
    while _timed(work, count) < 0.02:
        count *= 2
    return min(_timed(work, count) for _ in range(5)) * 1e6 / count


def _timed(work: Callable[[], object], count: int) -> float:
    begun = time.process_time()
    for _ in range(count):
        work()
    return time.process_time() - begun


def compare_libraries(title: str, value: object) -> None:
    """What a message costs by itself; ours with the check of its depth, and of its being a request."""
    message = {"id": 1, "value": value}
    text = encode_reply(1, value)
    ours = microseconds(lambda: decode_request(text)), microseconds(lambda: encode_reply(1, value))
    theirs = microseconds(lambda: json.loads(text)), microseconds(lambda: json.dumps(message).encode())
    for work, mine, other in zip(("read", "written"), ours, theirs, strict=True):
        print(
            f"{title} message, {len(text):>5} octets, {work:>7}: {mine:7.2f} us, by json {other:7.2f} us, "
            f"{other / mine:4.1f} times",
            flush=True,
        )


def main() -> None:
    """Measure all, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.3, help="of load, for one server in one round")
    options = parser.parse_args()
    compare_libraries("small", VALUE)
    compare_libraries("large", BIG)
    worst = float("inf")
    for title, value, connections, under_way in (
        ("small", VALUE, 1, 100),
        ("small", VALUE, 50, 20),
        ("small", VALUE, 1, 1),
        ("large", BIG, 4, 10),
    ):
        rates = measure(value, connections, under_way, options.rounds, options.seconds)
        ratio = statistics.median(one / other for one, other in zip(*rates.values(), strict=True))
        if under_way > 1:
            worst = min(worst, ratio)
        ours, theirs = map(statistics.median, rates.values())
        print(
            f"{title} messages, {connections:>2} connections, {under_way:>3} under way on each: "
            f"{ours:8.0f}/s, asyncio {theirs:8.0f}/s, ratio {ratio:.2f}",
            flush=True,
        )
    print(f"the least ratio of those with more than one under way: {worst:.2f} (the target is {TARGET})")
    sys.exit(worst < TARGET)


if __name__ == "__main__":
    main()
