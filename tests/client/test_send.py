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

from tests.running import BIN, Program, finished, read_all, running


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
        f"{kind}:./{address}"  # a path written otherwise than the node's own
        if "unix" in kind
        else f"{kind}:{host.strip('[]').replace(':', chr(92) + ':')}:{port}"
    )


@pytest.mark.parametrize("index", range(6))
def test_every_kind_of_endpoint(node: Program, folder: Path, index: int) -> None:
    assert send(folder, target(node, index), stdin=b"hello\n") == (0, b"HELLO\n", "")


def test_a_host_and_a_port(node: Program, folder: Path) -> None:
    port = node.addresses(6)[0][1].rpartition(":")[2]
    assert send(folder, "localhost", port, stdin=b"x") == (0, b"X", "")


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
    """Where paths are looked for; the rest is shown on a simulated network."""
    for words in (("unix:/none",), ("unix-datagram:/none",)):
        status, out, err = send(folder, *words)
        assert (status, out) == (1, b"")
        assert err.startswith(f"REFUSED {' '.join(words)}: ")
        assert err.count("\n") == 1


def test_no_such_name(folder: Path) -> None:
    """To the resolver of this machine."""
    status, _, err = send(folder, "tcp:nobody.invalid:1")
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
    """Of a peer that accepts, and says nothing."""
    with server() as (_, port):
        status, _, err = send(folder, "--timeout", "200ms", f"tcp:127.0.0.1:{port}", stdin=b"x")
        assert (status, err) == (1, f"TIMEOUT tcp:127.0.0.1:{port}: no answer within 0.2 s\n")


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
            [BIN / "twistnet", "send", "--timeout", "200ms", f"tcp:127.0.0.1:{port}"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            cwd=folder,
        )
        with process:
            assert process.stdout is not None
            received = len(process.stdout.read(1))
            threading.Event().wait(0.6)
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


@pytest.mark.parametrize(
    ("index", "closed", "status"), [(0, ">&-", 0), (0, "<&- >&- 2>&-", 1), (3, "<&- >&- 2>&-", 1)]
)
def test_closed_standard_streams(node: Program, folder: Path, index: int, closed: str, status: int) -> None:
    """What is closed is not taken for what is opened next."""
    result = subprocess.run(
        ["sh", "-c", f"exec {BIN}/twistnet send {target(node, index)} {closed}"],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False, cwd=folder,
    )  # fmt: skip
    assert (result.returncode, result.stderr) == (status, b"")


def test_an_answer_that_has_nowhere_to_go(node: Program, folder: Path) -> None:
    command = f"echo x | {BIN}/twistnet send {target(node, 0)} >&-"
    result = subprocess.run(["sh", "-c", command], capture_output=True, timeout=20, check=False, cwd=folder)
    assert (result.returncode, result.stderr) == (1, b"FAILED standard output: Bad file descriptor\n")
