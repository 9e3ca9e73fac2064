"""The messages service as a process, asked with plain sockets and the standard library's json."""

from __future__ import annotations

import json
import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.running import Program, connect, running

MIB = 1 << 20
HANDLER = """
def fail(value):
    raise RuntimeError("the secret of the service")
"""


@pytest.fixture(scope="module")
def services(folder: Path) -> Iterator[Program]:
    """Messages: echo in each framing, sleep, and a handler that fails."""
    (folder / "failing.py").write_text(HANDLER)
    command = " ".join(
        f"--service messages --listen {kind}:0 {more}"
        for kind, more in (
            ("tcp", ""),
            ("tcp", "--framing length"),
            ("tcp", "--framing netstring"),
            ("tcp", "--handler sleep --in-flight 20"),
            ("tcp", "--handler failing:fail"),
            ("udp", "--handler upper"),
        )
    )
    os.environ["PYTHONPATH"] = str(folder)
    try:
        with running("twistnet", *command.split(), folder=folder) as program:
            program.addresses(6)
            yield program
    finally:
        del os.environ["PYTHONPATH"]


def address(services: Program, index: int) -> str:
    """Where one of them is."""
    return services.addresses(6)[index][1]


def nested(number: int) -> dict[str, Any]:
    """A value of lists and dictionaries."""
    return {
        "n": number,
        "list": [[number], [], {"": [None, {"text": 'ab\n{["\\ \N{GRINNING FACE}'}]}] * (number % 3),
    }


def in_pieces(client: socket.socket, data: bytes, seed: int) -> threading.Thread:
    """Send octets, cut at random places, while somebody else reads."""
    chance = random.Random(seed)

    def send() -> None:
        start = 0
        while start < len(data):
            end = start + chance.choice((1, 7, 100, 1448, 20_000, 65_536))
            client.sendall(data[start:end])
            start = end
        client.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def framed(framing: int, text: bytes) -> bytes:
    """A frame, written by hand."""
    return (text + b"\n", len(text).to_bytes(4, "big") + text, b"%d:%b," % (len(text), text))[framing]


def frames(framing: int, data: bytes) -> Iterator[bytes]:
    """Frames, read by hand."""
    if framing == 0:
        assert data.endswith(b"\n")
        yield from data.split(b"\n")[:-1]
        return
    start = 0
    while start < len(data):
        if framing == 1:
            body, length = start + 4, int.from_bytes(data[start : start + 4], "big")
        else:
            colon = data.index(b":", start)
            body, length = colon + 1, int(data[start:colon])
        yield data[body : body + length]
        start = body + length + (framing == 2)


@pytest.mark.parametrize("framing", [0, 1, 2], ids=["lines", "length", "netstring"])
def test_ten_thousand_messages_in_one_burst_cut_at_random_places(services: Program, framing: int) -> None:
    requests = [{"id": number, "value": nested(number)} for number in range(10_000)]
    data = b"".join(framed(framing, json.dumps(one).encode()) for one in requests)
    with connect(address(services, framing)) as client:
        sender = in_pieces(client, data, seed=framing)
        received = b"".join(iter(lambda: client.recv(65536), b""))
        sender.join(20)
    assert [json.loads(text) for text in frames(framing, received)] == requests


def test_the_server_of_the_tutorial_fails_on_that_burst() -> None:
    """It takes what `recv` returns for a message."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for number in range(2):
            ours.sendall(json.dumps(nested(number)).encode())
        with pytest.raises(json.JSONDecodeError, match="Extra data"):
            json.loads(theirs.recv(1024))
        ours.sendall(json.dumps(["x" * 2000]).encode())
        with pytest.raises(json.JSONDecodeError, match="Unterminated string"):
            json.loads(theirs.recv(1024))


def test_replies_come_as_they_are_ready(services: Program) -> None:
    with connect(address(services, 3)) as client:
        for number, seconds in enumerate([0.4, 0.3, 0.2, "x"]):
            client.sendall(framed(0, json.dumps({"id": number, "value": seconds}).encode()))
        client.shutdown(socket.SHUT_WR)
        received = [json.loads(line) for line in client.makefile("rb")]
    assert [reply["id"] for reply in received] == [3, 2, 1, 0]
    assert received[0]["error"]["code"] == "bad-value"


def test_a_handler_that_fails_is_one_entry_in_the_log_and_nothing_to_the_peer(services: Program) -> None:
    with connect(address(services, 4)) as client:
        client.sendall(b'{"id":1,"value":1}\n{"id":2,"value":1}\n')
        client.shutdown(socket.SHUT_WR)
        received = client.makefile("rb").read()
    assert b"secret" not in received
    assert [json.loads(line)["error"]["code"] for line in received.splitlines()] == ["failed", "failed"]
    services.wait_for("RuntimeError: the secret of the service", 2)
    assert len([line for line in services.lines if "the handler of messages failed" in line]) == 2


def test_one_datagram_is_one_message(services: Program) -> None:
    with connect(address(services, 5), socket.SOCK_DGRAM) as client:
        client.send(json.dumps({"id": "a", "value": [nested(1)]}).encode())
        assert json.loads(client.recv(65536))["value"][0]["list"][0] == [1]
        client.send(b"[" * 60_000)
        assert json.loads(client.recv(65536))["error"]["code"] == "too-deep"


BOMBS = {
    "deep": b"[" * 500_000 + b"]" * 500_000,
    "wide": b'{"id":1,"value":[' + b"[]," * 300_000 + b"[]]}",
    "endless": b"[" * (2 * MIB),
    "members": b'{"id":1,"value":{' + b",".join(b'"%d":{}' % n for n in range(80_000)) + b"}}",
    "digits": b'{"id":1,"value":' + b"9" * 1_000_000 + b"}",
    "quotes": b'"' * 1_000_000,
    "backslashes": b'"' + b"\\" * 1_000_000,
}


def answer_to(services: Program, framing: int, text: bytes) -> bytes:
    """All that comes back for a frame, which may be more than is taken."""
    with connect(address(services, framing)) as client:

        def send() -> None:
            with suppress(OSError):
                client.sendall(framed(framing, text))
                client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = b"".join(iter(lambda: client.recv(65536), b""))
        sender.join(20)
    return received


@pytest.mark.parametrize("framing", [0, 1, 2], ids=["lines", "length", "netstring"])
def test_bombs_get_a_reply_or_a_close_and_memory_is_bounded(services: Program, framing: int) -> None:
    before = services.memory()
    for bomb in BOMBS.values():
        received = answer_to(services, framing, bomb)
        (reply,) = [json.loads(text) for text in frames(framing, received)]
        assert reply.keys() in ({"id", "value"}, {"id", "error"})
        assert services.memory() - before < 120 * MIB
    with connect(address(services, framing)) as client:
        client.sendall(framed(framing, b'{"id":1,"value":"still there"}'))
        assert b"still there" in client.recv(1000)


def test_fuzzed_frames_get_a_reply_or_a_close(services: Program) -> None:
    chance = random.Random(7)
    pieces = [
        b'{"id":',
        b"1",
        b',"value":',
        b"}",
        b"[",
        b"]",
        b"\n",
        b'"',
        b"\\",
        b"\xff",
        b"5:",
        b",",
        b"\0\0\0\3",
        b"null",
    ]
    for number in range(60):
        data = b"".join(chance.choices(pieces, k=chance.randrange(60))) + chance.randbytes(
            chance.randrange(9)
        )
        with connect(address(services, number % 3)) as client:
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            received = b"".join(iter(lambda: client.recv(65536), b""))
        for text in frames(number % 3, received):
            assert json.loads(text).keys() in ({"id", "value"}, {"id", "error"})
    assert services.process.poll() is None


def test_a_peer_that_does_not_read_is_not_read_from(services: Program) -> None:
    """It may send some megabytes, which the buffers of the kernel take; then no more."""
    before = services.memory()
    message = framed(0, json.dumps({"id": 1, "value": "x" * 1000}).encode())
    with connect(address(services, 0)) as client:
        client.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200 * MIB:
                sent += client.send(message * 100)
        assert services.memory() - before < 20 * MIB
        with connect(address(services, 0)) as other:
            other.sendall(message)
            assert other.recv(len(message))
