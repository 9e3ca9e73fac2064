"""Each thing that a tutorial on sockets shows, between our client and our server, our client and a server of plain sockets, and
a client of plain sockets and our server.

The plain ones are what somebody would write who knows how, in a few lines.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.panes import pane
from tests.plain_sockets import (
    hear,
    plain,
    plain_datagrams,
    plain_server,
    say,
    send_in_pieces,
    target,
)
from tests.running import PATIENCE, ask, finished, read_all, running

T = TypeVar("T")
OURS, OUR_CLIENT, OUR_SERVER = "ours and ours", "our client, a plain server", "a plain client, our server"
SERVICES = {
    "upper": "--service upper --encoding utf-8 --listen tcp:0",
    "upper6": "--service upper --listen tcp6:0",
    "path": "--service upper --listen unix:upper.sock",
    "udp": "--service upper --listen udp:0",
    "udp6": "--service upper --listen udp6:0",
    "datagrams": "--service datagram --listen unix-datagram:datagram.sock",
    "once": "--service upper --once --listen tcp:0",
    "greeting": "--service greeting --file greeting.txt --listen tcp:0",
    "silent": "--service classic --protocol discard --listen udp:0",
    "messages": "--service messages --listen tcp:0",
    "files": "--service files --folder files --writable --listen tcp:0",
}
GREETING = "Grüß Gott! " * 20_000


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[dict[str, str]]:
    """The client's strings of our servers."""
    (folder / "greeting.txt").write_text(GREETING, "utf-8")
    (folder / "files").mkdir()
    words = " ".join(SERVICES.values()).split()
    with running("twistnet", "--access-log", "--log-file", "node.log", *words, folder=folder) as program:
        yield dict(zip(SERVICES, map(target, program.addresses(len(SERVICES))), strict=True))


@pytest.fixture(params=[OURS, OUR_CLIENT, OUR_SERVER])
def pairing(request: pytest.FixtureRequest) -> str:
    """Whose the client is, and whose the server."""
    return str(request.param)


@contextmanager
def served(pairing: str, ours: str, serve: Callable[[socket.socket], None], folder: Path) -> Iterator[str]:
    """The client's string of the server that is meant."""
    if pairing == OUR_CLIENT:
        with plain_server(ours, serve, folder) as where:
            yield where
    else:
        yield ours


def met(pairing: str, ours: Callable[[], T], theirs: Callable[[], T]) -> T:
    """What the client that is meant has heard."""
    return theirs() if pairing == OUR_SERVER else ours()


def run_client(folder: Path, *words: str, stdin: bytes = b"") -> bytes:
    """What a command of ours prints that is done."""
    ran = finished("twistnet", *words, folder=folder, stdin=stdin)
    assert (ran.returncode, ran.stderr) == (0, b"")
    return ran.stdout


def upper_stream(peer: socket.socket) -> None:
    """Answer for as long as the client speaks."""
    while data := peer.recv(65536):
        peer.sendall(data.upper())


def upper_datagram(server: socket.socket) -> None:
    """Answer one datagram."""
    data, address = server.recvfrom(65536)
    server.sendto(data.upper(), address)


@pytest.mark.parametrize("name", ["upper", "upper6", "path", "once"])
def test_a_server_that_answers_in_upper_case(
    pairing: str, node: dict[str, str], folder: Path, name: str
) -> None:
    """Over AF_INET, AF_INET6 and AF_UNIX; in a loop, or once."""

    def question() -> bytes:
        with plain(where, folder) as client:
            client.sendall(b"hello\n" * 1000)
            client.shutdown(socket.SHUT_WR)
            return read_all(client)

    with served(pairing, node[name], upper_stream, folder) as where:
        answer = met(pairing, lambda: run_client(folder, "send", where, stdin=b"hello\n" * 1000), question)
    assert answer == b"HELLO\n" * 1000


@pytest.mark.parametrize("name", ["udp", "udp6", "datagrams"])
def test_a_server_that_answers_datagrams(pairing: str, node: dict[str, str], folder: Path, name: str) -> None:
    """The longest that there are, and AF_UNIX too."""
    data = b"x" * 65507

    def question() -> bytes:
        with plain_datagrams(where, folder) as client:
            client.send(data)
            return client.recv(65536)

    with served(pairing, node[name], upper_datagram, folder) as where:
        answer = met(pairing, lambda: run_client(folder, "send", where, stdin=data), question)
    assert answer == data.upper()


def test_a_server_that_speaks_first(pairing: str, node: dict[str, str], folder: Path) -> None:
    """And is heard to the end, though the client speaks too."""

    def greet(peer: socket.socket) -> None:
        peer.sendall(GREETING.encode())
        peer.shutdown(socket.SHUT_WR)
        read_all(peer)

    def listen() -> bytes:
        with plain(where, folder) as client:
            client.sendall(b"me first")
            return read_all(client)

    with served(pairing, node["greeting"], greet, folder) as where:
        heard = met(pairing, lambda: run_client(folder, "send", where, stdin=b"me first"), listen)
    assert heard.decode() == GREETING


def test_a_person_types_the_answers(pairing: str, folder: Path) -> None:
    """Here the person is a pipe, who says two lines and leaves."""
    typed = "Grüß Gott.\nWer da?\n"

    def answer(peer: socket.socket) -> None:
        with peer.makefile("r", encoding="utf-8") as lines:
            assert next(lines) == "hello\n"
            peer.sendall(typed.encode())

    def question() -> bytes:
        with plain(where, folder) as client:
            client.sendall(b"hello\n")
            return read_all(client)

    def consult(where: str) -> bytes:
        return met(pairing, lambda: run_client(folder, "send", where, stdin=b"hello\n"), question)

    if pairing == OUR_CLIENT:
        with plain_server("tcp:", answer, folder) as where:
            said = consult(where)
    else:
        script = f"{typed}/quit\n".encode()
        with running("twistnet-console", "--listen", "tcp:0", folder=folder, stdin=script) as console:
            where = target(console.addresses(1)[0])
            said = consult(where)
            console.wait_for(r"\[1 127\S+\] hello")
    assert said.decode() == typed


@pytest.mark.needs("tmux")
def test_a_client_that_loops_until_q(
    pairing: str, node: dict[str, str], tmp_path: Path, folder: Path
) -> None:
    """Ours at a terminal; what it shows is what the server has answered."""
    lines = ["hello", "grüße", "again"]

    def loop() -> list[str]:
        answers = []
        with plain(where, folder) as client, client.makefile("rw", encoding="utf-8") as talk:
            for line in takewhile(lambda typed: typed != "q", [*lines, "q"]):
                print(line, file=talk, flush=True)
                answers.append(next(talk).rstrip())
        return answers

    def at_a_terminal() -> list[str]:
        with pane(tmp_path) as terminal:
            terminal.run(f"clear; twistnet talk {where}")
            terminal.wait_for(r"^\* talking with .*\n> *$")
            answers = []
            for line in lines:
                terminal.type(f"{line}\r")
                screen = terminal.wait_for(rf"^{line.upper()}\n> *$")
                answers.append(screen.splitlines()[-2])
            terminal.type("q\r")
            terminal.wait_for(r"^\$$")
            return answers

    with served(pairing, node["upper"], upper_text, folder) as where:
        assert met(pairing, at_a_terminal, loop) == ["HELLO", "GRÜSSE", "AGAIN"]


def upper_text(peer: socket.socket) -> None:
    """Answer each line, as text."""
    with peer.makefile("rw", encoding="utf-8") as talk:
        for line in talk:
            print(line.upper(), end="", file=talk, flush=True)


def test_a_time_out(pairing: str, node: dict[str, str], folder: Path) -> None:
    """Of a server that says nothing."""

    def wait() -> str:
        with plain(where, folder) as client:
            client.settimeout(0.1)
            client.send(b"hello")
            with pytest.raises(TimeoutError):
                client.recv(100)
            return "TIMEOUT"

    def ours() -> str:
        ran = finished("twistnet", "send", "--timeout", "100ms", where, folder=folder, stdin=b"hello")
        assert (ran.returncode, ran.stdout) == (1, b"")
        return ran.stderr.decode().split()[0]

    with served(pairing, node["silent"], lambda server: None, folder) as where:
        assert met(pairing, ours, wait) == "TIMEOUT"


def test_error_codes(pairing: str, folder: Path) -> None:
    """0 while somebody listens; 111, which is ECONNREFUSED, once nobody does."""

    def code() -> str:
        with socket.socket() as client:
            number = client.connect_ex(("127.0.0.1", int(where.rpartition(":")[2])))
            return f"{number} {errno.errorcode[number]}" if number else "0"

    def ours() -> str:
        ran = finished("twistnet", "connect", where, folder=folder)
        found = re.fullmatch(r"(OK|REFUSED) (.*) in \S+ m?s: .*\n", ran.stdout.decode())
        assert found
        assert ran.returncode == (0 if found[1] == "OK" else 1)
        return found[2]

    if pairing == OUR_CLIENT:
        with plain_server("tcp:", lambda peer: None, folder) as where:
            codes = [ours()]
    else:
        with running("twistnet-echo", "--listen", "tcp:0", folder=folder) as server:
            where = target(server.addresses(1)[0])
            codes = [met(pairing, ours, code)]
            assert server.end() == -15
    assert [*codes, met(pairing, ours, code)] == ["0", "111 ECONNREFUSED"]


def nested(chance: random.Random, depth: int = 4) -> Any:
    """Lists and dictionaries within one another."""
    kind = chance.randrange(5) if depth else 0
    if kind < 2:
        return chance.choice(
            ["Grüße", "}{", 'a "quoted" \\ word\n', None, True, 1.5, chance.randrange(2**50)]
        )
    values = [nested(chance, depth - 1) for _ in range(chance.randrange(4))]
    return values if kind < 4 else {f"key {number}": value for number, value in enumerate(values)}


def test_a_burst_of_messages_cut_at_random_places(pairing: str, node: dict[str, str], folder: Path) -> None:
    """10,000 of lists and dictionaries within one another: no "Extra data", and each has its reply.

    Plain sockets cut what they send; what our client is told comes in pieces, and what it asks in those of a pipe.
    """
    chance = random.Random(5)
    values = [nested(chance) for _ in range(10_000)]

    def answer(peer: socket.socket) -> None:
        with peer.makefile("rb") as lines:
            for line in lines:
                asked = json.loads(line)
                send_in_pieces(
                    peer, json.dumps({"id": asked["id"], "value": asked["value"]}).encode() + b"\n"
                )

    def burst() -> list[Any]:
        requests = [json.dumps({"id": number, "value": value}) for number, value in enumerate(values)]
        with plain(where, folder) as client, client.makefile("rb") as lines:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sender = threading.Thread(
                target=send_in_pieces, args=(client, "\n".join(requests).encode() + b"\n")
            )
            sender.start()
            replies = {reply["id"]: reply["value"] for reply in (json.loads(next(lines)) for _ in values)}
            sender.join(PATIENCE)
        return [replies[number] for number in range(len(values))]

    def ours() -> list[Any]:
        stdin = "\n".join(json.dumps(value) for value in values).encode()
        return [json.loads(line) for line in run_client(folder, "request", where, stdin=stdin).splitlines()]

    with served(pairing, node["messages"], answer, folder) as where:
        assert met(pairing, ours, burst) == values


def test_a_file_whose_completion_both_sides_know(pairing: str, node: dict[str, str], folder: Path) -> None:
    content = os.urandom(300_000)
    digest = hashlib.sha256(content).hexdigest()
    (folder / "report").write_bytes(content)
    stored = folder / "files" / f"{pairing}.bin"

    def receive(peer: socket.socket) -> None:
        with peer.makefile("rb") as reader:
            size = hear(reader, "put")["size"]
            say(peer, say="offer", offset=0, digest=hashlib.sha256(b"").hexdigest())
            assert hear(reader, "send")["offset"] == 0
            received = reader.read(size)
            promised = hear(reader, "digest")["digest"]
            assert hashlib.sha256(received).hexdigest() == promised
            stored.write_bytes(received)
            say(peer, say="stored", size=size, digest=promised)

    def give() -> str:
        with plain(where, folder) as client, client.makefile("rb") as reader:
            say(client, say="put", name=stored.name, size=len(content))
            assert hear(reader, "offer")["offset"] == 0
            say(client, say="send", offset=0)
            client.sendall(content)
            say(client, say="digest", digest=digest)
            return str(hear(reader, "stored")["digest"])

    def ours() -> str:
        told = json.loads(run_client(folder, "put", "--json", "report", "--as", stored.name, where))
        return str(told["sha256"])

    with served(pairing, node["files"], receive, folder) as where:
        assert met(pairing, ours, give) == digest
    assert stored.read_bytes() == content


def test_text_and_a_log_of_it_in_utf_8(pairing: str, node: dict[str, str], folder: Path) -> None:
    """A word cut within each of its characters; and each line of the log is there once."""
    word = "grüße\n"

    def shout(peer: socket.socket) -> None:
        peer.sendall(read_all(peer).decode().upper().encode())

    def question() -> bytes:
        with plain(where, folder) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for octet in word.encode():
                client.sendall(bytes([octet]))
            client.shutdown(socket.SHUT_WR)
            return read_all(client)

    with served(pairing, node["upper"], shout, folder) as where:
        answer = met(pairing, lambda: run_client(folder, "send", where, stdin=word.encode()), question)
    assert answer.decode() == "GRÜSSE\n"


def test_the_log_is_utf_8_and_has_each_line_once(folder: Path) -> None:
    """A plain client and ours come by."""
    with running("twistnet-upper", "--listen", "unix:grüße.sock", "--access-log", "--log-file", "l.log", folder=folder) as server:  # fmt: skip
        address = target(server.addresses(1)[0])
        assert run_client(folder, "send", address, stdin=b"x") == b"X"
        with plain(address, folder) as client:
            assert ask(client, b"y") == b"Y"
        server.wait_for(" closed after ", 2)
        assert server.end() == -15
    lines = (folder / "l.log").read_text("utf-8").splitlines()
    assert sum("serves on unix grüße.sock" in line for line in lines) == 1
    assert sum(" opened" in line for line in lines) == sum(" closed after " in line for line in lines) == 2
