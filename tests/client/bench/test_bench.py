"""`twistnet bench`, run as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.running import BIN, PATIENCE, Program, finished, read_exactly, running

QUICK = ("--duration", "200ms", "--warm-up", "50ms", "--connections", "3", "--expect", "upper")


@pytest.fixture(scope="module")
def node(folder: Path) -> Any:
    """Upper, wherever it can be, and the addresses."""
    kinds = ("tcp:0", "udp:0", "unix:s.sock", "unix-datagram:d.sock")
    listen = [word for kind in kinds for word in ("--listen", kind)]
    with running("twistnet-upper", *listen, "--guard", "off", folder=folder) as program:
        program.addresses(4)
        yield program


def target(node: Program, kind: str) -> str:
    """The client's string for a listener of the node's."""
    return f"{kind}:{dict(node.addresses(4))[kind]}"


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("udp", "--window 20"),
        ("unix", "--rate 500 --report out.html"),
        ("unix-datagram", "--window 2000 --size 4000"),
    ],
)
def test_against_a_real_service(node: Program, folder: Path, kind: str, words: str) -> None:
    """Of the last one's window, ten or so fit into the queue: the others are sent later."""
    ran = finished("twistnet", "bench", *QUICK, "--json", *words.split(), target(node, kind), folder=folder)
    found = json.loads(ran.stdout)
    assert (ran.returncode, found["problem"]) == (0, None)
    assert found["requests"]["answered"] > 10
    assert found["latency"]["least"] > 0
    assert found["generator"]["busy"] > 0
    if "out.html" in words:
        assert (folder / "out.html").read_text("utf-8").count("<svg") == 2


def test_a_pipe_that_nobody_reads_ends_it_quietly(node: Program, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [str(BIN / "twistnet"), "bench", *QUICK, target(node, "tcp")]
    ran = subprocess.run(
        command, cwd=folder, stdout=writing, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
    )
    os.close(writing)
    assert ran.returncode == 141
    assert b"Traceback" not in ran.stderr


def test_an_interruption_shows_what_there_is(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        words = f"bench --connections 1 --warm-up 0 --duration 1h tcp:127.0.0.1:{server.getsockname()[1]}"
        with running(*words.split(), folder=folder, program="twistnet") as program:
            client, _ = server.accept()
            with client:
                client.settimeout(PATIENCE)
                for _ in range(100):
                    client.sendall(read_exactly(client, 64))
                read_exactly(client, 64)  # so all hundred replies have come
                program.send_signal(signal.SIGINT)
                assert program.process.wait(PATIENCE) == 130
            program.wait_for("most ")
            assert "answered  100\n" in program.output
            assert "unanswered  1 (0.99%)\n" in program.output
            assert "Traceback" not in program.output


def test_a_socket_that_nobody_has_is_a_refusal(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
        stale.bind(str(folder / "stale.sock"))
    ran = finished("twistnet", "bench", "unix-datagram:stale.sock", folder=folder)
    assert (ran.returncode, ran.stdout) == (1, b"")
    assert ran.stderr.decode().startswith("REFUSED unix-datagram:stale.sock: ")
    assert ran.stderr.count(b"\n") == 1


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="knows by it what is open")
@pytest.mark.parametrize(("kind", "connections"), [("udp", 100), ("tcp", 90)])
def test_more_connections_than_files_may_be_open_are_refused_at_once(
    node: Program, folder: Path, kind: str, connections: int
) -> None:
    """Those of the program itself count too."""
    words = f"bench --connections {connections} {target(node, kind)}"
    ran = subprocess.run(
        ["sh", "-c", f"ulimit -n 100; exec {BIN}/twistnet {words}"],
        cwd=folder, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"--connections {connections}: no more than " in ran.stderr
    assert "the limit of open files is 100 (ulimit -Hn)" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_terminal_that_goes_away_shows_what_there_is(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(PATIENCE)
        words = "bench --json --report hung.html --connections 1 --warm-up 0 --duration 1h"
        target = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        with running(*words.split(), target, folder=folder, program="twistnet") as program:
            client, _ = server.accept()
            with client:
                client.settimeout(PATIENCE)
                client.sendall(read_exactly(client, 64))
                read_exactly(client, 64)
                program.send_signal(signal.SIGHUP)
                assert program.process.wait(PATIENCE) == 129
            (line,) = program.wait_for("^{")
    found = json.loads(line)
    assert (found["problem"], found["requests"]["answered"]) == ("interrupted", 1)
    assert (folder / "hung.html").read_text("utf-8").endswith("</html>\n")
