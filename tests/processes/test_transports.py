"""Which transports a process listens through: fast ones where there are any, unless it is told otherwise."""

from __future__ import annotations

import re
import signal
import socket
from pathlib import Path

import pytest

from tests.running import Program, ask, connect, finished, running
from twistnet.transport import can_be_fast

pytestmark = pytest.mark.skipif(not can_be_fast(), reason="there are no fast transports here")


def epolls_of(program: Program) -> list[str]:
    """What each epoll descriptor of a process waits for: the hub is one, and the reactor's is another."""
    folder = Path(f"/proc/{program.process.pid}/fd")
    names = [link.name for link in folder.iterdir() if "eventpoll" in str(link.readlink())]
    return [(folder.parent / "fdinfo" / name).read_text() for name in names]


@pytest.mark.parametrize(
    ("options", "epolls"),
    [(("--transport", "stock"), 1), (("--transport", "fast"), 2), ((), 2)],
    ids=["stock", "fast", "unsaid"],
)
@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_a_service(tmp_path: Path, kind: str, options: tuple[str, ...], epolls: int) -> None:
    command = ("--reactor=epoll", "twistnet-echo", "--listen", f"{kind}:0", *options)
    with running(*command, folder=tmp_path) as program:
        address = program.addresses(1)[0][1]
        with connect(address, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as client:
            assert ask(client, b"hello") == b"hello"
            assert len(epolls_of(program)) == epolls


def test_a_word_that_is_neither(tmp_path: Path) -> None:
    ended = finished("twistd", "-n", "twistnet-echo", "--transport", "quick", folder=tmp_path)
    assert ended.returncode == 2
    assert "transport: 'quick' is none of fast, stock" in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()


@pytest.mark.parametrize("program", ["twistd", "twist"])
def test_a_whole_program_under_the_reactor(tmp_path: Path, program: str) -> None:
    """Twisted's own web server, which knows nothing of it, with a page that is larger than one read."""
    (tmp_path / "page").write_bytes(b"x" * 300_000)
    words = ("--reactor=twistnet", "web", "--path", ".", "--listen", "tcp:0:interface=127.0.0.1")
    with running(*words, folder=tmp_path, program=program) as served:
        number = re.search(r"Site starting on (\d+)", served.wait_for("Site starting on")[0])
        assert number
        with connect(("127.0.0.1", int(number[1]))) as client:
            client.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            received = b""
            while piece := client.recv(65536):
                received += piece
        assert received.endswith(b"\r\n\r\n" + b"x" * 300_000)
        assert served.end(signal.SIGINT) == -signal.SIGINT
        assert "Traceback" not in served.output


@pytest.mark.parametrize("text", ["fast:", "fast:udp:7009", "fast:tcp:none", "fast:nosuch:1"])
def test_a_string_that_cannot_be_used(tmp_path: Path, text: str) -> None:
    ended = finished("twistd", "-n", "web", "--path", ".", "--listen", text, folder=tmp_path)
    assert ended.returncode == 1
    assert text in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()


def test_a_taken_port_is_told_as_ever(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = finished("twistd", "-n", "twistnet-echo", "--listen", f"tcp:{port}", folder=tmp_path)
    assert ended.returncode == 1
    assert "already in use" in ended.stderr.decode()
    assert "Traceback" not in ended.stderr.decode()
