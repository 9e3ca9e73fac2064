"""`twistnet send`, run as a person runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.running import BIN, Program, finished, read_all, running
from twistnet.client.main import main


@pytest.fixture(scope="module")
def node(folder: Path) -> Iterator[Program]:
    """Upper, wherever it can be."""
    kinds = ["tcp:0", "tcp6:0", "unix:s.sock", "udp:0", "udp6:0", "unix-datagram:d.sock"]
    listen = [word for kind in kinds for word in ("--listen", kind)]
    with running("twistnet-upper", *listen, folder=folder) as program:
        program.addresses(6)
        yield program


def send(folder: Path, *words: str, stdin: bytes = b"") -> tuple[int, bytes, str]:
    """Exit status, output and error output of a command."""
    result = finished("twistnet", "send", *words, folder=folder, stdin=stdin)
    return result.returncode, result.stdout, result.stderr.decode()


def target(node: Program, index: int) -> str:
    """The client's string for one of the node's listeners."""
    kind, address = node.addresses(6)[index]
    host, _, port = address.rpartition(":")
    return (
        f"{kind}:{address}"
        if "unix" in kind
        else f"{kind}:{host.strip('[]').replace(':', chr(92) + ':')}:{port}"
    )


@pytest.mark.parametrize("index", range(6))
def test_every_kind_of_endpoint(node: Program, folder: Path, index: int) -> None:
    assert send(folder, target(node, index), stdin=b"hello\n") == (0, b"HELLO\n", "")
    assert send(folder, target(node, index)) == (0, b"", "")


def test_a_host_and_a_port(node: Program, folder: Path) -> None:
    port = node.addresses(6)[0][1].rpartition(":")[2]
    assert send(folder, "localhost", port, stdin=b"x") == (0, b"X", "")
    udp = node.addresses(6)[3][1].rpartition(":")[2]
    assert send(folder, f"udp:localhost:{udp}", stdin=b"x") == (0, b"X", "")


def test_long_input_comes_back_whole(node: Program, folder: Path) -> None:
    data = os.urandom(20_000_000).lower()
    (folder / "in").write_bytes(data)
    with (folder / "in").open("rb") as source, (folder / "out").open("wb") as sink:
        subprocess.run(
            [BIN / "twistnet", "send", target(node, 0)],
            stdin=source,
            stdout=sink,
            check=True,
            timeout=60,
            cwd=folder,
        )
    assert (folder / "out").read_bytes() == data.upper()


def test_nobody_there(folder: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        for words in (
            (f"tcp:127.0.0.1:{port}",),
            ("127.0.0.1", str(port)),
            (f"udp:127.0.0.1:{port}",),
            ("unix:/none",),
            ("unix-datagram:/none",),
        ):
            status, out, err = send(folder, *words)
            assert (status, out) == (1, b"")
            assert err.startswith(f"REFUSED {' '.join(words)}: ")
            assert err.count("\n") == 1


def test_no_such_name(folder: Path) -> None:
    for words in (("tcp:nobody.invalid:1",), ("nobody.invalid", "1"), ("udp:nobody.invalid:1",)):
        status, _, err = send(folder, *words)
        assert status == 1
        assert err.startswith("DNS ")


@contextmanager
def server(kind: int = socket.SOCK_STREAM) -> Iterator[tuple[socket.socket, int]]:
    """A plain server socket, and its port."""
    with socket.socket(socket.AF_INET, kind) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(20)
        if kind == socket.SOCK_STREAM:
            listening.listen()
        yield listening, listening.getsockname()[1]


def test_silence_is_a_timeout(folder: Path) -> None:
    with server() as (_, port):
        status, _, err = send(folder, "--timeout", "200ms", f"tcp:127.0.0.1:{port}", stdin=b"x")
        assert (status, err) == (1, f"TIMEOUT tcp:127.0.0.1:{port}: no answer within 0.2 s\n")
    with server() as (listening, port):
        listening.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        for words in ((f"tcp:127.0.0.1:{port}",), ("127.0.0.1", str(port))):
            status, _, err = send(folder, "--timeout", "200ms", *words, stdin=b"x")
            assert (status, err) == (1, f"TIMEOUT {' '.join(words)}: no answer within 0.2 s\n")
        for client in waiting:
            client.close()
    with server(socket.SOCK_DGRAM) as (_, port):
        for option in ("--timeout", "--wait"):
            status, _, err = send(folder, option, "200ms", f"udp:127.0.0.1:{port}", stdin=b"x")
            assert (status, err) == (1, f"TIMEOUT udp:127.0.0.1:{port}: no answer within 0.2 s\n")


def test_a_reset_is_told_and_what_came_before_it_is_kept(folder: Path) -> None:
    with server() as (listening, port):

        def serve() -> None:
            peer, _ = listening.accept()
            with peer:
                assert read_all(peer) == b"question"
                peer.sendall(b"partial answer")
                assert peer.recv(1) == b""
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")

        thread = threading.Thread(target=serve)
        thread.start()
        status, out, err = send(folder, f"tcp:127.0.0.1:{port}", stdin=b"question")
        thread.join(20)
    assert (status, err.split()[0]) == (1, "RESET")
    assert out in (b"partial answer", b"")


def test_wait_takes_all_replies(folder: Path) -> None:
    with server(socket.SOCK_DGRAM) as (listening, port):

        def serve() -> None:
            question, client = listening.recvfrom(100)
            for number in range(3):
                listening.sendto(question + b"%d" % number, client)

        thread = threading.Thread(target=serve)
        thread.start()
        assert send(folder, "--wait", "500ms", f"udp:127.0.0.1:{port}", stdin=b"r") == (0, b"r0r1r2", "")
        thread.join(20)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tpc:localhost:1"], "begins with no known prefix, and is no HOST with a PORT; did you mean tcp?"),
        (["localhost"], "is no HOST with a PORT"),
        (["x" * 300, "1"], "is not a host name"),
        (["udp:" + "x" * 300 + ":1"], "is not a host name"),
        (["tcp:localhost"], "is not tcp:HOST:PORT"),
        (["tcp:localhost:http"], "'http' is not a port"),
        (["udp:localhost:0"], "'0' is not a port"),
        (["a", "b", "c"], "an endpoint or a host and a port, not 3 words"),
        (["localhost", "x"], "'x' is not a port"),
        (["--timeout", "soon", "tcp:localhost:1"], "'soon' is not a duration"),
        (["--wait", "1s", "tcp:localhost:1"], "--wait is for datagrams"),
        ([], "Missing argument"),
        (["ssl:localhost"], "cannot be used"),
        (["tls:localhost"], "cannot be used: missing 1 required positional argument: 'port'"),
        (["unix:"], "is not from 1 to 107 octets long"),
        (["unix:/" + "x" * 120], "is not from 1 to 107 octets long"),
    ],
)
def test_wrong_usage_is_exit_status_2(words: list[str], said: str, folder: Path) -> None:
    status, out, err = send(folder, *words)
    assert (status, out) == (2, b"")
    assert said in err
    assert "Traceback" not in err


def test_a_datagram_that_is_too_long(node: Program, folder: Path) -> None:
    status, _, err = send(folder, target(node, 3), stdin=b"x" * 65508)
    assert status == 2
    assert "65507 octets" in err


def test_nobody_reads_the_output(node: Program, folder: Path) -> None:
    """As in `| head -c 1`: it ends, and quietly."""
    process = subprocess.Popen(
        [BIN / "twistnet", "send", target(node, 0)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        process.stdin.write(b"x" * 1000)
        process.stdin.flush()
        assert process.stdout.read(1) == b"X"
        process.stdout.close()
        with pytest.raises(BrokenPipeError):
            for _ in range(100_000):
                process.stdin.write(b"x" * 10_000)
        assert process.wait(20) == 141
        assert process.stderr.read() == b""
    finally:
        process.kill()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stderr.close()


def test_interrupted(folder: Path) -> None:
    """Ctrl-C is no traceback; nor is SIGTERM."""
    with server() as (listening, port):
        command = ["send", f"tcp:127.0.0.1:{port}"]
        with running(*command, folder=folder, program="twistnet") as program:
            peer, _ = listening.accept()
            with peer:
                program.send_signal(signal.SIGINT)
                assert program.process.wait(20) == 130
            assert "Traceback" not in program.output


def test_a_slow_reader_is_no_silence_of_the_peer(folder: Path) -> None:
    """Ten million octets through a pipe that nobody reads for longer than the timeout."""
    size = 10_000_000
    with server() as (listening, port):

        def serve() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.settimeout(20)
                peer.sendall(b"x" * size)

        thread = threading.Thread(target=serve)
        thread.start()
        process = subprocess.Popen(
            [BIN / "twistnet", "send", "--timeout", "300ms", f"tcp:127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=folder,
        )
        with process:
            assert process.stdout is not None
            received = len(process.stdout.read(1))
            threading.Event().wait(1.0)
            received += len(process.stdout.read())
        thread.join(20)
    assert (received, process.returncode) == (size, 0)


def test_a_peer_that_does_not_read_is_a_silence(folder: Path) -> None:
    with server() as (listening, port):
        status, _, err = send(folder, "--timeout", "300ms", f"tcp:127.0.0.1:{port}", stdin=b"x" * 30_000_000)
        assert (status, err.split()[0]) == (1, "TIMEOUT")
        assert listening is not None


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("index", [0, 3])
def test_output_that_cannot_be_written(node: Program, folder: Path, index: int) -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [BIN / "twistnet", "send", target(node, index)],
            input=b"x", stdout=full, stderr=subprocess.PIPE, timeout=20, check=False, cwd=folder,
        )  # fmt: skip
    assert (result.returncode, result.stderr) == (1, b"FAILED standard output: No space left on device\n")


@pytest.mark.parametrize("index", [0, 3])
@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&- 2>&-"])
def test_closed_standard_streams(node: Program, folder: Path, index: int, closed: str) -> None:
    result = subprocess.run(
        ["sh", "-c", f"exec {BIN}/twistnet send {target(node, index)} {closed}"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False, cwd=folder,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (0, b"")


def test_an_answer_that_has_nowhere_to_go(node: Program, folder: Path) -> None:
    command = f"echo x | {BIN}/twistnet send {target(node, 0)} >&-"
    result = subprocess.run(["sh", "-c", command], capture_output=True, timeout=20, check=False, cwd=folder)
    assert (result.returncode, result.stderr) == (1, b"FAILED standard output: Bad file descriptor\n")


def test_a_path_written_otherwise(node: Program, folder: Path) -> None:
    assert send(folder, f"unix-datagram:{folder}/./d.sock", stdin=b"x") == (0, b"X", "")


def test_help_and_version() -> None:
    runner = CliRunner()
    assert "unix-datagram:PATH" in runner.invoke(main, ["send", "--help"]).output
    assert runner.invoke(main, ["--version"]).output.startswith("twistnet 0")
