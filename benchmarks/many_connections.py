"""Many connections at once, each echoing messages of random sizes: every byte is checked, none may be refused.

    python benchmarks/many_connections.py --connections 10000 --messages 100

Starts `twistd twistnet-echo` of this environment and prints one line. Exit status 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BLOCK = random.Random(7).randbytes(1 << 20)


class Conversation:
    """One connection: sends its messages one by one, each when the one before has come back."""

    def __init__(self, client: socket.socket, messages: int, largest: int, seed: int) -> None:
        self.client = client
        self.left = messages
        self.octets = 0
        self._random = random.Random(seed)
        self._largest = largest
        self._next()

    def _next(self) -> None:
        size = self._random.randint(1, self._largest)
        start = self._random.randrange(len(BLOCK) - size)
        self._expected = self._unsent = memoryview(BLOCK)[start : start + size]

    def write(self) -> bool:
        """Send what the kernel takes; whether there is more."""
        self._unsent = self._unsent[self.client.send(self._unsent) :]
        return bool(self._unsent)

    def read(self) -> bool:
        """Check what came; whether the next message is to be sent."""
        data = self.client.recv(65536)
        if not data or data != self._expected[: len(data)]:
            raise SystemExit(
                f"{self.left} messages before its end a connection {'differs' if data else 'ended'}"
            )
        self.octets += len(data)
        self._expected = self._expected[len(data) :]
        if self._expected:
            return False
        self.left -= 1
        if self.left:
            self._next()
        return bool(self.left)


def talk(selector: selectors.DefaultSelector) -> None:
    """Let every conversation that is registered come to its end."""
    told = time.monotonic()
    while selector.get_map():
        for key, events in selector.select(timeout=60) or sys.exit("nothing came for a minute"):
            step(selector, key, events)
        if time.monotonic() - told > 5:
            told = time.monotonic()
            print(f"{len(selector.get_map())} conversations go on", file=sys.stderr)


def step(selector: selectors.DefaultSelector, key: selectors.SelectorKey, events: int) -> None:
    """Do what one conversation is ready for."""
    conversation: Conversation = key.data
    writing = bool(events & selectors.EVENT_WRITE) and conversation.write()
    if events & selectors.EVENT_READ and conversation.read():
        writing = conversation.write()
    if not conversation.left:
        selector.unregister(conversation.client)
    elif writing != bool(key.events & selectors.EVENT_WRITE):
        extra = selectors.EVENT_WRITE if writing else 0
        selector.modify(conversation.client, selectors.EVENT_READ | extra, conversation)


def converse(port: int, count: int, messages: int, largest: int) -> int:
    """Open all connections, then let all of them talk; the octets that came back."""
    selector = selectors.DefaultSelector()
    conversations = []
    for number in range(count):
        client = socket.create_connection(("127.0.0.1", port), timeout=60)
        client.setblocking(False)
        conversations.append(Conversation(client, messages, largest, number))
    print(f"{count} connections are open", file=sys.stderr)
    for conversation in conversations:
        selector.register(conversation.client, selectors.EVENT_READ, conversation)
        if conversation.write():
            selector.modify(conversation.client, selectors.EVENT_READ | selectors.EVENT_WRITE, conversation)
    talk(selector)
    for conversation in conversations:
        conversation.client.close()
    return sum(conversation.octets for conversation in conversations)


def main() -> None:
    """Start the server, converse, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--largest", type=int, default=2000, help="octets of the largest message")
    options = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < options.connections + 100:
        sys.exit(
            f"{options.connections} connections need a hard limit (ulimit -Hn) above that, and it is {hard}"
        )
    command = [
        str(Path(sys.executable).parent / "twistd"),
        "-n",
        "--pidfile=",
        "twistnet-echo",
        "--listen",
        "tcp:0",
    ]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as server,
    ):
        assert server.stdout is not None
        try:
            port = next(
                int(m[1]) for line in server.stdout if (m := re.search(r"serves on \S+ \S+:(\d+)", line))
            )
            start = time.monotonic()
            octets = converse(port, options.connections, options.messages, options.largest)
            seconds = time.monotonic() - start
        finally:
            server.terminate()
            rest = server.stdout.read()
    total = options.connections * options.messages
    print(
        f"{options.connections} connections, {total} messages, {octets} octets, all right, in {seconds:.1f} s "
        f"({total / seconds:.0f} messages a second)"
    )
    if "Traceback" in rest:
        sys.exit(rest)


if __name__ == "__main__":
    main()
