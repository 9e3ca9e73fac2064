"""The load generator for TLS: one request under way on each connection, every reply compared; prints what `c/load.c` prints.

It is in Python, so it has more to do for a request than the one in C, and is the limit sooner: see `generator_busy`.
"""

from __future__ import annotations

import argparse
import json
import random
import select
import socket
import ssl
import time
from pathlib import Path

MESSAGES = 256


class Client:
    """A connection, and where it is in what it says."""

    def __init__(self, port: int, messages: list[bytes], first: int) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port), timeout=10)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.stream = context.wrap_socket(plain)
        self.stream.setblocking(False)
        self._messages, self._at, self._here = messages, first, b""

    def ask(self) -> None:
        """Send the next message."""
        self._at = (self._at + 1) % MESSAGES
        self._here = b""
        self.sent = time.perf_counter()
        if self.stream.send(self._messages[self._at]) != len(self._messages[self._at]):
            raise SystemExit("a request fills the send buffer")

    def is_answered(self) -> bool:
        """Take what has come; whether it is the whole reply."""
        expected = self._messages[self._at]
        try:
            data = self.stream.recv(len(expected))
        except ssl.SSLWantReadError:
            return False
        self._here += data
        if not data or not expected.startswith(self._here):
            raise SystemExit("wrong reply: other octets than those that must come")
        return len(self._here) == len(expected)


def usage_of(pid: int | str) -> tuple[float, float]:
    """Seconds that all threads of a process have run, and that they have waited while another did."""
    lines = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    return sum(int(ran) for ran, *_ in lines) / 1e9, sum(int(waited) for _, waited, _ in lines) / 1e9


def shares(of: str, before: tuple[float, float], pid: int | str, seconds: float) -> dict[str, float]:
    """What share of so many seconds it has run since then, and waited."""
    ran, waited = usage_of(pid)
    return {f"{of}_busy": (ran - before[0]) / seconds, f"{of}_waited": (waited - before[1]) / seconds}


def exchange(clients: list[Client], until: float) -> list[float]:
    """Go on until then; the seconds that each reply took."""
    by_file = {client.stream.fileno(): client for client in clients}
    taken = []
    with select.epoll() as ready:
        for number in by_file:
            ready.register(number, select.EPOLLIN)
        while time.perf_counter() < until:
            for number, _ in ready.poll(0.2):
                client = by_file[number]
                if client.is_answered():
                    taken.append(time.perf_counter() - client.sent)
                    client.ask()
    return sorted(taken)


def measure(options: argparse.Namespace) -> dict[str, float]:
    """Warm up, then measure."""
    source = random.Random(7)
    messages = [source.randbytes(options.size) for _ in range(MESSAGES)]
    clients = [Client(options.port, messages, number) for number in range(options.connections)]
    for client in clients:
        client.ask()
    exchange(clients, time.perf_counter() + options.warm)
    begun, server, own = time.perf_counter(), usage_of(options.server), usage_of("self")
    taken = exchange(clients, begun + options.seconds) or [options.seconds]
    seconds = time.perf_counter() - begun
    used = shares("server", server, options.server, seconds)
    percentiles = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
    return {
        "requests": len(taken),
        "seconds": seconds,
        "rate": len(taken) / seconds,
        "lost": 0,
        **{name: 1e6 * taken[int(len(taken) * share)] for name, share in percentiles.items()},
        "cpu": 1e6 * used["server_busy"] * seconds / len(taken),
        **used,
        **shares("generator", own, "self", seconds),
    }


def main() -> None:
    """Measure, and print it."""
    parser = argparse.ArgumentParser()
    for name in ("port", "connections", "size", "server"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("warm", "seconds"):
        parser.add_argument(f"--{name}", type=float, required=True)
    print(json.dumps(measure(parser.parse_args())))


if __name__ == "__main__":
    main()
