"""`twistnet send`, and what it shows and repeats: octets in hexadecimal, how far it is, several times, a PROXY header."""

from __future__ import annotations

import os
import pty
import re
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import BIN, PATIENCE, Program, finished, read_all, running


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Program]:
    """Upper, over a stream and over datagrams; and over a stream that begins with a header."""
    plain = "--service upper --listen tcp:0 --listen udp:0 --access-log"
    proxied = (
        "--service upper --listen tcp:0 --access-log --proxy-protocol auto --proxy-allow-from 127.0.0.0/8"
    )
    with running("twistnet", *plain.split(), *proxied.split(), folder=folder) as program:
        program.addresses(3)
        yield program


def target(node: Program, index: int) -> str:
    """The client's string for one of the node's listeners."""
    return ":".join(node.addresses(3)[index])


def send(folder: Path, *words: str, stdin: bytes = b"") -> tuple[int, bytes, list[str]]:
    """Exit status, output and lines of error output of a command."""
    result = finished("twistnet", "send", *words, folder=folder, stdin=stdin)
    return result.returncode, result.stdout, result.stderr.decode().splitlines()


def dumped(err: list[str], way: str) -> bytes:
    """The octets that were shown, put together again at their offsets."""
    octets = bytearray()
    for line in err:
        found = re.fullmatch(r"([<>]) ([0-9a-f]{8})  ((?:[0-9a-f]{2}| )*) \|.*\|", line)
        assert found, line
        if found[1] == way:
            assert int(found[2], 16) == len(octets)
            octets += bytes.fromhex(found[3])
    return bytes(octets)


@pytest.mark.parametrize("index", [0, 1])
def test_a_hex_dump_shows_every_octet_both_ways(node: Program, folder: Path, index: int) -> None:
    data = bytes(range(256)) + os.urandom(20_001)
    status, out, err = send(folder, "--hex-dump", target(node, index), stdin=data)
    assert (status, out) == (0, data.upper())
    assert dumped(err, ">") == data
    assert dumped(err, "<") == data.upper()
    assert all(line.isascii() and line.isprintable() for line in err)


def test_a_hex_dump_as_it_looks(node: Program, folder: Path) -> None:
    status, out, err = send(folder, "--hex-dump", target(node, 1), stdin=b"hello, \x1b[2J world!\n")
    assert (status, out) == (0, b"HELLO, \x1b[2J WORLD!\n")
    assert err == [
        "> 00000000  68 65 6c 6c 6f 2c 20 1b  5b 32 4a 20 77 6f 72 6c  |hello, .[2J worl|",
        "> 00000010  64 21 0a                                          |d!.|",
        "< 00000000  48 45 4c 4c 4f 2c 20 1b  5b 32 4a 20 57 4f 52 4c  |HELLO, .[2J WORL|",
        "< 00000010  44 21 0a                                          |D!.|",
    ]


def test_an_empty_datagram_is_shown_too(node: Program, folder: Path) -> None:
    _, _, err = send(folder, "--hex-dump", target(node, 1))
    assert [line.split()[:2] for line in err] == [[">", "00000000"], ["<", "00000000"]]


@pytest.mark.parametrize("index", [0, 1])
def test_the_same_several_times(node: Program, folder: Path, index: int) -> None:
    """Whether standard input is a pipe or a file, of which some was read."""
    assert send(folder, "--count", "3", target(node, index), stdin=b"ab\n") == (0, b"AB\n" * 3, [])
    (folder / "input").write_bytes(b"read: rest\n")
    with (folder / "input").open("rb", buffering=0) as source:
        source.read(6)
        ran = subprocess.run(
            [BIN / "twistnet", "send", "--count", "3", "--interval", "1ms", target(node, index)],
            stdin=source, capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"REST\n" * 3, b"")


def test_several_times_are_over_several_connections_until_one_fails(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        questions: list[bytes] = []

        def serve() -> None:
            for _ in range(2):
                peer, _ = listening.accept()
                with peer:
                    peer.settimeout(PATIENCE)
                    questions.append(read_all(peer))
                    peer.sendall(b"answer\n")
            listening.close()

        thread = threading.Thread(target=serve)
        thread.start()
        port = listening.getsockname()[1]
        status, out, err = send(folder, "--count", "9", "127.0.0.1", str(port), stdin=b"question")
        thread.join(PATIENCE)
    assert (status, out, questions) == (1, b"answer\n" * 2, [b"question"] * 2)
    assert len(err) == 1
    assert err[0].split()[0] in {"REFUSED", "RESET"}


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_header_of_the_proxy_protocol_comes_first(node: Program, folder: Path, version: str) -> None:
    _, address = node.addresses(3)[2]
    words: tuple[tuple[str, ...], ...] = ((f"tcp:{address}",), tuple(address.split(":")))
    for where in words:
        assert send(folder, "--proxy-protocol", version, *where, stdin=b"hello") == (0, b"HELLO", [])


def test_the_header_has_the_addresses_of_the_connection(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heard: list[tuple[bytes, bytes]] = []
        port = listening.getsockname()[1]

        def serve() -> None:
            peer, address = listening.accept()
            with peer:
                peer.settimeout(PATIENCE)
                expected = f"PROXY TCP4 127.0.0.1 127.0.0.1 {address[1]} {port}\r\nhello".encode()
                heard.append((read_all(peer), expected))

        thread = threading.Thread(target=serve)
        thread.start()
        status, _, _ = send(folder, "--proxy-protocol", "v1", f"tcp:127.0.0.1:{port}", stdin=b"hello")
        thread.join(PATIENCE)
    assert status == 0
    assert heard[0][0] == heard[0][1]


def on_a_terminal(node: Program, folder: Path, octets: int, *words: str) -> str:
    """What a terminal shows that is the standard error of a command whose output goes to a file."""
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def read() -> None:
        try:
            while piece := os.read(ours, 65536):
                shown.append(piece)
        except OSError:  # nobody has the other end any more
            pass

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with (folder / "output").open("wb") as output:
            ran = subprocess.run(
                [BIN / "twistnet", "send", *words, target(node, 0)],
                input=b"x" * octets, stdout=output, stderr=theirs, timeout=PATIENCE, check=False,
                env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
            )  # fmt: skip
    finally:
        os.close(theirs)
        reader.join(PATIENCE)
        os.close(ours)
    assert (ran.returncode, (folder / "output").stat().st_size) == (0, octets)
    return b"".join(shown).decode()


def test_long_input_shows_on_a_terminal_how_far_it_is(node: Program, folder: Path) -> None:
    shown = on_a_terminal(node, folder, 3 << 20)
    assert "sent" in shown
    assert "3.0" in shown
    assert "MiB" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l"), "the cursor is there again"


def test_short_input_shows_nothing(node: Program, folder: Path) -> None:
    assert on_a_terminal(node, folder, 1000) == ""
