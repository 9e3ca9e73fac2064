"""`twistnet request`, run as a person runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.running import BIN, Program, finished, running
from twistnet.client.main import main
from twistnet.simulation import Network

HANDLER = """
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twistnet import MessageError

def answer(value):
    if isinstance(value, float):
        return deferLater(reactor, value, lambda: value)
    if value == "refuse":
        raise MessageError("no-such-user", "nobody \\x9b2J")
    return value
"""


@pytest.fixture(scope="module")
def services(folder: Path) -> Iterator[Program]:
    """Messages, wherever they can be, in every framing."""
    (folder / "answering.py").write_text(HANDLER)
    listen = "--listen tcp:0 --listen unix:s.sock --listen udp:0 --listen unix-datagram:d.sock"
    own = "--service messages --handler answering:answer"
    command = f"{own} {listen} {own} --framing length --listen tcp:0 {own} --framing netstring --listen tcp:0"
    os.environ["PYTHONPATH"] = str(folder)
    try:
        with running("twistnet", *command.split(), folder=folder) as program:
            program.addresses(6)
            yield program
    finally:
        del os.environ["PYTHONPATH"]


def target(services: Program, index: int) -> str:
    """The client's string for one of the listeners."""
    kind, address = services.addresses(6)[index]
    return f"{kind}:{address}"


def request(folder: Path, *words: str, stdin: bytes = b"") -> tuple[int, list[str], list[str]]:
    """Exit status, and the lines of output and error output, of a command."""
    result = finished("twistnet", "request", *words, folder=folder, stdin=stdin)
    return result.returncode, result.stdout.decode().splitlines(), result.stderr.decode().splitlines()


@pytest.mark.parametrize(
    ("index", "framing"),
    [(0, "lines"), (1, "lines"), (2, "lines"), (3, "lines"), (4, "length"), (5, "netstring")],
)
def test_every_kind_of_endpoint_and_framing(
    services: Program, folder: Path, index: int, framing: str
) -> None:
    status, out, err = request(
        folder,
        "--framing",
        framing,
        target(services, index),
        stdin=b'"hello"\n\n {"a": [1, {"b": null}]}\r\n17',
    )
    assert (status, out, err) == (0, ['"hello"', '{"a":[1,{"b":null}]}', "17"], [])


def test_a_host_and_a_port(services: Program, folder: Path) -> None:
    port = target(services, 0).rpartition(":")[2]
    assert request(folder, "localhost", port, stdin=b"null\n") == (0, ["null"], [])


def test_values_come_in_the_order_of_the_lines_and_errors_beside_them(
    services: Program, folder: Path
) -> None:
    status, out, err = request(folder, target(services, 0), stdin=b'0.3\n"refuse"\n0.1\n2\n')
    assert (status, out) == (1, ["0.3", "0.1", "2"])
    (error,) = err
    assert json.loads(error) == {"id": 2, "error": {"code": "no-such-user", "message": "nobody \x9b2J"}}
    assert error.isprintable()


def test_whole_replies_come_as_they_are_ready(services: Program, folder: Path) -> None:
    status, out, err = request(folder, "--unordered", target(services, 0), stdin=b'0.5\n\n"refuse"\n0.1\n2\n')
    assert (status, err) == (1, [])
    assert [json.loads(line)["id"] for line in out] == [3, 5, 4, 1]
    assert json.loads(out[0])["error"]["code"] == "no-such-user"
    assert json.loads(out[-1]) == {"id": 1, "value": 0.5}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b'{"a": }', "line 3 of the input: no JSON: invalid character at octet 6"),
        (b"[" * 300, "line 3 of the input: more than 250 lists and objects within one another"),
        (b'"%s"' % (b"x" * 5000), "line 3 of the input: a frame of more than 4096 octets at octet 4101"),
        (b'"%s"' % (b"x" * 4090), "line 3 of the input: a frame of 4109 octets is above 4096"),
    ],
)
def test_a_line_that_is_no_json_is_told_by_its_number(
    services: Program, folder: Path, line: bytes, problem: str
) -> None:
    """What comes before it is asked, and what comes after it is not."""
    status, out, err = request(
        folder, "--max-message", "4KiB", target(services, 0), stdin=b"0.1\n\n" + line + b"\n2\n"
    )
    assert (status, out, err) == (2, ["0.1"], [problem])


def test_a_line_that_no_datagram_can_carry(services: Program, folder: Path) -> None:
    status, out, err = request(folder, target(services, 2), stdin=b'1\n"%s"\n' % (b"x" * 65507))
    assert (status, out, err) == (2, ["1"], ["line 2 of the input: 65526 octets are too long for a datagram"])


def test_ten_thousand_values_from_a_file_to_a_file(services: Program, folder: Path) -> None:
    values = [{"n": n, "nested": [[n], {"more": [n, [None]]}]} for n in range(10_000)]
    (folder / "values").write_text("".join(json.dumps(value) + "\n" for value in values))
    with (folder / "values").open("rb") as source, (folder / "replies").open("wb") as sink:
        command = [str(BIN / "twistnet"), "request", target(services, 0)]
        subprocess.run(command, stdin=source, stdout=sink, check=True, timeout=60, cwd=folder)
    assert [json.loads(line) for line in (folder / "replies").read_text().splitlines()] == values


def test_a_person_sees_a_reply_before_the_next_line(services: Program, folder: Path) -> None:
    process = subprocess.Popen(
        [BIN / "twistnet", "request", target(services, 0)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folder,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        for number in (b"1\n", b"2\n"):
            process.stdin.write(number)
            process.stdin.flush()
            assert process.stdout.readline() == number
        process.stdin.close()
        assert process.wait(20) == 0


def test_nobody_reads_the_output(services: Program, folder: Path) -> None:
    """As in `| head -1`: it ends, and quietly."""
    result = subprocess.run(
        ["bash", "-c", f"yes 0 | {BIN}/twistnet request {target(services, 0)} | head -1; exit ${{PIPESTATUS[1]}}"],
        capture_output=True, timeout=20, check=False, cwd=folder,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (141, b"0\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written(services: Program, folder: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            [BIN / "twistnet", "request", target(services, 0)],
            input=b"1", stdout=full, stderr=subprocess.PIPE, timeout=20, check=False, cwd=folder,
        )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr.endswith(b"standard output: No space left on device\n")


# Other peers


@contextmanager
def peer(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A plain server socket for one connection; its endpoint."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(20)

        def accept() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(20)
                serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        yield f"tcp:127.0.0.1:{listening.getsockname()[1]}"
        thread.join(20)


def test_a_plain_server_of_json_lines(folder: Path) -> None:
    def serve(connection: socket.socket) -> None:
        with connection.makefile("r", encoding="utf-8") as lines:
            for line in lines:
                asked = json.loads(line)
                connection.sendall(
                    json.dumps({"value": [asked["value"]], "id": asked["id"]}).encode() + b"\n"
                )

    with peer(serve) as endpoint:
        assert request(folder, endpoint, stdin=b'{"a": "b"}\n2\n') == (0, ['[{"a":"b"}]', "[2]"], [])


def test_no_more_is_asked_than_may_be_under_way(folder: Path) -> None:
    """However much input there is: a peer that does not answer gets so many requests."""
    asked: list[Any] = []

    def serve(connection: socket.socket) -> None:
        with connection.makefile("r", encoding="utf-8") as lines:
            asked.extend(lines)

    with peer(serve) as endpoint:
        command = f"yes 1 | {BIN}/twistnet request --in-flight 7 --timeout 500ms {endpoint}"
        result = subprocess.run(
            ["sh", "-c", command], capture_output=True, timeout=20, check=False, cwd=folder
        )
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == f"TIMEOUT {endpoint}: no answer within 0.5 s\n"
    assert len(asked) == 7


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (b'{"id":1,"value":"first"}\n', "the peer has closed the connection; unanswered: 1"),
        (b'{"id":1,"value":"first"}\nnonsense\n', "no JSON: invalid character"),
        (
            b'{"id":1,"value":"first"}\n{"id":null,"error":{"code":"bad-frame","message":"\x1b[2J"}}\n',
            "no JSON",
        ),
        (
            b'{"id":1,"value":"first"}\n{"id":null,"error":{"code":"bad-frame","message":"\\u001b[2J"}}\n',
            "bad-frame: ",
        ),
    ],
)
def test_a_peer_that_ends_or_makes_no_sense(folder: Path, said: bytes, problem: str) -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(said)

    with peer(serve) as endpoint:
        status, out, err = request(folder, endpoint, stdin=b"1\n2\n")
    assert (status, out) == (1, ['"first"'])
    assert err[0].startswith(f"FAILED {endpoint}: {problem}")
    assert len(err) == 1
    assert err[0].isprintable()


def test_nobody_there(folder: Path) -> None:
    for words in (("unix:/none",), ("unix-datagram:/none",)):
        status, out, err = request(folder, *words, stdin=b"1\n")
        assert (status, out, len(err)) == (1, [], 1)
        assert err[0].startswith(f"REFUSED {words[0]}: ")


def test_a_datagram_without_a_reply_hurts_no_other(folder: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)

        def serve() -> None:
            for _ in range(3):
                datagram, sender = server.recvfrom(1000)
                if json.loads(datagram)["value"] != 2:
                    server.sendto(datagram, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        endpoint = f"udp:127.0.0.1:{server.getsockname()[1]}"
        status, out, err = request(folder, "--timeout", "500ms", endpoint, stdin=b"1\n2\n3\n")
        thread.join(20)
    assert (status, out) == (1, ["1", "3"])
    assert [json.loads(line) for line in err] == [
        {"id": 2, "error": {"code": "no-reply", "message": "none within 0.5 s"}}
    ]


def test_interrupted(folder: Path) -> None:
    """Ctrl-C is no traceback."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(20)
        command = ["request", f"tcp:127.0.0.1:{listening.getsockname()[1]}"]
        with running(*command, folder=folder, program="twistnet") as program:
            connection, _ = listening.accept()
            with connection:
                program.send_signal(signal.SIGINT)
                assert program.process.wait(20) == 130
            assert "Traceback" not in program.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Missing argument"),
        (["tcp:h:1", "2", "3"], "an endpoint or a host and a port, not 3 words"),
        (["--framing", "xml", "tcp:h:1"], "'xml' is not one of"),
        (["--max-message", "x", "tcp:h:1"], "'x' is not a size"),
        (["--in-flight", "0", "tcp:h:1"], "0 is not in the range"),
        (["ftp:x"], "begins with no known prefix"),
        (["udp:x"], "is not udp:HOST:PORT"),
    ],
)
def test_wrong_usage(network: Network, words: list[str], said: str) -> None:
    with network.on(network.host("here")):
        result = CliRunner().invoke(main, ["request", *words])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
