"""`twistnet connect`: on a simulated network what the network does to it, and as a program what a terminal does."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from tests.running import BIN, PATIENCE, finished, running
from twistnet import EchoDatagramProtocol
from twistnet.client.main import main
from twistnet.simulation import BlackHole, NamesFail, Network, Refuse

PORT = 7007
Connect: TypeAlias = Callable[..., tuple[int, list[str], list[str], float]]


@pytest.fixture
def attempt(network: Network, capfd: pytest.CaptureFixture[str]) -> Connect:
    """Runs the command on a host of its own: exit status, lines of output and of error output, and how long it took."""

    def run(*words: str) -> tuple[int, list[str], list[str], float]:
        begun = network.clock.now
        with network.on(network.host(f"client{len(network.hosts)}")), pytest.raises(SystemExit) as ended:
            main.main(["connect", *words], prog_name="twistnet")
        seconds = network.clock.now - begun
        network.settle()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out.splitlines(), err.splitlines(), seconds

    return run


@pytest.fixture
def opened(network: Network) -> list[Protocol]:
    """The connections that a server has seen, which also listens for datagrams."""
    seen: list[Protocol] = []

    class Accepting(Protocol):
        def connectionMade(self) -> None:
            seen.append(self)

    server = network.host("server")
    server.listenTCP(PORT, Factory.forProtocol(Accepting))
    server.listenUDP(PORT, EchoDatagramProtocol())
    server.listenUDP(PORT + 1, DatagramProtocol())
    return seen


@pytest.mark.network(link={"latency": 0.05})
def test_an_answer_is_ok_and_takes_a_round_trip(opened: list[Protocol], attempt: Connect) -> None:
    status, out, err, _ = attempt(f"tcp:server:{PORT}")
    assert (status, err) == (0, [])
    assert re.fullmatch(rf"OK 0 in 10\d ms: \S+:{PORT}", out[0])
    assert len(out) == len(opened) == 1


def test_the_connection_is_closed(opened: list[Protocol], attempt: Connect) -> None:
    attempt("--count", "3", "server", f"{PORT}")
    assert [cast("Any", peer.transport).connected for peer in opened] == [0, 0, 0]


def test_the_error_has_its_number_and_its_name(
    network: Network, opened: list[Protocol], attempt: Connect
) -> None:
    with network.fault(Refuse("server", PORT)), network.fault(Refuse("server", PORT, transport="udp")):
        for words in ((f"tcp:server:{PORT}",), ("server", f"{PORT}"), (f"udp:server:{PORT}",)):
            status, out, err, _ = attempt(*words)
            assert (status, err) == (1, [])
            assert out[0].startswith("REFUSED 111 ECONNREFUSED in ")
            assert f" ms: {' '.join(words)}: " in out[0]


def test_a_silence_is_a_timeout_to_the_second(
    network: Network, opened: list[Protocol], attempt: Connect
) -> None:
    with network.fault(BlackHole("server", PORT)):
        status, out, _, seconds = attempt("--timeout", "20s", f"tcp:server:{PORT}")
    assert status == 1
    assert seconds == pytest.approx(20, abs=0.1)
    assert out == [f"TIMEOUT 110 ETIMEDOUT in 20.000 s: tcp:server:{PORT}: no answer within 20 s"]


def test_a_name_that_is_not_found_has_no_number(
    network: Network, opened: list[Protocol], attempt: Connect
) -> None:
    with network.fault(NamesFail("server")):
        for target in (f"tcp:server:{PORT}", f"udp:server:{PORT}"):
            status, out, _, _ = attempt(target)
            assert (status, out[0].split(" in ")[0]) == (1, "DNS")


def test_a_datagram_service_is_asked_with_an_empty_datagram(
    network: Network, opened: list[Protocol], attempt: Connect
) -> None:
    status, out, _, _ = attempt(f"udp:server:{PORT}")
    assert (status, out[0].split(" in ")[0]) == (0, "OK 0")
    status, out, _, seconds = attempt("--timeout", "3s", f"udp:server:{PORT + 1}")
    assert status == 1
    assert seconds == pytest.approx(3, abs=0.1)
    assert out[0].startswith("TIMEOUT 110 ETIMEDOUT in 3.000 s: ")


def test_attempts_begin_every_so_often_and_are_summed_up(
    network: Network, opened: list[Protocol], attempt: Connect
) -> None:
    """One that takes longer than that is followed at once; one that is not answered makes the exit status 1."""
    status, out, err, seconds = attempt("--count", "4", "--every", "10s", "server", f"{PORT}")
    assert (status, len(out), len(opened)) == (0, 4, 4)
    assert seconds == pytest.approx(30, abs=0.1)
    assert re.fullmatch(r"4 of 4 answered; least \S+ ms, mean \S+ ms, most \S+ ms", err[0])
    with network.fault(BlackHole("server", PORT)):
        words = ("--count", "2", "--every", "1s", "--timeout", "5s")
        status, out, err, seconds = attempt(*words, f"tcp:server:{PORT}")
    assert (status, len(out), err) == (1, 2, ["0 of 2 answered"])
    assert seconds == pytest.approx(10, abs=0.1)


def test_each_attempt_in_json(network: Network, opened: list[Protocol], attempt: Connect) -> None:
    _, out, _, _ = attempt("--json", "--count", "2", f"tcp:server:{PORT}")
    with network.fault(Refuse("server", PORT)):
        out += attempt("--json", f"tcp:server:{PORT}")[1]
    told = [json.loads(line) for line in out]
    assert [(one["attempt"], one["word"], one["errno"], one["name"]) for one in told] == [
        (1, "OK", 0, None),
        (2, "OK", 0, None),
        (1, "REFUSED", 111, "ECONNREFUSED"),
    ]
    assert all(set(one) == {"attempt", "word", "errno", "name", "seconds", "text"} for one in told)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tpc:localhost:1"], "did you mean tcp?"),
        (["--count", "0", "tcp:localhost:1"], "0 is not in the range x>=1"),
        (["a", "b", "c"], "not 3 words"),
        (["--every", "soon", "tcp:localhost:1"], "is not a duration"),
    ],
)
def test_wrong_usage_is_exit_status_2(attempt: Connect, words: list[str], said: str) -> None:
    status, out, err, _ = attempt(*words)
    assert (status, out) == (2, [])
    assert said in err[-1]


def test_endpoints_of_this_machine(folder: Path) -> None:
    listen = "--listen tcp6:0 --listen unix:s.sock --listen unix-datagram:d.sock"
    with running("twistnet-echo", *listen.split(), folder=folder) as node:
        for kind, address in node.addresses(3):
            host, _, port = address.rpartition(":")
            target = f"{kind}:{address}" if not host else rf"{kind}:\:\:1:{port}"
            ran = finished("twistnet", "connect", target, folder=folder)
            assert (ran.returncode, ran.stderr) == (0, b""), kind
            assert ran.stdout.startswith(b"OK 0 in "), kind
            assert ran.stdout.strip().endswith(address.encode())


def test_no_such_path(folder: Path) -> None:
    ran = finished("twistnet", "connect", "unix:/none", folder=folder)
    assert (ran.returncode, ran.stderr) == (1, b"")
    assert ran.stdout.startswith(b"REFUSED 2 ENOENT in ")


def test_a_peer_that_does_not_speak_tls(folder: Path) -> None:
    """It echoes our own greeting of TLS: that is no answer."""
    pytest.importorskip("OpenSSL", reason="needs twistnet[tls]")
    with running("twistnet-echo", "--listen", "tcp:0", folder=folder) as node:
        ((_, address),) = node.addresses(1)
        ran = finished("twistnet", "connect", f"tls:{address}", folder=folder)
    assert (ran.returncode, ran.stdout.split()[0]) == (1, b"TLS")


@pytest.mark.parametrize(
    ("accepts", "said"), [(True, "RESET 104 ECONNRESET"), (False, "TIMEOUT 110 ETIMEDOUT")]
)
def test_a_peer_that_never_shakes_hands(folder: Path, accepts: bool, said: str) -> None:
    """It closes, or says nothing: a connection alone is no answer of TLS."""
    pytest.importorskip("OpenSSL", reason="needs twistnet[tls]")
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up() -> None:
            peer, _ = listening.accept()
            with peer:
                peer.recv(10_000)

        thread = threading.Thread(target=hang_up)
        if accepts:
            thread.start()
        where = f"tls:127.0.0.1:{listening.getsockname()[1]}"
        timeout = "20s" if accepts else "300ms"
        ran = finished("twistnet", "connect", "--timeout", timeout, where, folder=folder)
        if accepts:
            thread.join(PATIENCE)
    assert (ran.returncode, ran.stdout.decode().split(" in ")[0]) == (1, said)


def test_interrupted_it_sums_up(folder: Path) -> None:
    with running("twistnet-echo", "--listen", "tcp:0", folder=folder) as node:
        ((_, address),) = node.addresses(1)
        with running(
            "connect", "--every", "20ms", f"tcp:{address}", folder=folder, program="twistnet"
        ) as client:
            client.wait_for("OK 0", 3)
            assert client.end(signal.SIGINT) == 130
            client.wait_for(r"(\d+) of \1 answered")
            assert "Traceback" not in client.output


def test_nobody_reads_the_output(folder: Path) -> None:
    command = f"{BIN}/twistnet connect --every 1ms unix:/none | head -n 1; exit ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, timeout=20, check=False, cwd=folder)
    assert (ran.returncode, ran.stdout.count(b"\n")) == (141, 1)
    assert b"Traceback" not in ran.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("words", ["connect unix:/none", "services"])
def test_output_that_cannot_be_written(folder: Path, words: str) -> None:
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [BIN / "twistnet", *words.split()],
            stdout=full, stderr=subprocess.PIPE, timeout=20, check=False, cwd=folder,
        )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (1, b"FAILED standard output: No space left on device\n")
