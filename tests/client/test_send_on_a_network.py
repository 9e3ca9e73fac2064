"""`twistnet send` as a program on a simulated host: what the network does to it, in virtual time.

What it reads and writes are the real standard streams, which a simulated reactor cannot watch: over streams, only attempts
that come to nothing are shown here.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import pytest
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from twistnet import EchoDatagramProtocol, UpperDatagramProtocol
from twistnet.client.main import main
from twistnet.simulation import BlackHole, NamesFail, NamesSilent, NamesSlow, Network, Refuse

PORT = 7009
Send: TypeAlias = Callable[..., tuple[int, bytes, str, float]]


@contextmanager
def standard_input(data: bytes) -> Iterator[None]:
    """Have standard input read these octets."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        kept = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            yield
        finally:
            os.dup2(kept, 0)
            os.close(kept)


@pytest.fixture
def send(network: Network, capfdbinary: pytest.CaptureFixture[bytes]) -> Send:
    """Runs the command on a host of its own: exit status, output, error output, and how long it took."""

    def run(*words: str, stdin: bytes = b"") -> tuple[int, bytes, str, float]:
        begun = network.clock.now
        with network.on(network.host(f"client{len(network.hosts)}")), standard_input(stdin):
            with pytest.raises(SystemExit) as ended:
                main.main(["send", *words], prog_name="twistnet")
        out, err = capfdbinary.readouterr()
        return int(ended.value.code or 0), out, err.decode(), network.clock.now - begun

    return run


def serve(network: Network, protocol: DatagramProtocol | None = None) -> None:
    """Upper over UDP, or something else, and a stream server that says nothing."""
    server = network.host("server")
    server.listenUDP(PORT, protocol or UpperDatagramProtocol(), maxPacketSize=65536)
    server.listenTCP(PORT, Factory.forProtocol(Protocol))


@pytest.mark.parametrize("prefix", ["udp", "udp6"])
def test_a_datagram_and_its_answer(network: Network, send: Send, prefix: str) -> None:
    serve(network)
    server = network.hosts["server"]
    server.listenUDP(PORT, UpperDatagramProtocol(), interface=server.addresses[1])
    status, out, err, seconds = send(f"{prefix}:server:{PORT}", stdin=b"hello\n")
    assert (status, out, err) == (0, b"HELLO\n", "")
    assert seconds < 0.01
    assert send(f"{prefix}:server:{PORT}")[:3] == (0, b"", "")


@pytest.mark.network(link={"latency": 0.2})
def test_the_longest_datagram_comes_back_whole(network: Network, send: Send) -> None:
    serve(network)
    assert send(f"udp:server:{PORT}", stdin=b"x" * 65507)[:2] == (0, b"X" * 65507)
    status, out, err, _ = send(f"udp:server:{PORT}", stdin=b"x" * 65508)
    assert (status, out) == (2, b"")
    assert "65507 octets" in err


class Thrice(DatagramProtocol):
    """Answers three times, a second apart."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        from twisted.internet import reactor

        for number in range(3):
            assert self.transport is not None
            reactor.callLater(number, self.transport.write, datagram + b"%d" % number, addr)


def test_wait_takes_all_replies(network: Network, send: Send) -> None:
    """That come within the time, and takes the whole of it."""
    serve(network, Thrice())
    for wait, replies in (("1500ms", b"r0r1"), ("10s", b"r0r1r2")):
        status, out, err, seconds = send("--wait", wait, f"udp:server:{PORT}", stdin=b"r")
        assert (status, out, err) == (0, replies, "")
        assert seconds == pytest.approx(1.5 if wait == "1500ms" else 10, abs=0.01)
    assert send(f"udp:server:{PORT}", stdin=b"r")[1] == b"r0", "without it the first reply is enough"


@pytest.mark.parametrize("option", ["--timeout", "--wait"])
def test_a_silence_is_a_timeout_to_the_second(network: Network, send: Send, option: str) -> None:
    """Whether the peer says nothing, or the network swallows the question or the answer."""
    serve(network, DatagramProtocol())
    network.hosts["server"].listenUDP(PORT + 1, EchoDatagramProtocol())
    with network.fault(BlackHole("server", PORT + 1, transport="udp")):
        for port in (PORT, PORT + 1):
            status, out, err, seconds = send(option, "2h", f"udp:server:{port}", stdin=b"x")
            assert (status, out) == (1, b"")
            assert err == f"TIMEOUT udp:server:{port}: no answer within 7200 s\n"
            assert seconds == pytest.approx(7200, abs=0.1)


def test_a_connection_that_is_never_made_is_a_timeout(network: Network, send: Send) -> None:
    serve(network)
    with network.fault(BlackHole("server", PORT)):
        for words in ((f"tcp:server:{PORT}",), ("server", f"{PORT}")):
            status, out, err, seconds = send("--timeout", "20s", *words, stdin=b"x")
            assert (status, out) == (1, b"")
            assert err == f"TIMEOUT {' '.join(words)}: no answer within 20 s\n"
            assert seconds == pytest.approx(20, abs=0.1)


def test_nobody_there(network: Network, send: Send) -> None:
    serve(network)
    with network.fault(Refuse("server", PORT)), network.fault(Refuse("server", PORT, transport="udp")):
        for words in ((f"tcp:server:{PORT}",), ("server", f"{PORT}"), (f"udp:server:{PORT}",)):
            status, out, err, seconds = send(*words, stdin=b"x")
            assert (status, out) == (1, b"")
            assert err.startswith(f"REFUSED {' '.join(words)}: ")
            assert err.count("\n") == 1
            assert seconds < 1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_that_nobody_is_at_an_address_is_known_at_once(send: Send, host: str) -> None:
    """No name is looked up, so there is no other address to try after a while."""
    status, _, err, seconds = send(host, f"{PORT}")
    assert (status, err.partition(" ")[0]) == (1, "REFUSED")
    assert seconds < 0.1


def test_no_way_there(send: Send) -> None:
    """Nobody has the address: what becomes of that is the network's to say, and one line."""
    for words in (("tcp:192.0.2.77:1",), ("udp:192.0.2.77:1",)):
        status, _, err, _ = send(*words, stdin=b"x")
        assert status == 1
        assert err.partition(" ")[0] in {"UNREACHABLE", "TIMEOUT"}
        assert err.count("\n") == 1


@pytest.mark.parametrize("target", ["tcp:server:7009", "server 7009", "udp:server:7009", "udp6:server:7009"])
def test_names(network: Network, send: Send, target: str) -> None:
    """One that is not found is said at once; one that nobody answers for takes the timeout at most."""
    serve(network)
    with network.fault(NamesFail("server")):
        status, _, err, seconds = send(*target.split())
        assert (status, err.partition(" ")[0]) == (1, "DNS")
        assert seconds < 1
    with network.fault(NamesSilent("server")):
        status, _, err, seconds = send("--timeout", "5s", *target.split(), stdin=b"x")
        assert status == 1
        assert err.partition(" ")[0] in {"DNS", "TIMEOUT"}
        assert seconds <= 5.1


def test_a_slow_answer_for_a_name_is_waited_for(network: Network, send: Send) -> None:
    serve(network)
    with network.fault(NamesSlow(3)):
        status, out, _, seconds = send(f"udp:server:{PORT}", stdin=b"x")
    assert (status, out) == (0, b"X")
    assert seconds == pytest.approx(3, abs=0.1)


@pytest.mark.network(link={"loss": 1.0})
def test_a_datagram_that_is_lost_is_not_sent_again(network: Network, send: Send) -> None:
    serve(network)
    assert send("--timeout", "1m", f"udp:server:{PORT}", stdin=b"x")[0] == 1
    network.settle()
    assert len(network.trace.packets) == 1
