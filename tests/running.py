"""Programs under test: started as a person would (but for the imports, see `preloaded`), read line by line, and always ended.

The rule of this module: nothing sleeps. A test waits for a line, for bytes or for an exit, and each wait has an end.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition, Thread
from typing import IO

from attrs import define, field

from tests.preloaded import Forked

BIN = Path(sys.executable).parent
PATIENCE = 20.0
"""Seconds that any one wait may take."""

_SERVES = re.compile(r"serves on (?P<kind>\S+) (?P<address>\S+)")
_INET = re.compile(r"\[?(?P<host>[^\]]+?)\]?:(?P<port>[0-9]+)")


@define(eq=False)
class Program:
    """A program that is running, and what it has printed."""

    process: Forked | subprocess.Popen[str]
    output_of: IO[str]
    lines: list[str] = field(factory=list)
    _news: Condition = field(factory=Condition)

    _reader: Thread = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def close(self) -> None:
        """End it, whatever state it is in."""
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.output_of.close()

    def _read(self) -> None:
        for line in self.output_of:
            with self._news:
                self.lines.append(line.rstrip("\n"))
                self._news.notify_all()
        with self._news:
            self.lines.append("")
            self._news.notify_all()

    @property
    def output(self) -> str:
        """All that it has printed."""
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, count: int = 1) -> list[str]:
        """The first so many lines in which a pattern occurs."""

        def found() -> list[str]:
            return [line for line in self.lines if re.search(pattern, line)]

        with self._news:
            self._news.wait_for(lambda: len(found()) >= count or "" in self.lines, PATIENCE)
        assert len(found()) >= count, f"no {count} lines with {pattern!r} in:\n{self.output}"
        return found()[:count]

    def watch(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, until something is so."""
        with self._news:
            for _ in range(int(seconds / 0.05)):
                if until():
                    return
                self._news.wait(0.05)

    def addresses(self, count: int) -> list[tuple[str, str]]:
        """Kind and address of its listeners, once so many are announced."""
        matches = [_SERVES.search(line) for line in self.wait_for("serves on", count)]
        return [(match["kind"], match["address"]) for match in matches if match]

    def send_signal(self, number: int = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal; its exit status, negative for a signal."""
        self.send_signal(number)
        return self.process.wait(PATIENCE)

    def memory(self) -> int:
        """Octets of memory that it occupies."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) * 1024

    def processor_seconds(self) -> float:
        """Seconds of processor time that it has used."""
        parts = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / 100


@contextmanager
def running(*command: str, folder: Path, program: str = "twistd", stdin: bytes = b"") -> Iterator[Program]:
    """A program of this environment, in a folder; killed at the end, if it is still there. `stdin` is no more than fits a pipe."""
    arguments = ["-n", "--pidfile=", *command] if program == "twistd" else list(command)
    output, theirs = os.pipe()
    their_input, feed = os.pipe()
    os.write(feed, stdin)
    os.close(feed)
    process = Forked([str(BIN / program), *arguments], folder, (their_input, theirs, theirs))
    os.close(their_input)
    os.close(theirs)
    started = Program(process, os.fdopen(output, encoding="utf-8"))
    try:
        yield started
    finally:
        started.close()


def finished(
    program: str, *arguments: str, folder: Path, stdin: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """A program of this environment that has run to its end."""
    pipes = [os.pipe() for _ in range(3)]
    (their_input, feed), (output, their_output), (errors, their_errors) = pipes
    command = [str(BIN / program), *arguments]
    process = Forked(command, folder, (their_input, their_output, their_errors))
    for descriptor in (their_input, their_output, their_errors):
        os.close(descriptor)
    with ThreadPoolExecutor() as threads:
        threads.submit(_feed, feed, stdin)
        printed = [threads.submit(_drain, descriptor) for descriptor in (output, errors)]
        try:
            status = process.wait(PATIENCE)
        finally:
            process.kill()
        return subprocess.CompletedProcess(command, status, *(p.result(PATIENCE) for p in printed))


def _feed(descriptor: int, data: bytes) -> None:
    with suppress(BrokenPipeError), open(descriptor, "wb", buffering=0) as pipe:
        while data:
            data = data[pipe.write(data) :]


def _drain(descriptor: int) -> bytes:
    with open(descriptor, "rb") as pipe:
        return pipe.read()


def connect(address: str | tuple[str, int], kind: int = socket.SOCK_STREAM) -> socket.socket:
    """A plain client socket, connected to `host:port`, `[host]:port`, a pair of them, or a path."""
    where: str | tuple[str, int] = address
    family = socket.AF_UNIX
    if isinstance(address, str) and (match := _INET.fullmatch(address)) and not address.startswith("/"):
        where = (match["host"], int(match["port"]))
    if isinstance(where, tuple):
        family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
    client = socket.socket(family, kind)
    client.settimeout(PATIENCE)
    try:
        client.connect(where)
    except BaseException:
        client.close()
        raise
    return client


def until_served(folder: Path, kind: str, path: str) -> None:
    """Wait for an answer at a path: from then on a signal finds the reactor running."""
    with socket.socket(
        socket.AF_UNIX, socket.SOCK_DGRAM if "datagram" in kind else socket.SOCK_STREAM
    ) as client:
        client.settimeout(PATIENCE)
        client.bind(str(folder / "client.sock"))
        client.connect(str(folder / path))
        client.send(b"x")
        assert client.recv(1).lower() == b"x"
    (folder / "client.sock").unlink()


def read_all(client: socket.socket) -> bytes:
    """All that comes until the peer closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def read_exactly(client: socket.socket, octets: int) -> bytes:
    """So many octets, or what came before the peer closed."""
    received = bytearray()
    while len(received) < octets and (piece := client.recv(octets - len(received))):
        received += piece
    return bytes(received)


def ask(client: socket.socket, message: bytes) -> bytes:
    """Send a message and read an answer of the same length."""
    client.sendall(message)
    return read_exactly(client, len(message))


__all__: Sequence[str] = [
    "BIN",
    "PATIENCE",
    "Program",
    "ask",
    "connect",
    "finished",
    "read_all",
    "read_exactly",
    "running",
    "until_served",
]
