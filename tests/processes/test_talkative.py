"""The greeting and the classic services as processes, against plain sockets; and what is said of wrong options."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import connect, finished, read_all, read_exactly, running

QUOTES = "%\nNaïve, but short.\n   -- somebody\n%\nAnother.\n"
SERVICES = (
    ("greeting", "--file hello.txt --listen tcp:0"),
    ("greeting", "--file hello.txt --stay --listen unix:hello.sock"),
    ("classic", "--protocol daytime --listen tcp:0 --listen udp:0"),
    ("classic", "--protocol chargen --amplification --listen tcp:0 --listen udp:0"),
    ("classic", "--protocol qotd --file quotes --listen tcp:0"),
    ("classic", "--protocol discard --listen tcp:0"),
)


@pytest.fixture(scope="module")
def addresses(folder: Path) -> Iterator[list[str]]:
    """Where each of the listeners is, in their order."""
    (folder / "hello.txt").write_text("Grüße {peer}, it is {time}.\r\n" * 5000, "utf-8")
    (folder / "quotes").write_text(QUOTES, "utf-8")
    words = " ".join(f"--service {name} {options}" for name, options in SERVICES).split()
    with running("twistnet", "--idle-timeout", "60s", *words, folder=folder) as program:
        yield [address for _, address in program.addresses(8)]
        assert program.end() == -15
        assert not [line for line in program.lines if "Traceback" in line]


def here(client: socket.socket) -> str:
    """The address of a client."""
    host, port = client.getsockname()
    return f"{host}:{port}"


def test_the_greeting_arrives_whole_though_the_client_is_sending(addresses: list[str]) -> None:
    with connect(addresses[0]) as client:
        client.sendall(b"me first! " * 10_000)
        said = read_all(client).decode()
        line = said.splitlines(keepends=True)[0]
        assert line.startswith(f"Grüße {here(client)}, it is 20")
        assert line.endswith("Z.\r\n")
        assert said == line * 5000


def test_staying_ends_with_the_client(addresses: list[str], folder: Path) -> None:
    with connect(str(folder / addresses[1])) as client:
        assert read_exactly(client, 10) == "Grüße -,".encode()
        client.sendall(b"x" * 100_000)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client).endswith(b"Z.\r\n")


def test_the_daytime_over_both(addresses: list[str]) -> None:
    before = time.time()
    with connect(addresses[2]) as client:
        line = read_all(client).decode()
    assert before - 1 <= time.mktime(time.strptime(line, "%A, %B %d, %Y %H:%M:%S-UTC\r\n")) - time.timezone
    with connect(addresses[3], socket.SOCK_DGRAM) as asking:
        asking.send(b"")
        assert asking.recv(100).endswith(b"-UTC\r\n")


def test_chargen_until_the_client_has_enough(addresses: list[str]) -> None:
    with connect(addresses[4]) as client:
        data = read_exactly(client, 3_000_000)
    assert data[:7030] * 426 == data[: 7030 * 426]
    with connect(addresses[5], socket.SOCK_DGRAM) as asking:
        for _ in range(3):
            asking.send(b"x")
            assert len(asking.recv(1000)) <= 512


def test_a_quote(addresses: list[str]) -> None:
    said = set()
    for _ in range(20):
        with connect(addresses[6]) as client:
            said.add(read_all(client).decode())
    assert said <= {"Naïve, but short.\r\n   -- somebody\r\n", "Another.\r\n"}


def test_discard(addresses: list[str]) -> None:
    with connect(addresses[7]) as client:
        client.sendall(b"x" * 1_000_000)
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""


WRONG = [
    ("greeting", "", "--text: there is nothing to say; give it as text, or as a file"),
    ("greeting", "--text x --file y", "--text: goes not with file"),
    ("greeting", "--file nowhere", "--file: 'nowhere' cannot be read: No such file or directory"),
    ("greeting", "--file .", "--file: '.' cannot be read: Is a directory"),
    ("greeting", "--file latin", "--file: 'latin' is not UTF-8: invalid start byte at octet 2"),
    ("greeting", "--file /dev/null", "--file: '/dev/null' is empty"),
    ("greeting", "--file /dev/zero", "--file: '/dev/zero' has more than 1048576 octets"),
    (
        "greeting",
        "--text x --listen udp:0",
        "--listen: 'udp:0' is for datagrams, and greeting answers streams only",
    ),
    ("classic", "--protocol qotd", "--file: qotd needs a file of quotes"),
    ("classic", "--file quotes", "--file: means nothing without qotd"),
    ("classic", "--protocol qotd --file percent", "--file: 'percent' has no quote of up to 512 octets"),
    ("classic", "--protocol echo", "--protocol: 'echo' is none of discard, chargen, daytime, time, qotd"),
    (
        "classic",
        "--protocol chargen --listen tcp:0 --listen udp:0",
        "--listen: 'udp:0': chargen answers datagrams with longer ones; ask for amplification if need be",
    ),
]


@pytest.mark.parametrize(("name", "options", "said"), WRONG, ids=str)
def test_wrong_options_are_one_line(name: str, options: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes("Grüße".encode("latin-1"))
    (tmp_path / "percent").write_text("%\n\n%\n" + "x" * 600)
    result = finished("twistd", "-n", "--pidfile=", f"twistnet-{name}", *options.split(), folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.decode() == f"twistnet-{name}: {said}\n"


def test_the_quotes_that_are_too_long_are_told_of(tmp_path: Path) -> None:
    (tmp_path / "quotes").write_text("short\n%\n" + "x" * 600)
    options = "--protocol qotd --file quotes --listen tcp:0"
    with running("twistnet-classic", *options.split(), folder=tmp_path) as program:
        program.wait_for(r"left out of quotes: 1 with more than 512 octets")
        program.wait_for(r"classic \(qotd\) serves on tcp")
