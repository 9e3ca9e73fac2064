"""benchmarks/comparison: the whole way through, with two servers and one load; and that its load notices what is wrong."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.comparison.build import build
from benchmarks.comparison.report import made, markdown
from benchmarks.comparison.results import Outcome, disturbance
from benchmarks.comparison.scenarios import SCENARIOS, chosen
from benchmarks.comparison.servers.table import SERVERS

ROOT = Path(__file__).parent.parent
pytestmark = [
    pytest.mark.needs("cc"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="epoll, processors to pin to, /proc"),
]


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is in C, compiled."""
    folder = tmp_path_factory.mktemp("programs")
    build(folder)
    return folder


def compare(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the comparison."""
    command = [sys.executable, "-m", "benchmarks.comparison", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_two_servers_side_by_side(tmp_path: Path) -> None:
    """Each is measured in each round; the report says it three times: as a table, as a plot, as JSON."""
    words = ["--server", "c", "twisted-epoll", "--scenario", "echo-64-1", "--rounds", "2", "--seconds", "0.1"]
    result = compare(*words, "--out", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert len(result.stderr.splitlines()) == 4
    (scenario,) = json.loads((tmp_path / "comparison.json").read_text("utf-8"))["scenarios"]
    assert {name: len(samples) for name, samples in scenario["samples"].items()} == {
        "c": 2,
        "twisted-epoll": 2,
    }
    for samples in scenario["samples"].values():
        assert all(sample["requests"] > 0 and sample["cpu"] > 0 for sample in samples)
    assert "\n| twisted-epoll | " in result.stdout
    plot = ElementTree.fromstring((tmp_path / "comparison.svg").read_text("utf-8"))
    assert {"c", "twisted-epoll"} <= {text.text for text in plot.iter("{http://www.w3.org/2000/svg}text")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--server", "none-such"], "--server: nothing is called 'none-such'"),
        (["--server", "c", "none-such"], "--server: nothing is called 'none-such'"),
        (["--scenario", "nosuch", "echo-64-1"], "--scenario: nothing is called 'nosuch'"),
        (["--scenario", "echo-*", "x*"], "--scenario: nothing is called 'x*'"),
    ],
)
def test_a_name_that_is_none_is_told(words: list[str], said: str) -> None:
    """Beside good ones too: who has mistyped one would wait for figures that never come."""
    result = compare(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert said in result.stderr
    assert "--list" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("seconds", ["nan", "inf", "0", "-1"])
def test_a_time_that_is_none_is_told(seconds: str) -> None:
    result = compare("--seconds", seconds)
    assert (result.returncode, result.stdout) == (2, "")
    assert "error: at least one round and one try" in result.stderr


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file", tmp_path / "file" / "within"):
        result = compare("--out", str(place))
        assert (result.returncode, result.stdout) == (2, "")
        (line,) = result.stderr.splitlines()
        assert line.startswith(f"--out {place}: ")


@pytest.mark.parametrize("words", [["--list"], ["--help"]])
def test_an_output_that_takes_nothing_is_told_in_a_line(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "benchmarks.comparison", *words]
        result = subprocess.run(
            command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
        )
    assert (result.returncode, result.stderr) == (1, "standard output: No space left on device\n")


def test_an_interruption_says_what_was_measured() -> None:
    """The rounds that were, of the scenario that was interrupted too; and where nothing was, no tables."""
    words = [
        "--server",
        "c",
        "--scenario",
        "echo-64-1",
        "--rounds",
        "1000",
        "--seconds",
        "0.05",
        "--tries",
        "1",
    ]
    command = [sys.executable, "-m", "benchmarks.comparison", *words]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]
        assert "[2/1000" in lines[1]
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    (rounds,) = re.findall(r"interrupted: (\d+) of 1000 measurements were made", out)
    assert int(rounds) >= 2
    assert f"echo-64-1 has {rounds} of 1000 rounds" in out
    assert re.search(r"\n\| c \| [0-9,]+ \| 1.00 \|", out)


def test_a_report_of_nothing_has_no_empty_tables() -> None:
    text = markdown([], [SERVERS[0]], ["interrupted"], made(1, 0.5, awake=False), None)
    assert "Relative to" not in text
    assert "## " not in text
    assert "1 round, 0.5 s each." in text


@contextmanager
def replying(reply: Callable[[bytes], bytes]) -> Iterator[int]:
    """A server of one connection at a time; its port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                peer, _ = listening.accept()
            except OSError:
                return
            with peer, suppress(ConnectionError):
                while data := peer.recv(65536):
                    peer.sendall(reply(data))

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(10)


def load(programs: Path, kind: str, port: int, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the load generator for a moment."""
    command = [
        str(programs / "load"),
        kind,
        "--port",
        str(port),
        "--warm",
        "0.05",
        "--seconds",
        "0.1",
        *options,
    ]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def once_in_a_while(change: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Echo, but every 20th time something else."""
    count = 0

    def reply(data: bytes) -> bytes:
        nonlocal count
        count += 1
        return data if count % 20 else change(data)

    return reply


@pytest.mark.parametrize("kind", ["echo", "lines", "accepts", "fairness"])
def test_a_server_that_echoes_passes(programs: Path, kind: str) -> None:
    with replying(bytes) as port:
        # the small peer of `fairness` is served; the greedy one waits for ever
        result = load(programs, kind, port, "--seconds", "0.2")
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["requests"] > 0


@pytest.mark.parametrize(
    "change",
    [bytes.upper, lambda data: data[:-1] + b"!", lambda data: data + data, lambda data: data[1:] + data[:1]],
    ids=["other letters", "the last octet", "twice", "in another order"],
)
@pytest.mark.parametrize("kind", ["echo", "lines", "accepts"])
def test_a_wrong_reply_is_noticed(programs: Path, kind: str, change: Callable[[bytes], bytes]) -> None:
    with replying(once_in_a_while(change)) as port:
        result = load(programs, kind, port)
    assert (result.returncode, result.stdout) == (3, "")
    assert "wrong reply" in result.stderr


@pytest.mark.parametrize("job", ["echo", "lines"])
def test_the_server_in_c_takes_what_comes_in_pieces(programs: Path, job: str) -> None:
    with subprocess.Popen(
        [str(programs / "echo"), job], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        port = int(server.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            text = b"one\r\n\r\nand another\r\nthe rest\r\n"
            for octet in text:
                peer.sendall(bytes((octet,)))
            got = b""
            while len(got) < len(text):
                got += peer.recv(100)
        assert got == text
        server.stdin.close()
        assert server.wait(10) == 0, "it ends with its standard input"


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    """A round in which everything is ten times slower changes nothing."""
    outcome = Outcome(SCENARIOS[0])
    for slower, one, other in ((1, 300.0, 100.0), (10, 280.0, 100.0), (1, 310.0, 100.0)):
        outcome.add("one", {"rate": one / slower})
        outcome.add("other", {"rate": other / slower})
    assert outcome.ratio("one", "other", "rate") == 3.0
    assert outcome.ratio("one", "absent", "rate") is None
    outcome.fail("other", "it has ended")
    assert outcome.median("other", "rate") is None


def test_a_round_in_which_nothing_was_answered_leaves_the_other_rounds_where_they_are() -> None:
    outcome = Outcome(SCENARIOS[0])
    for mine, other in (({}, {"cpu": 5.0}), ({"cpu": 8.0}, {"cpu": 4.0}), ({"cpu": 6.0}, {"cpu": 2.0})):
        outcome.add("mine", mine)
        outcome.add("other", other)
    assert outcome.ratio("mine", "other", "cpu") == 2.5
    assert disturbance({"requests": 0, "server_waited": 0.0}) == 1
    assert disturbance({"requests": 9, "server_waited": 0.1, "generator_waited": 0.2}) == 0.2


def test_every_scenario_has_servers_and_a_name_of_its_own() -> None:
    for scenario in SCENARIOS:
        assert chosen([scenario.name]) == [scenario]
        assert {"twistnet", "twisted-epoll"} <= {one.name for one in SERVERS if scenario.job in one.jobs}
    assert len(chosen(["echo-*"])) == 8


@contextmanager
def answering(reply: Callable[[bytes], list[bytes]]) -> Iterator[int]:
    """A server of datagrams; its port. It ends with an empty one."""
    opened = socket.socket(type=socket.SOCK_DGRAM)
    opened.bind(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            datagram, peer = opened.recvfrom(65536)
            if not datagram:
                return
            for answer in reply(datagram):
                opened.sendto(answer, peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield opened.getsockname()[1]
    finally:
        opened.sendto(b"", opened.getsockname())
        thread.join(10)
        opened.close()


@pytest.mark.parametrize("window", ["1", "4"])
def test_datagrams_that_come_late_or_never_are_no_wrong_replies(programs: Path, window: str) -> None:
    """Of all but the first ten one is never answered, and two only with the fourteenth: with a window of one, when the load has given them up."""
    count = 0
    held: list[bytes] = []

    def reply(datagram: bytes) -> list[bytes]:
        nonlocal count
        count += 1
        if count == 11:
            return []
        if count in {12, 13}:
            held.append(datagram)
            return []
        late, held[:] = held[:], []
        return [*late, datagram]

    with answering(reply) as port:
        result = load(programs, "datagrams", port, "--window", window, "--warm", "0", "--seconds", "0.8")
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert report["requests"] > 10
    assert report["lost"] >= 1


def test_a_reply_to_a_load_that_has_ended_is_no_wrong_reply(programs: Path) -> None:
    """The port of its socket is another's now."""
    earlier: list[bytes] = []

    def remember(datagram: bytes) -> list[bytes]:
        earlier.append(datagram)
        return [datagram]

    with answering(remember) as port:
        load(programs, "datagrams", port)
    with answering(lambda datagram: [earlier[0], datagram]) as port:
        result = load(programs, "datagrams", port)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["requests"] > 0


@pytest.mark.parametrize(
    "change",
    [
        lambda data: [data, data],
        lambda data: [data[:-1] + b"!"],
        lambda data: [data[:-1]],
        lambda data: [data + b"!"],
    ],
    ids=["twice", "the last octet", "shorter", "longer"],
)
def test_a_wrong_datagram_is_noticed(programs: Path, change: Callable[[bytes], list[bytes]]) -> None:
    count = 0

    def reply(datagram: bytes) -> list[bytes]:
        nonlocal count
        count += 1
        return [datagram] if count % 20 else change(datagram)

    with answering(reply) as port:
        result = load(programs, "datagrams", port, "--window", "4")
    assert (result.returncode, result.stdout) == (3, "")
    assert "wrong reply" in result.stderr
