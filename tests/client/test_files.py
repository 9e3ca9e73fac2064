"""`twistnet put`, `get`, `ls` and `rm`, as processes, against the service as a process."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pty
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import BIN, PATIENCE, Program, finished, running


@pytest.fixture(scope="module")
def program(folder: Path) -> Iterator[Program]:
    """The service, on a UNIX socket and on TCP."""
    (folder / "served").mkdir()
    command = (
        "twistnet-files --folder served --writable --max-file-size 300MB --listen unix:f.sock --listen tcp:0"
    )
    with running(*command.split(), folder=folder) as program:
        program.addresses(2)
        yield program


def told(folder: Path, *words: str, stdin: bytes = b"") -> tuple[int, str, str]:
    """Exit status, output and errors of a command."""
    ran = finished("twistnet", *words, folder=folder, stdin=stdin)
    return ran.returncode, ran.stdout.decode(), ran.stderr.decode()


def test_files_go_there_and_back(folder: Path, program: Program) -> None:
    """Several at once, to either listener, with an endpoint or a host and a port; nothing but lines into a pipe."""
    port = dict(program.addresses(2))["tcp"].rpartition(":")[2]
    (folder / "one").write_bytes(b"1" * 100)
    (folder / "two").write_bytes(os.urandom(3_000_000))
    said = "stored there/one: 100 octets\nstored there/two: 3000000 octets\n"
    assert told(folder, "put", "one", "two", "--to", "there", "unix:f.sock") == (0, "", said)
    status, out, err = told(folder, "ls", "there", "127.0.0.1", port)
    assert (status, err) == (0, "")
    assert [(line.split()[0], line.split()[-1]) for line in out.splitlines()] == [
        ("100", "one"),
        ("3000000", "two"),
    ]
    (folder / "back").mkdir(exist_ok=True)
    got = told(folder, "get", "there/one", "there/two", "-o", "back", f"tcp:127.0.0.1:{port}")
    assert got == (0, "", "got there/one: 100 octets\ngot there/two: 3000000 octets\n")
    for name in ("one", "two"):
        assert (folder / "back" / name).read_bytes() == (folder / name).read_bytes()
    removed = told(folder, "rm", "there/one", "there/two", "there", "unix:f.sock")
    assert removed == (0, "", "removed there/one\nremoved there/two\nremoved there\n")
    assert not (folder / "served" / "there").exists()


def test_standard_input_and_output(folder: Path, program: Program) -> None:
    data = os.urandom(2_000_000)
    assert told(folder, "put", "-", "--as", "x", "unix:f.sock", stdin=data)[0] == 0
    ran = finished("twistnet", "get", "x", "-o", "-", "unix:f.sock", folder=folder)
    assert (ran.returncode, ran.stdout) == (0, data)


def test_what_was_done_in_json(folder: Path, program: Program) -> None:
    (folder / "x").write_bytes(b"x")
    digest = hashlib.sha256(b"x").hexdigest()
    status, out, err = told(folder, "put", "--json", "x", "unix:f.sock")
    assert (status, err) == (0, "")
    assert json.loads(out) == {"did": "stored", "name": "x", "size": 1, "sha256": digest}
    listed = [json.loads(line) for line in told(folder, "ls", "--json", "unix:f.sock")[1].splitlines()]
    assert [entry["size"] for entry in listed if entry["name"] == "x"] == [1]
    assert (
        json.loads(told(folder, "get", "--json", "x", "-o", "back.x", "unix:f.sock")[1])["sha256"] == digest
    )
    assert json.loads(told(folder, "rm", "--json", "x", "unix:f.sock")[1]) == {"did": "removed", "name": "x"}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("get nothing unix:f.sock", 1, "NOT-FOUND nothing: there is no such file or folder\n"),
        ("get ../x unix:f.sock", 1, "BAD-NAME '../x' leads elsewhere\n"),
        ("ls nothing unix:f.sock", 1, "NOT-FOUND "),
        (
            "rm nothing here unix:f.sock",
            1,
            "NOT-FOUND nothing: there is no such file or folder\nNOT-FOUND here: ",
        ),
        ("put absent unix:f.sock", 1, "NOT-FOUND absent: there is no such file or folder, here\n"),
        ("put served unix:f.sock", 1, "IS-FOLDER served: it is a folder, here\n"),
        (
            "put large unix:f.sock",
            1,
            "TOO-LARGE large: 300000001 octets are more than the 300000000 of a file here\n",
        ),
        ("put small unix:nothing.sock", 1, "REFUSED unix:nothing.sock: "),
        ("put small", 2, "stands last"),
        ("put small 7014", 2, "stands last"),
        ("put - unix:f.sock", 2, "--as"),
        ("put a b --as c unix:f.sock", 2, "single file"),
        ("put a sub/a unix:f.sock", 2, "the same name"),
        ("get a b -o file unix:f.sock", 2, "no folder for 2 files"),
        ("get a -o - --json unix:f.sock", 2, "standard output"),
        ("get a nonsense:7014", 2, "no known prefix"),
        ("get a mtls:127.0.0.1:7014:certificate=nothing.pem", 2, "'nothing.pem' cannot be read"),
    ],
)
def test_what_cannot_be(folder: Path, program: Program, words: str, status: int, said: str) -> None:
    (folder / "small").write_bytes(b"x")
    with (folder / "large").open("wb") as large:
        large.truncate(300_000_001)
    ended, out, err = told(folder, *words.split())
    assert (ended, out) == (status, "")
    assert err.startswith(said) if status == 1 else said in err


def test_the_bar_is_drawn_on_a_terminal(folder: Path, program: Program) -> None:
    """And the cursor is there again at the end."""
    (folder / "bar[red]").write_bytes(bytes(5_000_000))
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        put = subprocess.Popen(
            [BIN / "twistnet", "put", "bar[red]", "unix:f.sock"],
            cwd=folder,
            stderr=theirs,
            stdin=subprocess.DEVNULL,
        )
        os.close(theirs)
        drawn = b""
        try:
            while piece := terminal.read(65536):
                drawn += piece
        except OSError as error:  # how a terminal ends
            assert error.errno == errno.EIO
        assert put.wait(PATIENCE) == 0
    assert b"bar[red]" in drawn
    assert b"4.8/4.8 MiB" in drawn
    assert drawn.rindex(b"\x1b[?25h") > drawn.rindex(b"\x1b[?25l")


def test_an_interrupt_is_clean_and_the_same_command_goes_on(folder: Path, tmp_path: Path) -> None:
    """The server is slow, so that there is something to interrupt."""
    (tmp_path / "served").mkdir()
    (tmp_path / "x").write_bytes(os.urandom(4_000_000))
    slow = "twistnet-files --folder served --writable --rate 3MB --listen unix:slow.sock"
    with running(*slow.split(), folder=tmp_path) as server:
        server.addresses(1)
        with running("put", "x", "unix:slow.sock", folder=tmp_path, program="twistnet") as put:
            partials = tmp_path / "served" / ".twistnet-partial"
            server.watch(10, lambda: any(path.stat().st_size for path in partials.glob("*")))
            assert put.end(signal.SIGINT) == 130
            assert put.output.strip() == ""
        (partial,) = partials.glob("*")
        assert partial.stat().st_size >= 1 << 20
        assert told(tmp_path, "put", "x", "unix:slow.sock") == (0, "", "stored x: 4000000 octets\n")
    assert (tmp_path / "served" / "x").read_bytes() == (tmp_path / "x").read_bytes()
    assert list(partials.glob("*")) == []


def test_a_large_file_costs_no_memory(folder: Path, program: Program) -> None:
    """Neither end: 128 MiB go there and back, and the server is as large as before, within a few pieces."""
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(128 << 20)
    assert told(folder, "put", "one", "unix:f.sock")[0] in {0, 1}
    before = program.memory()
    assert told(folder, "put", "sparse", "unix:f.sock")[0] == 0
    assert told(folder, "get", "sparse", "-o", "back.sparse", "unix:f.sock")[0] == 0
    assert program.memory() - before < 32 << 20
    assert (folder / "back.sparse").stat().st_size == 128 << 20
    for path in ("sparse", "back.sparse", "served/sparse"):
        (folder / path).unlink()


def test_a_plain_socket_client_is_served(folder: Path, program: Program) -> None:
    """What the page says of the wire, with nothing of ours at this end: both sides know that the file is complete."""
    (folder / "served" / "plain").write_bytes(b"plain file")

    def say(**message: object) -> None:
        octets = json.dumps(message).encode()
        client.sendall(len(octets).to_bytes(4, "big") + octets)

    def hear() -> dict[str, object]:
        heard: dict[str, object] = json.loads(reader.read(int.from_bytes(reader.read(4), "big")))
        return heard

    with socket.socket(socket.AF_UNIX) as client, client.makefile("rb") as reader:
        client.settimeout(PATIENCE)
        client.connect(str(folder / "f.sock"))
        say(say="get", name="plain", offset=6, digest=hashlib.sha256(b"plain ").hexdigest())
        assert hear() == {"say": "sending", "size": 10, "offset": 6}
        assert reader.read(4) == b"file"
        digest = hashlib.sha256(b"plain file").hexdigest()
        assert hear() == {"say": "digest", "digest": digest}
        say(say="stored", size=10, digest=digest)
        program.wait_for("sent 'plain', 10 octets, to .*, where it is stored")
