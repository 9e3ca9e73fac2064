"""How the commands start, fail to start, and stop."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path
from threading import Event

import pytest

from tests.running import ask, connect, finished, read_all, running, until_served


def refused(folder: Path, *arguments: str, program: str = "twistd") -> tuple[int, str]:
    """The exit status and the one line of a command that does not start."""
    before = ["-n", "--pidfile="] if program == "twistd" else []
    result = finished(program, *before, *arguments, folder=folder)
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1, lines
    assert "Traceback" not in result.stdout.decode()
    return result.returncode, lines[0]


def goes(path: Path) -> bool:
    """Whether a path is gone before long: a daemon that fails tells its parent so, and tidies up after that."""
    return any(not path.exists() or Event().wait(0.01) for _ in range(2_000))


def test_a_node_serves_three_services_by_default_and_says_so(tmp_path: Path) -> None:
    """Started beside whatever has the ports already, it says that instead."""
    with running("twistnet", folder=tmp_path) as node:
        node.wait_for("serves on .*|cannot listen", 3 if "cannot" not in node.output else 1)
        if "cannot listen" not in node.output:
            assert node.addresses(3) == [
                ("tcp", "127.0.0.1:7007"),
                ("tcp", "127.0.0.1:7008"),
                ("udp", "127.0.0.1:7009"),
            ]
        status, line = refused(tmp_path, "twistnet")
        assert status == 1
        assert line.startswith("twistnet: echo: cannot listen on tcp:7007: address already in use")


@pytest.mark.parametrize("program", ["twistd", "twist"])
def test_a_taken_port_is_one_line_and_exit_status_1(tmp_path: Path, program: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, line = refused(tmp_path, "twistnet-echo", "--listen", f"tcp:{port}", program=program)
    assert status == 1
    assert re.search(rf"echo: cannot listen on tcp:{port}: address already in use", line)


def test_a_taken_udp_port_too(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        status, line = refused(tmp_path, "twistnet-datagram", "--listen", f"udp:{taken.getsockname()[1]}")
    assert status == 1
    assert "address already in use" in line


def test_a_daemon_whose_port_is_taken_says_so_and_leaves_no_pid_file(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = finished("twistd", "twistnet-echo", "--listen", f"tcp:{port}", folder=tmp_path)
    assert result.returncode == 1
    assert b"cannot listen on tcp:" in result.stderr
    assert "address already in use" in (tmp_path / "twistd.log").read_text()
    assert "Traceback" not in (tmp_path / "twistd.log").read_text()
    assert goes(tmp_path / "twistd.pid")


def test_a_daemon_starts_and_is_stopped_by_its_pid_file(tmp_path: Path) -> None:
    result = finished("twistd", "twistnet-echo", "--listen", "unix:echo.sock", folder=tmp_path)
    assert result.returncode == 0, result.stderr
    pid = int((tmp_path / "twistd.pid").read_text())
    try:
        status, line = refused_beside(tmp_path)
        assert (status, line) == (
            1,
            (
                f"twistnet: another twistd runs here as process {pid}, says twistd.pid: stop it, or run this one in "
                "another folder, or with twistd --pidfile=FILE"
            ),
        )
        with connect(str(tmp_path / "echo.sock")) as client:
            assert ask(client, b"x") == b"x"
            os.kill(pid, signal.SIGTERM)
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
    finally:
        with pytest.raises(ProcessLookupError):  # gone, or about to be
            for _ in range(2_000):
                os.kill(pid, 0)
                Event().wait(0.01)


def refused_beside(folder: Path) -> tuple[int, str]:
    """A second node where one has its pid file."""
    result = finished("twistd", "-n", "twistnet", folder=folder)
    (line,) = result.stderr.decode().splitlines()
    return result.returncode, line


@pytest.mark.parametrize("kind", ["unix", "unix-datagram"])
def test_a_path_left_by_a_crash_is_replaced(tmp_path: Path, kind: str) -> None:
    with running("twistnet-echo", "--listen", f"{kind}:echo.sock", folder=tmp_path) as crashed:
        crashed.addresses(1)
        crashed.end(signal.SIGKILL)
    assert (tmp_path / "echo.sock").exists()
    with running("twistnet-echo", "--listen", f"{kind}:echo.sock", folder=tmp_path) as program:
        program.addresses(1)
        status, line = refused(tmp_path, "twistnet-echo", "--listen", f"{kind}:echo.sock")
        assert status == 1
        assert f"cannot listen on {kind}:echo.sock: address already in use" in line
        assert program.process.poll() is None


@pytest.mark.parametrize("kind", ["unix", "unix-datagram"])
def test_a_path_that_is_deleted_while_it_is_listened_on(tmp_path: Path, kind: str) -> None:
    """Stopping then is as quiet as ever."""
    with running("twistnet-echo", "--listen", f"{kind}:echo.sock", folder=tmp_path) as program:
        program.addresses(1)
        until_served(tmp_path, kind, "echo.sock")
        (tmp_path / "echo.sock").unlink()
        assert program.end() == -15
        assert "Traceback" not in program.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["unix", "unix-datagram"])
def test_what_has_taken_its_path_meanwhile_is_left_alone(tmp_path: Path, kind: str) -> None:
    with running("twistnet-echo", "--listen", f"{kind}:echo.sock", folder=tmp_path) as program:
        program.addresses(1)
        until_served(tmp_path, kind, "echo.sock")
        (tmp_path / "echo.sock").unlink()
        (tmp_path / "echo.sock").write_text("precious")
        assert program.end() == -15
        assert "Traceback" not in program.output
    assert [path.name for path in tmp_path.iterdir()] == ["echo.sock"]
    assert (tmp_path / "echo.sock").read_text() == "precious"


def test_a_node_that_cannot_start_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = "--service echo --listen unix:a.sock --listen unix-datagram:b.sock"
        second = f"--service upper --listen tcp:{taken.getsockname()[1]}"
        status, line = refused(tmp_path, "twistnet", *first.split(), *second.split())
    assert status == 1
    assert "upper: cannot listen" in line
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    for kind in ("unix", "unix-datagram"):
        status, line = refused(tmp_path, "twistnet-echo", "--listen", f"{kind}:precious")
        assert status == 1
        assert "the path exists and is not a socket" in line
    assert (tmp_path / "precious").read_text() == "data"


def test_what_else_keeps_a_listener_from_opening(tmp_path: Path) -> None:
    for description, reason in (
        ("unix:none/echo.sock", "no such file or directory"),
        (
            "tcp:0:interface=192.0.2.1",
            "cannot assign requested address (no interface of this machine has that",
        ),
        ("unix:" + "x" * 200, "is not from 1 to 107 octets long"),
        ("udp:0:interface=example", "interface 'example' is not a numeric address"),
    ):
        status, line = refused(tmp_path, "twistnet-echo", "--listen", description)
        assert status in (1, 2)
        assert reason in line
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("reactor", ["epoll", "asyncio", "select"])
def test_a_stop_lets_connections_finish(tmp_path: Path, reactor: str) -> None:
    """The listener is closed at once; the connection goes on until the peer ends it."""
    with running(f"--reactor={reactor}", "twistnet-echo", "--listen", "tcp:0", folder=tmp_path) as program:
        address = program.addresses(1)[0][1]
        with connect(address) as client:
            assert ask(client, b"before") == b"before"
            program.send_signal(signal.SIGTERM)
            program.wait_for("waits up to 5 s for 1 open")
            with pytest.raises(ConnectionRefusedError):
                connect(address)
            assert ask(client, b"after") == b"after"
            client.shutdown(socket.SHUT_WR)
            assert read_all(client) == b""
        assert program.process.wait(10) == -15
        assert "Traceback" not in program.output


def test_a_stop_aborts_what_does_not_finish(tmp_path: Path) -> None:
    with running(
        "twistnet-echo", "--listen", "tcp:0", "--graceful-timeout", "300ms", folder=tmp_path
    ) as program:
        with connect(program.addresses(1)[0][1]) as client:
            assert ask(client, b"x") == b"x"
            program.send_signal(signal.SIGINT)
            assert client.recv(1) == b"", "it is half-closed first"
            program.wait_for("echo aborts 1 connections")
            assert program.process.wait(10) == -2


@pytest.mark.parametrize("reactor", ["epoll", "asyncio"])
@pytest.mark.parametrize("waiting", [True, False])
def test_a_second_signal_aborts_at_once(tmp_path: Path, reactor: str, waiting: bool) -> None:
    """Whether it comes later or together with the first."""
    command = f"--reactor={reactor} twistnet-echo --listen tcp:0 --graceful-timeout 1h"
    with running(*command.split(), folder=tmp_path) as program:
        with connect(program.addresses(1)[0][1]) as client:
            assert ask(client, b"x") == b"x"
            program.send_signal(signal.SIGINT)
            if waiting:
                program.wait_for("waits up to")
            program.send_signal(signal.SIGTERM)
            assert program.process.wait(10) in (-2, -15)
        assert "Traceback" not in program.output


def test_a_connection_is_logged_at_both_ends(tmp_path: Path) -> None:
    with running("twistnet-echo", "--access-log", "--listen", "tcp:0", folder=tmp_path) as program:
        with connect(program.addresses(1)[0][1]) as client:
            peer = "{}:{}".format(*client.getsockname())
            assert ask(client, b"12345") == b"12345"
        program.wait_for(f"echo: {peer} opened")
        (line,) = program.wait_for(f"echo: {peer} closed")
        assert re.search(r"after \d+\.\d{3} s, 5 octets in, 5 out: closed by the peer$", line)


def test_twist_logs_json(tmp_path: Path) -> None:
    with running(
        "twistnet-echo", "--access-log", "--listen", "tcp:0", folder=tmp_path, program="twist"
    ) as program:
        (line,) = program.wait_for('"kind": "tcp"')
        address = re.findall(r'"address": "([^"]+)"', line)[0]
        with connect(address) as client:
            assert ask(client, b"12345") == b"12345"
        (line,) = program.wait_for('"octets_in": 5')
        assert '"reason": "closed by the peer"' in line


def test_a_node_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "node.toml").write_text(
        """
        log_file = "node.log"
        [defaults]
        graceful_timeout = "1s"
        [services.shout]
        service = "upper"
        encoding = "utf-8"
        listen = ["tcp:0", "udp:0"]
        [services.echo]
        listen = ["unix:echo.sock"]
        access_log = true
        """
    )
    with running("twistnet", "--config", "node.toml", folder=tmp_path) as node:
        tcp, udp, unix = node.addresses(3)
        with connect(tcp[1]) as client:
            assert ask(client, "é".encode()) == "É".encode()
        with connect(udp[1], socket.SOCK_DGRAM) as client:
            client.send("é".encode())
            assert client.recv(10) == "É".encode()
        assert unix == ("unix", "echo.sock")
        node.wait_for(r"shout \(utf-8\) serves on tcp")
    assert "serves on" in (tmp_path / "node.log").read_text("utf-8")
