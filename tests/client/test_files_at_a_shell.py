"""`twistnet put`, `get`, `ls` and `rm`, and what a shell gives them: links, pipes, devices, modes, descriptors that are closed."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running import BIN, PATIENCE, Program, finished, running
from twistnet.errors import FilesError
from twistnet.protocols.files.folder import local_problems
from twistnet.protocols.files.store import FileStore
from twistnet.protocols.files.target import FileTarget

STORED = b"what is stored"


@pytest.fixture(scope="module")
def program(folder: Path) -> Iterator[Program]:
    """The service, with a file."""
    (folder / "served").mkdir()
    (folder / "served" / "x").write_bytes(STORED)
    with running(
        *["twistnet-files", "--folder", "served", "--writable", "--listen", "unix:f.sock"], folder=folder
    ) as program:
        program.addresses(1)
        yield program


def told(folder: Path, *words: str) -> tuple[int, str]:
    """Exit status and errors of a command."""
    ran = finished("twistnet", *words, folder=folder)
    return ran.returncode, ran.stderr.decode()


def shell(folder: Path, line: str) -> tuple[int, str]:
    """Exit status and errors of a line for a shell, in which $T is the command."""
    ran = subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env={**os.environ, "T": str(BIN / "twistnet")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return ran.returncode, ran.stderr.decode()


def test_a_link_stays_and_what_it_leads_to_is_replaced(folder: Path, program: Program) -> None:
    """Be there something or not."""
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "old").write_bytes(b"old")
    for name in ("old", "new"):
        (folder / name).symlink_to(f"elsewhere/{name}")
        assert told(folder, "get", "x", "-o", name, "unix:f.sock") == (0, "got x: 14 octets\n")
        assert (folder / name).is_symlink()
        assert (folder / "elsewhere" / name).read_bytes() == STORED
    assert sorted(path.name for path in (folder / "elsewhere").iterdir()) == ["new", "old"]


@pytest.mark.parametrize("early", [True, False])
def test_a_pipe_is_written_into(folder: Path, program: Program, early: bool) -> None:
    """Once somebody reads it, and it stays a pipe."""
    pipe = folder / f"pipe-{early}"
    os.mkfifo(pipe)
    reading = os.O_RDONLY | os.O_NONBLOCK
    reader = os.open(pipe, reading) if early else -1
    with running("get", "x", "-o", pipe.name, "unix:f.sock", folder=folder, program="twistnet") as get:
        if not early:
            get.watch(0.5, lambda: get.output != "")
            assert get.output == ""
            reader = os.open(pipe, reading)
        with os.fdopen(reader, "rb") as read:
            get.wait_for("got x: 14 octets")
            assert get.process.wait(PATIENCE) == 0
            assert read.read() == STORED
    assert pipe.is_fifo()


def test_a_pipe_that_nobody_reads_can_be_interrupted(folder: Path, program: Program) -> None:
    os.mkfifo(folder / "unread")
    with running("get", "x", "-o", "unread", "unix:f.sock", folder=folder, program="twistnet") as get:
        get.watch(0.5, lambda: get.output != "")
        assert get.end(signal.SIGINT) == 130
        assert get.output.strip() == ""


def test_a_link_to_a_device_is_written_into(folder: Path, program: Program) -> None:
    (folder / "null").symlink_to(os.devnull)
    assert told(folder, "get", "x", "-o", "null", "unix:f.sock") == (0, "got x: 14 octets\n")
    assert (folder / "null").readlink() == Path(os.devnull)
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400, 0o755])
def test_the_mode_of_a_file_that_is_replaced_stays(folder: Path, program: Program, mode: int) -> None:
    path = folder / f"mode-{mode:o}"
    path.write_bytes(b"old")
    path.chmod(mode)
    assert told(folder, "get", "x", "-o", path.name, "unix:f.sock")[0] == 0
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (STORED, mode)


@pytest.mark.parametrize(
    ("redirection", "said"),
    [
        ("<&-", "Bad file descriptor"),
        ("0> written", "Bad file descriptor"),
        ("< /proc/$$/mem", "Input/output error"),
    ],
)
def test_a_standard_input_that_cannot_be_read_is_not_an_empty_one(
    folder: Path, program: Program, redirection: str, said: str
) -> None:
    """What is stored stays."""
    (folder / "served" / "kept").write_bytes(STORED)
    ended = shell(folder, f"$T put - --as kept unix:f.sock {redirection}")
    assert ended == (1, f"FAILED standard input: {said}\n")
    assert (folder / "served" / "kept").read_bytes() == STORED


def test_a_file_that_does_not_tell_its_size_is_read_to_its_end(folder: Path, program: Program) -> None:
    """As those of the kernel are; an empty one is still empty."""
    (folder / "empty").touch()
    version = Path("/proc/version").read_bytes()
    said = f"stored version: {len(version)} octets\nstored empty: 0 octets\n"
    assert told(folder, "put", "/proc/version", "empty", "unix:f.sock") == (0, said)
    assert (folder / "served" / "version").read_bytes() == version


@pytest.mark.parametrize("words", ["ls", "ls --json", "get --json x -o full.x", "get x -o -"])
def test_what_cannot_be_written_is_not_the_peers_doing(folder: Path, program: Program, words: str) -> None:
    said = "FAILED standard output: No space left on device\n"
    assert shell(folder, f"$T {words} unix:f.sock > /dev/full") == (1, said)


@pytest.mark.parametrize("words", ["ls", "ls --json", "put --json put.x", "rm --json gone"])
def test_output_that_nobody_reads_ends_quietly(folder: Path, program: Program, words: str) -> None:
    (folder / "put.x").touch()
    (folder / "served" / "gone").touch()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as output:
        ran = subprocess.run(
            [str(BIN / "twistnet"), *words.split(), "unix:f.sock"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert (ran.returncode, ran.stderr) == (141, b"")


@pytest.fixture
def occupied(folder: Path) -> Iterator[Path]:
    """A file that somebody else gets, and a name that somebody else puts."""
    target = FileTarget(folder / "occupied")
    store = FileStore(folder / "served", writable=True)
    upload = store.put("taken", 1)
    yield folder / "occupied"
    upload.close()
    store.close()
    target.close()


def test_what_is_wrong_here_is_not_told_as_the_servers_doing(
    folder: Path, program: Program, occupied: Path
) -> None:
    (folder / "folder").mkdir()
    (folder / "x").write_bytes(STORED)
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo")
    for words, said in {
        "put absent": "NOT-FOUND absent: there is no such file or folder, here",
        "put loop": "NOT-FOUND loop: there is no such file or folder, here",
        "put folder": "IS-FOLDER folder: it is a folder, here",
        "put fifo": "NO-FILE fifo: it is not a regular file, here",
        "get x -o occupied": "BUSY occupied: somebody else is at it, here",
        "get x -o absent/y": "NOT-FOUND absent/y: there is no such file or folder, here",
        "put x --as taken": "BUSY taken: somebody else is at it",
        "get absent": "NOT-FOUND absent: there is no such file or folder",
    }.items():
        assert told(folder, *words.split(), "--attempts", "1", "unix:f.sock") == (1, said + "\n")


def test_what_may_not_be_done_here_is_said_to_be_so() -> None:
    """Root, as which tests may run, may do everything."""
    with pytest.raises(FilesError) as raised, local_problems("secret"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    assert (raised.value.code, raised.value.text) == ("denied", "secret: permission denied, here")
