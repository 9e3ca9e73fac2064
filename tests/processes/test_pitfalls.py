"""The pitfalls of socket tutorials, each with the name it has there, against the real thing and plain sockets."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.running import Program, ask, connect, read_all, read_exactly, running, until_served

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes `close` a reset."""


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Program]:
    """A node with everything that the tests of this module need."""
    listen = (
        "--service echo --listen tcp:0 --listen unix:echo.sock --service upper --listen tcp:0 --listen tcp6:0"
    )
    text = "--service upper --encoding utf-8 --listen tcp:0 --service upper --once --listen tcp:0"
    with running("twistnet", *listen.split(), *text.split(), folder=folder) as program:
        program.addresses(6)
        yield program


@pytest.fixture
def echo(node: Program) -> str:
    """Where echo is."""
    return node.addresses(6)[0][1]


@pytest.fixture
def upper(node: Program) -> str:
    """Where upper is."""
    return node.addresses(6)[2][1]


def test_connect_send_recv_close(upper: str) -> None:
    with connect(upper) as client:
        assert ask(client, b"hello") == b"HELLO"
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""


def test_a_loop_of_messages(upper: str) -> None:
    with connect(upper) as client:
        for number in range(1000):
            message = b"message %d" % number
            assert ask(client, message) == message.upper()


def test_the_second_client_waits_for_the_first(upper: str) -> None:
    """It does not: both are served while both are connected."""
    with connect(upper) as first, connect(upper) as second:
        assert ask(second, b"second") == b"SECOND"
        assert ask(first, b"first") == b"FIRST"
        assert ask(second, b"again") == b"AGAIN"


def test_the_server_dies_with_its_client(node: Program, upper: str) -> None:
    """It does not, whenever the client vanishes."""
    for words in (b"", b"unfinished"):
        client = connect(upper)
        client.sendall(words)
        client.close()
    with connect(upper) as client:
        assert ask(client, b"still there") == b"STILL THERE"
    assert node.process.poll() is None


def test_a_reset_kills_the_server(node: Program, upper: str) -> None:
    """It does not, and it is one line in the log, without a traceback."""
    before = len([line for line in node.lines if "lost: the peer reset" in line])
    with ExitStack() as clients:
        for _ in range(3):
            client = clients.enter_context(connect(upper))
            assert ask(client, b"x") == b"X"
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    node.wait_for("lost: the peer reset", before + 3)
    with connect(upper) as client:
        assert ask(client, b"still there") == b"STILL THERE"
    assert "Traceback" not in node.output


@pytest.mark.parametrize("octets", [1024, 1025, 5000, 65536, 1_000_000])
def test_replies_cut_at_1024_bytes(upper: str, octets: int) -> None:
    """A reply is as long as its message."""
    message = b"abcdefgh" * (octets // 8) + b"z" * (octets % 8)
    with connect(upper) as client:
        client.sendall(message[:1])
        assert read_exactly(client, 1) == b"A"
        client.sendall(message[1:])
        assert read_exactly(client, octets - 1) == message[1:].upper()


def test_an_empty_message_hangs_both(upper: str) -> None:
    """A stream has no empty messages: sending nothing is nothing, and the next message is answered."""
    with connect(upper) as client:
        client.sendall(b"")
        assert ask(client, b"next") == b"NEXT"
    with connect(upper) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""


def test_send_sends_a_part_only(echo: str) -> None:
    """Half a megabyte sent by `send` in whatever parts the kernel takes comes back whole, and in order."""
    message = bytes(range(256)) * 2048
    with connect(echo) as client:
        sent, received = 0, bytearray()
        client.settimeout(0.05)
        while len(received) < len(message):
            if sent < len(message):
                with suppress(TimeoutError):
                    sent += client.send(message[sent : sent + 100_000])
            try:
                received += client.recv(65536)
            except TimeoutError:
                continue
        assert bytes(received) == message


def test_a_character_split_in_two(node: Program) -> None:
    text = "naïve Straße, 日本語"
    with connect(node.addresses(6)[4][1]) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in text.encode():
            client.sendall(bytes([octet]))
        assert read_exactly(client, len(text.upper().encode())).decode() == text.upper()


def test_af_unix(folder: Path, node: Program) -> None:
    with connect(str(folder / "echo.sock")) as client:
        assert ask(client, b"over a path") == b"over a path"


def test_ipv6(node: Program) -> None:
    kind, address = node.addresses(6)[3]
    assert kind == "tcp6"
    with connect(address) as client:
        assert ask(client, b"over ipv6") == b"OVER IPV6"


@pytest.mark.parametrize("octets", [1, 1000, 100_000, 3_000_000])
def test_the_one_shot_server_answers_what_comes_first_and_closes(node: Program, octets: int) -> None:
    """Nothing is lost on the way, however long the message is."""
    with connect(node.addresses(6)[5][1]) as client:
        client.settimeout(0.01)
        sent, received = 0, bytearray()
        while sent < octets or len(received) < octets:
            with suppress(TimeoutError):
                sent += client.send(b"x" * (octets - sent)) if sent < octets else 0
            try:
                piece = client.recv(65536)
            except TimeoutError:
                continue
            assert piece, f"closed after {len(received)} of {octets}"
            received += piece
        client.settimeout(10)
        assert read_all(client) == b""
        assert received == b"X" * octets


def test_the_one_shot_answer_survives_what_is_sent_after_it(node: Program) -> None:
    """A plain `close` with unread input would reset the connection, and the answer with it."""
    with connect(node.addresses(6)[5][1]) as client:
        assert ask(client, b"first") == b"FIRST"
        assert client.recv(100) == b""
        client.sendall(b"second" * 1000)
        assert client.recv(100) == b""


def slowly(client: socket.socket, expected: bytes) -> None:
    """Read an answer in small pieces, with pauses, while sending what nobody asked for."""
    received = bytearray()
    client.settimeout(10)
    while len(received) < len(expected):
        try:
            client.send(b"?")
        except BrokenPipeError:
            raise AssertionError(f"closed after {len(received)} of {len(expected)}") from None
        piece = client.recv(20_000)
        assert piece, f"ended after {len(received)} of {len(expected)}"
        received += piece
    assert bytes(received) == expected


def narrow(address: str) -> socket.socket:
    """A client with room for little."""
    with connect(address):
        pass
    host, _, port = address.rpartition(":")
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    client.settimeout(10)
    client.connect((host, int(port)))
    return client


def test_the_one_shot_answer_survives_a_slow_reader_that_goes_on_sending(node: Program) -> None:
    with narrow(node.addresses(6)[5][1]) as client:
        client.sendall(b"x" * 60_000)
        client.settimeout(3.0)
        assert client.recv(1) == b"X"
        node.watch(2.5)
        slowly(client, b"X" * 59_999)


def test_what_came_before_a_fault_is_answered_though_more_comes_after_it(node: Program) -> None:
    good, rest = b"a" * 200_000, b"\xff" + b"b" * 500_000
    with narrow(node.addresses(6)[4][1]) as client:
        client.settimeout(0.1)
        sent, received, message = 0, bytearray(), good + rest
        while sent < len(message):
            try:
                sent += client.send(message[sent : sent + 50_000])
            except TimeoutError:
                received += client.recv(10_000)
        client.settimeout(10)
        received += read_all(client)
    assert bytes(received) == good.upper()


def test_address_already_in_use_after_a_restart(tmp_path: Path) -> None:
    """A port is free at once, though connections to it were open and ended from this side."""
    with running("twistnet-echo", "--listen", "tcp:0", "--graceful-timeout", "0", folder=tmp_path) as first:
        ((_, address),) = first.addresses(1)
        with connect(address) as client:
            assert ask(client, b"x") == b"x"
            assert first.end() == -15
    port = address.rpartition(":")[2]
    with running("twistnet-echo", "--listen", f"tcp:{port}", folder=tmp_path) as second:
        assert second.addresses(1) == [("tcp", address)]
        with connect(address) as client:
            assert ask(client, b"y") == b"y"


def test_doubled_log_lines(tmp_path: Path) -> None:
    """Each line is in the log file once, and in UTF-8, though two runs and every service name the same file."""
    for _ in range(2):
        node = ["--service", "echo", "--listen", "tcp:0", "--service", "upper", "--listen", "unix:größe.sock"]
        with running("twistnet", "--log-file", "node.log", *node, folder=tmp_path) as program:
            program.addresses(2)
            until_served(tmp_path, "unix", "größe.sock")
            program.end()
    written = (tmp_path / "node.log").read_text("utf-8").splitlines()
    assert sum("echo serves on tcp" in line for line in written) == 2
    assert sum(line.endswith("upper serves on unix größe.sock") for line in written) == 2
