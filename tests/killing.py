"""Transfers of files by real processes, and something that kills them: a connection, a client or a server.

The rule of this module: whatever is killed and whenever, the final name never stands for half a file; the same command, given
again, ends with the right one; and then nothing is left behind.
"""

from __future__ import annotations

import enum
import os
import random
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

from attrs import define, field, frozen

from tests.preloaded import Forked
from tests.running import BIN, PATIENCE, Program, running
from twistnet.wire.file_names import PARTIALS

__all__ = ["LARGEST", "Arena", "Victim"]

LARGEST = 50 << 20
MOST_TRIES = 20
_RESET = struct.pack("ii", 1, 0)


class Victim(enum.Enum):
    """What is killed."""

    CONNECTION = enum.auto()
    CLIENT = enum.auto()
    SERVER = enum.auto()


class Relay:
    """Passes a TCP port on to a UNIX socket, and cuts all that passes when it is told to."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._accepting = Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self) -> None:
        """Reset every connection."""
        ends, self._ends = self._ends, []
        for end in ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Cut everything, and take no more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join(PATIENCE)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._path)
        except OSError:
            client.close()
            server.close()
            return
        self._ends += (client, server)
        back = Thread(target=self._pass_on, args=(server, client), daemon=True)
        back.start()
        self._pass_on(client, server)
        back.join()
        client.close()
        server.close()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 18):
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RD)


@frozen
class Outcome:
    """What one transfer met."""

    way: str
    octets: int
    killed: tuple[Victim, ...]
    runs: int


@define(eq=False)
class Arena:
    """A folder that is served, another of clients, and what can be killed between them.

    Attributes:
        folder: Where all of it is.
        chance: Decides what is killed, and when.
        port: Where clients connect to.
    """

    folder: Path
    chance: random.Random
    relay: Relay
    program: Program
    _server: ExitStack
    _pool: bytes = field(factory=lambda: os.urandom(LARGEST))
    _count: int = 0
    _pace: float = 200e6
    _pause: Event = field(factory=Event)

    @classmethod
    @contextmanager
    def opened(cls, folder: Path, seed: int) -> Iterator[Arena]:
        """One that is closed in the end."""
        for name in ("served", "mine"):
            (folder / name).mkdir()
        server = ExitStack()
        relay = Relay(str(folder / "files.sock"))
        arena = cls(folder, random.Random(seed), relay, _serving(folder, server), server)
        try:
            yield arena
        finally:
            relay.close()
            arena._server.close()

    def transfer(self, kills: int, largest: int = LARGEST) -> Outcome:
        """A transfer in which so many things are killed, if it takes long enough for that; it is checked throughout."""
        self._count += 1
        way = self.chance.choice(("put", "get"))
        size = self.chance.choice(
            (0, 1, self.chance.randrange(1 << 20), self.chance.randrange(largest), largest)
        )
        start = self.chance.randrange(LARGEST - size + 1)
        data = self._count.to_bytes(8, "big")[:size] + self._pool[start : start + size][8:]
        source, target = self._paths(way)
        before = self._prepare(source, target, data)
        killed: list[Victim] = []
        for runs in range(1, MOST_TRIES + 1):
            client = self._client(way)
            while len(killed) < kills and (victim := self._kill(client, size)) is not None:
                killed.append(victim)
                self._check_never_half(target, before, data)
            if client.wait(PATIENCE) == 0:
                self._check_done(target, data)
                self._forget(source, target)
                return Outcome(way, size, tuple(killed), runs)
            self._check_never_half(target, before, data)
        raise AssertionError(f"{way} of {size} octets did not end in {MOST_TRIES} runs; killed: {killed}")

    def _paths(self, way: str) -> tuple[Path, Path]:
        mine, theirs = self.folder / "mine" / "file", self.folder / "served" / "file"
        return (mine, theirs) if way == "put" else (theirs, mine)

    def _prepare(self, source: Path, target: Path, data: bytes) -> bytes | None:
        """Write the file, and half the time another that it will replace, which is returned."""
        source.write_bytes(data)
        if self.chance.random() < 0.5:
            return None
        target.write_bytes(b"what was there before")
        return target.read_bytes()

    def _client(self, way: str) -> Forked:
        where = [f"tcp:127.0.0.1:{self.relay.port}", "--timeout", "20s", "--attempts", "9"]
        words = ["put", "mine/file"] if way == "put" else ["get", "file", "-o", "mine/file"]
        with Path(os.devnull).open("r+b") as nothing, (self.folder / "errors").open("ab") as errors:
            streams = (nothing.fileno(), nothing.fileno(), errors.fileno())
            return Forked([str(BIN / "twistnet"), *words, *where], self.folder, streams)

    def _kill(self, client: Forked, size: int) -> Victim | None:
        """Wait a while and kill something; `None` if the client was done, or is dead, by then."""
        self._pause.wait(self.chance.uniform(0, 0.2 + size / self._pace))
        if client.poll() is not None:
            return None
        victim = self.chance.choice(tuple(Victim))
        if victim is Victim.CONNECTION:
            self.relay.cut()
        elif victim is Victim.CLIENT:
            client.kill()
            client.wait(PATIENCE)
        else:
            self._server.close()  # kills it
            self.program = _serving(self.folder, self._server)
        return victim

    def _check_never_half(self, target: Path, before: bytes | None, data: bytes) -> None:
        there = target.read_bytes() if target.exists() else None
        assert there in (before, data), f"half a file: {len(there or b'')} octets of {len(data)}"

    def _check_done(self, target: Path, data: bytes) -> None:
        assert target.read_bytes() == data
        hidden = self.folder / "served" / PARTIALS
        left = [*self.folder.glob(f"mine/{PARTIALS}*"), *(hidden.iterdir() if hidden.exists() else ())]
        assert left == [], f"left behind: {left}"

    def _forget(self, *paths: Path) -> None:
        for path in paths:
            path.unlink()


def _serving(folder: Path, stack: ExitStack) -> Program:
    command = "twistnet-files --folder served --writable --listen unix:files.sock"
    program = stack.enter_context(running(*command.split(), folder=folder))
    program.addresses(1)
    return program


def errors_of(folder: Path) -> str:
    """What clients have said."""
    return subprocess.run(
        ["tail", "-5", folder / "errors"], capture_output=True, text=True, check=False
    ).stdout
