"""Whether guarded connections leave anything behind: many that are accepted, refused and lost at random, on real sockets.

    python benchmarks/policy_memory.py [--connections 100000] [--seed 1]

A server in a process of its own has three guarded ports: one refuses what is too much, one lets it wait, one expects a PROXY
header. Its protocols answer, close, abort, raise, or are not built. The peers come from many addresses of 127/8, and ask,
half-close, reset, stall, flood or vanish. 10,000 more come first, to warm up. Prints what the policies decided, and what the
process holds before and after. Takes about a minute. Exit status 1 if a slot, a source, a timer, a descriptor or a connection
is left, or if objects, allocated blocks or memory have grown.
"""

from __future__ import annotations

import argparse
import errno
import heapq
import json
import random
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

AT_ONCE, WARM = 400, 10_000
SPARE = {"objects": 100, "blocks": 2000, "MiB": 5.0}
"""What may be more afterwards: far less than one a connection; the heap is not as compact as before."""

MESSAGE = b"x" * 64
FLOOD = b"x" * 300_000
BIND_ADDRESS_NO_PORT = 24  # ip(7); the socket module has no name for it
GUARDS = 3


NETWORKS = [(1, 1 << 16), (1, 1 << 16), (2, 4), (9, 4)]
"""Where peers come from, 127.x, and from how many hosts: some come too often, and some are denied."""


class Storm:
    """Connections to the three ports, so many at once, each with a plan of its own."""

    def __init__(self, ports: list[int], seed: int) -> None:
        self._ports = ports
        self._chance = random.Random(seed)
        self._ready = select.epoll()
        self._open: dict[int, Peer] = {}
        self._departures: list[tuple[float, int, Peer]] = []

    def run(self, count: int) -> None:
        """Let so many come and go."""
        left, told = count, time.monotonic()
        while left or self._open:
            while left and len(self._open) < AT_ONCE:
                left -= 1
                self._begin(left)
            for number, events in self._ready.poll(0.02):
                peer = self._open[number]
                if not peer.go_on(events):
                    self._end(peer)
            self._let_go(time.monotonic())
            if time.monotonic() - told > 10:
                told = time.monotonic()
                print(f"{left} of {count} are left", file=sys.stderr)

    def _begin(self, number: int) -> None:
        chance = self._chance
        which = chance.randrange(3)
        peer = Peer(chance, self._ports[which], proxied=which == 2)
        self._open[peer.socket.fileno()] = peer
        self._ready.register(
            peer.socket, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
        )
        heapq.heappush(self._departures, (time.monotonic() + peer.patience, number, peer))

    def _let_go(self, now: float) -> None:
        """Those whose patience is at its end."""
        while self._departures and self._departures[0][0] <= now:
            _, _, peer = heapq.heappop(self._departures)
            if peer.socket.fileno() >= 0:
                self._end(peer)

    def _end(self, peer: Peer) -> None:
        del self._open[peer.socket.fileno()]
        peer.close()


class Peer:
    """One of them.

    Attributes:
        patience: Seconds after which it goes.
    """

    def __init__(self, chance: random.Random, port: int, *, proxied: bool) -> None:
        network, hosts = chance.choice(NETWORKS)
        host = chance.randrange(hosts)
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
        self.socket.bind((f"127.{network}.{host >> 8}.{host & 255}", 0))
        self.socket.connect_ex(("127.0.0.1", port))
        kind = chance.choices(["ask", "finish", "stall", "flood", "vanish"], [60, 15, 5, 5, 15])[0]
        self.patience = {"vanish": chance.choice([0.0, 0.05]), "flood": 2.0}.get(kind, 5.0)
        self._reads = kind != "flood"
        self._finishes = kind == "finish"
        self._answers = len(MESSAGE) if kind == "ask" else 1 << 30
        self._resets = chance.random() < 0.3
        self._unsent = b"" if kind == "stall" else FLOOD if kind == "flood" else MESSAGE
        if proxied:
            self._unsent = header(chance) + self._unsent

    def go_on(self, events: int) -> bool:
        """Send and read; whether the connection goes on."""
        try:
            if self._unsent and events & select.EPOLLOUT:
                self._unsent = self._unsent[self.socket.send(self._unsent) :]
                if self._finishes and not self._unsent:
                    self.socket.shutdown(socket.SHUT_WR)
            return self._read() and not events & (select.EPOLLERR | select.EPOLLHUP)
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno not in {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN, errno.ECONNREFUSED}:
                raise
            return False

    def _read(self) -> bool:
        while self._reads:
            data = self.socket.recv(65536)
            self._answers -= len(data)
            if not data or self._answers <= 0:
                return False
        return True

    def close(self) -> None:
        """Go, in an orderly way or not."""
        if self._resets:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()


def header(chance: random.Random) -> bytes:
    """A PROXY header, right, cut off or wrong."""
    client = f"127.{chance.choice([1, 2, 9])}.{chance.randrange(256)}.{chance.randrange(8)}"
    right = f"PROXY TCP4 {client} 127.0.0.1 {chance.randrange(1, 65536)} 7007\r\n".encode()
    return chance.choices([right, right[:20], b"HELLO\r\n", b"PROXY UNKNOWN\r\n"], [85, 5, 5, 5])[0]


def ask(port: int) -> dict[str, Any]:
    """How things are at the server."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as client, client.makefile("rb") as file:
        answer: dict[str, Any] = json.loads(file.read())
        return answer


def ask_at_rest(ports: list[int]) -> dict[str, Any]:
    """How things are once no connection is left, and the sources that were idle have been forgotten."""
    wait_for_rest(ports[-1])
    for port in ports[:GUARDS] * 10:  # some are in a bad mood, and reset at once
        with suppress(OSError), socket.socket() as client:
            client.bind(("127.3.0.1", 0))
            client.settimeout(10)
            client.connect(("127.0.0.1", port))
            client.sendall(b"PROXY TCP4 127.3.0.1 127.0.0.1 1 1\r\n")
            client.shutdown(socket.SHUT_WR)
            while client.recv(65536):
                pass
    return wait_for_rest(ports[-1])


def wait_for_rest(port: int) -> dict[str, Any]:
    """How things are once no connection is left, and what was limited by time is over; or after ten seconds."""
    deadline = time.monotonic() + 10
    while ask(port)["connections"] and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    return ask(port)


def complaints(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """What is wrong. The last connection to each port is remembered for its rate."""
    wrong = [f"{after[name]} {name} left" for name in ("slots", "connections", "timers") if after[name]]
    if after["sources"] > GUARDS:
        wrong.append(f"{after['sources']} sources remembered")
    if after["descriptors"] > before["descriptors"]:
        wrong.append("descriptors left open")
    for name, spare in SPARE.items():
        if after[name] - before[name] > spare:
            wrong.append(f"{after[name] - before[name]:.1f} {name} more than before")
    return wrong


def main() -> None:
    """Warm up, measure, let it storm, measure again."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    program = Path(__file__).with_name("policy_memory_server.py")
    command = [sys.executable, str(program), str(options.seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            ports = [int(port) for port in server.stdout.readline().split()]
            storm = Storm(ports[:GUARDS], options.seed)
            storm.run(WARM)
            before = ask_at_rest(ports)
            begun = time.monotonic()
            storm.run(options.connections)
            seconds = time.monotonic() - begun
            after = ask_at_rest(ports)
        finally:
            server.terminate()
    decided = Counter(after["decisions"]) - Counter(before["decisions"])
    print(f"{options.connections} connections in {seconds:.0f} s: {dict(decided)}")
    for name in before:
        if name != "decisions":
            print(f"{name:>12}: {before[name]:>11,.1f} before, {after[name]:>11,.1f} after")
    if wrong := complaints(before, after):
        sys.exit("; ".join(wrong))


if __name__ == "__main__":
    main()
