"""`twistnet talk` as a process: in a real terminal, and in a pipe."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.panes import Pane, pane
from tests.running import PATIENCE, Program, finished, running

needs_tmux = pytest.mark.needs("tmux")


@contextmanager
def listener(kind: int = socket.SOCK_STREAM) -> Iterator[tuple[socket.socket, str]]:
    """A plain socket of a server, and how the client calls it."""
    with socket.socket(socket.AF_INET, kind) as server:
        server.settimeout(PATIENCE)
        server.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            server.listen()
        prefix = "tcp" if kind == socket.SOCK_STREAM else "udp"
        yield server, f"{prefix}:127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def talking(folder: Path, command: str) -> Iterator[Pane]:
    """A terminal in which somebody talks."""
    with pane(folder) as terminal:
        terminal.run(f"clear; stty -a | tail -n +2 > before; twistnet talk {command}")
        terminal.wait_for(r"^\* talking with .*\n> *$")
        yield terminal


def ends_well(terminal: Pane, folder: Path) -> str:
    """The exit status, once it has ended; the terminal is as it was then, but for its size."""
    terminal.wait_for(r"^\$$")
    terminal.run("echo status $?; stty -a | tail -n +2 > after; echo over")
    screen = terminal.wait_for(r"^over$")
    assert (folder / "before").read_text() == (folder / "after").read_text()
    (status,) = re.findall(r"^status (\d+)$", screen, re.MULTILINE)
    return str(status)


@needs_tmux
def test_what_is_said_appears_while_somebody_types(tmp_path: Path) -> None:
    with listener() as (server, target), talking(tmp_path, target) as terminal:
        peer, _ = server.accept()
        with peer:
            peer.settimeout(PATIENCE)
            terminal.type("half")
            terminal.wait_for("^> half$")
            peer.sendall("Grü".encode()[:-1])
            peer.sendall("Grü".encode()[-1:] + b"\x1b[2Jx\xff\r\nmore")
            terminal.wait_for(r"^Grü\\x1b\[2Jx\\xff\nmore\n> half$")
            peer.sendall(b" of it\n")
            terminal.wait_for(r"^more of it\n> half$")
            terminal.type(" a line")
            terminal.press("C-a", "Delete", "Enter")
            assert peer.recv(100) == b"alf a line\n"
            terminal.press("Up", "Home")
            terminal.type("h")
            terminal.wait_for("^> half a line$")
            terminal.resize(70, 12)
            terminal.press("Enter", "Enter")
            assert peer.makefile("rb").readline() == b"half a line\n"
            terminal.wait_for(r"^\* a stream has no empty messages: the end of a line was sent\n> *$")
            terminal.type("q\r")
            assert peer.recv(100) in {b"\n", b""}
            peer.sendall(b"goodbye")
            terminal.wait_for(r"^goodbye$")
        assert ends_well(terminal, tmp_path) == "0"


@needs_tmux
def test_ctrl_c_ends_it_and_ctrl_z_lets_the_shell_have_the_terminal(tmp_path: Path) -> None:
    with listener() as (server, target), talking(tmp_path, f"--crlf --encoding latin-1 {target}") as terminal:
        peer, _ = server.accept()
        with peer:
            peer.settimeout(PATIENCE)
            terminal.type("é")
            terminal.wait_for("^> é$")
            terminal.press("C-z")
            terminal.wait_for(r"^\$ *$")
            terminal.run("stty -a | tail -n +2 | diff - before && echo the same; fg")
            terminal.wait_for(r"^the same\n(.*\n)*> é$")
            terminal.press("Enter")
            assert peer.recv(100) == b"\xe9\r\n"
            terminal.type("日\r")
            terminal.wait_for(r"^\* not sent: .*can't encode character.*(\n.*)?\n> *$")
            terminal.type("never sent")
            terminal.press("C-c")
            assert ends_well(terminal, tmp_path) == "130"
            assert peer.recv(100) == b""


@needs_tmux
def test_datagrams(tmp_path: Path) -> None:
    with listener(socket.SOCK_DGRAM) as (server, target), talking(tmp_path, f"--hex {target}") as terminal:
        terminal.type("00 ff0a\r")
        data, address = server.recvfrom(100)
        assert data == b"\x00\xff\n"
        terminal.press("Enter")
        assert server.recv(100) == b""
        server.sendto(b"\x1b[2J", address)
        terminal.wait_for(r"^1b 5b 32 4a +\|\.\[2J\|$")
        terminal.type("zz\r")
        terminal.wait_for(r"^\* not sent: non-hexadecimal number")
        terminal.press("C-d")
        assert ends_well(terminal, tmp_path) == "0"


@needs_tmux
def test_a_peer_that_ends_it_or_resets_it(tmp_path: Path) -> None:
    with listener() as (server, target), pane(tmp_path) as terminal:
        terminal.run(f"stty -a | tail -n +2 > before; twistnet talk {target}")
        server.accept()[0].close()
        terminal.wait_for(r"^\* the peer has ended it$")
        assert ends_well(terminal, tmp_path) == "0"
        terminal.run(f"clear; twistnet talk {target}")
        peer, _ = server.accept()
        with peer:
            terminal.wait_for("^> *$")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        terminal.wait_for(r"^RESET tcp:127")
        assert ends_well(terminal, tmp_path) == "1"


@pytest.fixture(scope="module")
def upper(folder: Path) -> Iterator[Program]:
    """A service in upper case."""
    with running("twistnet-upper", "--listen", "tcp:0", "--listen", "udp:0", folder=folder) as program:
        yield program


def test_in_a_pipe_it_is_send(upper: Program, folder: Path) -> None:
    for kind, address in upper.addresses(2):
        result = finished("twistnet", "talk", f"{kind}:{address}", folder=folder, stdin=b"hello\nq\n")
        assert (result.returncode, result.stdout, result.stderr) == (0, b"HELLO\nQ\n", b"")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tcp:localhost:1"], b"REFUSED tcp:localhost:1"),
        (["--wait", "1s", "tcp:localhost:1"], b"--wait is for datagrams"),
        (["--hex", "tcp:localhost:1"], b"--hex is for a terminal"),
        (["--encoding", "utf-16", "tcp:localhost:1"], b"--encoding is for a terminal"),
        (["--hex", "--crlf", "tcp:localhost:1"], b"--hex goes not with --crlf"),
        (["a", "b", "c"], b"not 3 words"),
    ],
)
def test_what_it_says_of_a_wrong_command(words: list[str], said: bytes, folder: Path) -> None:
    result = finished("twistnet", "talk", *words, folder=folder, stdin=b"x")
    assert said in result.stderr
    assert result.returncode == (1 if said.startswith(b"REFUSED") else 2)
