"""Datagram services as processes, with plain sockets as clients."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import BIN, Program, connect, finished, running, until_served


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Program]:
    """Upper over UDP, UDP over IPv6 and a path; echo over UDP."""
    listen = "--service datagram --listen udp:0 --listen udp6:0 --listen unix-datagram:d.sock --service echo --listen udp:0"
    with running("twistnet", *listen.split(), folder=folder) as program:
        program.addresses(4)
        yield program


def udp(node: Program, index: int = 0) -> socket.socket:
    """A client of one of its listeners."""
    return connect(node.addresses(4)[index][1], socket.SOCK_DGRAM)


@pytest.mark.parametrize("index", [0, 1])
def test_one_datagram_one_answer(node: Program, index: int) -> None:
    with udp(node, index) as client:
        for message in (b"hello", b"", b"\x00\xff", b"again"):
            client.send(message)
            assert client.recv(65536) == message.upper()


@pytest.mark.parametrize("octets", [1023, 1024, 1025, 8192, 8193, 65507])
def test_datagrams_are_never_cut_short(node: Program, octets: int) -> None:
    message = (b"abcdefg" * 10000)[:octets]
    with udp(node) as client:
        client.send(message)
        assert client.recv(65536) == message.upper()


def test_a_client_that_leaves_and_comes_back(node: Program) -> None:
    with udp(node) as client:
        client.send(b"first")
        assert client.recv(100) == b"FIRST"
        name = client.getsockname()
        client.send(b"never read")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.settimeout(10)
        again.bind(name)
        again.sendto(b"second", ("127.0.0.1", int(node.addresses(4)[0][1].rpartition(":")[2])))
        answers = {again.recv(100) for _ in range(1)}
        assert answers <= {b"SECOND", b"NEVER READ"}


def test_two_clients_at_once(node: Program) -> None:
    with udp(node) as first, udp(node) as second:
        first.send(b"a")
        second.send(b"b")
        assert second.recv(10) == b"B"
        assert first.recv(10) == b"A"


def test_unix_datagrams(node: Program, folder: Path, tmp_path: Path) -> None:
    """A client with a path is answered; one without, and one that is gone, disturb nobody."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as nameless:
        nameless.sendto(b"who am I", str(folder / "d.sock"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as gone:
        gone.bind(str(tmp_path / "gone"))
        gone.sendto(b"x", str(folder / "d.sock"))
        (tmp_path / "gone").unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.settimeout(10)
        client.bind(str(tmp_path / "client"))
        for message in (b"hello", b"", b"x" * 60000):
            client.sendto(message, str(folder / "d.sock"))
            assert client.recv(65536) == message.upper()
    assert "Traceback" not in node.output


def test_the_path_goes_when_the_service_stops(tmp_path: Path) -> None:
    with running(
        "twistnet-datagram", "--listen", "unix-datagram:d.sock:mode=600", folder=tmp_path
    ) as program:
        program.addresses(1)
        assert (tmp_path / "d.sock").stat().st_mode & 0o777 == 0o600
        until_served(tmp_path, "unix-datagram", "d.sock")
        program.end()
    assert not (tmp_path / "d.sock").exists()


def forge(source: int, target: int, payload: bytes) -> None:
    """Send a UDP datagram over loopback that seems to come from somebody else's port."""
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as raw:
        header = struct.pack("!HHHH", source, target, 8 + len(payload), 0)
        raw.sendto(header + payload, ("127.0.0.1", target))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can forge a datagram")
@pytest.mark.parametrize("other", ["echo", "datagram"])
def test_two_services_pointed_at_each_other_fall_silent(tmp_path: Path, other: str) -> None:
    """One forged datagram; within a second nothing moves any more, and one line says why."""
    listen = ["--service", "datagram", "--listen", "udp:0"]
    with (
        running("twistnet", *listen, folder=tmp_path) as first,
        running(f"twistnet-{other}", "--listen", "udp:0", folder=tmp_path) as second,
    ):
        ports = [int(p.addresses(1)[0][1].rpartition(":")[2]) for p in (first, second)]
        forge(ports[0], ports[1], b"LOOP")
        first.watch(10, until=lambda: "a loop" in first.output + second.output)
        lines = [line for line in first.lines + second.lines if "a loop, ended by" in line]
        assert len(lines) == 1
        used = first.processor_seconds() + second.processor_seconds()
        first.watch(0.5)
        assert first.processor_seconds() + second.processor_seconds() - used < 0.05, "they still talk"
        with connect(f"127.0.0.1:{ports[0]}", socket.SOCK_DGRAM) as client:
            client.send(b"hello")
            assert client.recv(100) == b"HELLO", "everybody else is still answered"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can forge a datagram")
def test_a_service_does_not_answer_itself(node: Program) -> None:
    port = int(node.addresses(4)[0][1].rpartition(":")[2])
    forge(port, port, b"ME")
    node.wait_for("from this very socket")


def test_many_processes_share_a_port(tmp_path: Path) -> None:
    """`reuse_port`, as a setting and as a word of the string."""
    with running("twistnet-datagram", "--reuse-port", "--listen", "udp:0", folder=tmp_path) as first:
        port = first.addresses(1)[0][1].rpartition(":")[2]
        with running("twistnet-datagram", "--listen", f"udp:{port}:reuse_port=on", folder=tmp_path) as second:
            second.addresses(1)
            for _ in range(8):
                with connect(f"127.0.0.1:{port}", socket.SOCK_DGRAM) as client:
                    client.send(b"x")
                    assert client.recv(10) == b"X"


def test_a_socket_that_systemd_passed_on(tmp_path: Path) -> None:
    """LISTEN_FDS, as sd_listen_fds(3) has it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as passed:
        passed.bind(("127.0.0.1", 0))
        launcher = tmp_path / "launch.py"
        launcher.write_text(
            "import os, sys\n"
            f"os.dup2({passed.fileno()}, 3)\n"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1', LISTEN_FDNAMES='echo')\n"
            f"os.execv({str(BIN / 'twistd')!r}, ['twistd', '-n', '--pidfile=', 'twistnet-echo', '--listen',"
            " 'systemd-datagram:domain=INET:name=echo'])\n"
        )
        os.set_inheritable(passed.fileno(), True)
        import subprocess

        process = subprocess.Popen(
            [sys.executable, str(launcher)],
            cwd=tmp_path,
            close_fds=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        program = Program(process, process.stdout)
        try:
            assert program.addresses(1)[0][0] == "systemd-datagram"
            with connect(passed.getsockname(), socket.SOCK_DGRAM) as client:
                client.send(b"inherited")
                assert client.recv(100) == b"inherited"
        finally:
            program.close()


def test_systemd_that_passed_nothing_is_one_line(tmp_path: Path) -> None:
    description = "systemd-datagram:domain=INET:name=echo"
    result = finished("twistd", "-n", "--pidfile=", "twistnet-echo", "--listen", description, folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.decode().splitlines() == [
        "twistnet-echo: --listen: 'systemd-datagram:domain=INET:name=echo': systemd passed no socket 'echo' to this process"
    ]
