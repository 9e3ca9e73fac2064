"""`twistnet bench` as a program on a simulated host: what servers and the network do to it, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Protocol

from tests.client.bench.served import LATENCY, PORT, TCP, UDP, Answering, Bench, Figures, serve
from twistnet import EchoDatagramProtocol, EchoFactory, UpperDatagramProtocol, UpperFactory
from twistnet.simulation import Fixed, Network


@LATENCY
@pytest.mark.parametrize(
    ("target", "window"),
    [
        (TCP, 1),
        (TCP, 4),
        (UDP, 4),
        (f"tcp6:server:{PORT}", 1),
        (f"udp6:server:{PORT}", 1),
        (f"server {PORT}", 1),
    ],
)
def test_a_closed_loop_asks_again_when_it_is_answered(
    network: Network, figures: Figures, target: str, window: int
) -> None:
    """A round trip takes 10 ms: a connection has a hundred a second of them, with each place in its window."""
    serve(network)
    server = network.hosts["server"]
    server.listenTCP(PORT, EchoFactory(), interface=server.addresses[1])
    server.listenUDP(PORT, EchoDatagramProtocol(), interface=server.addresses[1])
    found = figures("--window", str(window), *target.split())
    assert found["requests_per_second"] == pytest.approx(300 * window, rel=0.03)
    assert found["latency"]["percentiles"]["99.9"] == pytest.approx(0.010, rel=0.03)
    assert found["seconds"] == pytest.approx(2.0, abs=0.01)
    assert found["requests"]["answered"] == pytest.approx(600 * window, rel=0.03)
    assert found["settings"]["connections"] == 3


@LATENCY
@pytest.mark.parametrize("size", ["1", "64KiB", "300000"])
def test_requests_of_any_size_come_back_whole(network: Network, figures: Figures, size: str) -> None:
    serve(network)
    found = figures("--size", size, "--window", "2", "--duration", "200ms", TCP)
    assert found["requests"]["answered"] > 10
    assert found["requests"]["unanswered"] == 0


@pytest.mark.network(link={"latency": 0.005, "jitter": 0.01, "slicing": Fixed(7)})
def test_however_replies_are_cut(network: Network, figures: Figures) -> None:
    serve(network)
    found = figures("--size", "100", "--window", "5", "--duration", "500ms", TCP)
    assert found["requests"]["answered"] > 50


@LATENCY
@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:X509:DeprecationWarning")
def test_over_tls_and_with_the_header_of_a_proxy(network: Network, figures: Figures, tmp_path: Path) -> None:
    """Whatever a client's string can be; the handshake is over before anything is measured."""
    certificates = pytest.importorskip(
        "tests.simulation.other_code.certificates", reason="needs twistnet[tls]"
    )
    for name, pem in (
        ("server", certificates.pem("server")),
        ("me", certificates.pem("client")),
        ("ca", certificates.authority_pem()),
    ):
        (tmp_path / f"{name}.pem").write_bytes(pem)
    options = f"ca={tmp_path}/ca.pem:interface=0.0.0.0:proxy_protocol=v2:proxy_allow_from=0.0.0.0/0"
    server = network.host("server")
    listening = serverFromString(server, f"guarded:mtls:{tmp_path}/server.pem:{PORT}:{options}")
    network.run(listening.listen(EchoFactory()))
    known = f"proxied:mtls:server:{PORT}:certificate={tmp_path}/me.pem:ca={tmp_path}/ca.pem"
    found = figures("--size", "5000", "--window", "2", known)
    assert found["requests_per_second"] == pytest.approx(600, rel=0.05)
    assert found["latency"]["most"] == pytest.approx(0.010, rel=0.1)


@LATENCY
def test_an_upper_service_is_measured_as_one_and_is_no_echo(network: Network, bench: Bench) -> None:
    server = network.host("server")
    server.listenTCP(PORT, UpperFactory())
    server.listenTCP(PORT + 1, UpperFactory("utf-8"))
    server.listenUDP(PORT, UpperDatagramProtocol())
    brief = ("--expect", "upper", "--duration", "200ms")
    assert bench(*brief, f"tcp:server:{PORT + 1}")[0] == 0
    for target in (TCP, UDP):
        assert bench(*brief, target)[0] == 0
        status, _, err, _ = bench(target)
        assert status == 1
        assert err.startswith(f"WRONG {target}: connection ")


@LATENCY
def test_an_open_loop_keeps_its_rate(network: Network, figures: Figures) -> None:
    serve(network)
    for target in (TCP, UDP):
        found = figures("--rate", "250", target)
        assert found["requests"]["answered"] == pytest.approx(500, abs=2)
        assert found["latency"]["most"] == pytest.approx(0.010, rel=0.05)
        assert found["generator"]["late"] == 0


class Stalling(Answering):
    """Takes a second off, once, from the first second on."""

    def connectionMade(self) -> None:
        from twisted.internet import reactor

        reactor.callLater(1.0, self.transport.pauseProducing)
        reactor.callLater(2.0, self.transport.resumeProducing)


@LATENCY
def test_a_server_that_stands_still_shows_in_all_that_was_due_meanwhile(
    network: Network, figures: Figures
) -> None:
    """A second of the ten: a tenth of the requests. In a closed loop only the one that waits would tell of it."""
    serve(network, Stalling)
    ten = ("--duration", "10s", "--warm-up", "0", "--connections", "1")
    found = figures(*ten, "--rate", "100", TCP)["latency"]["percentiles"]
    assert found["50"] == pytest.approx(0.010, rel=0.05)
    assert found["90"] < 0.1
    assert found["95"] == pytest.approx(0.5, abs=0.05)
    assert found["99"] == pytest.approx(0.9, abs=0.05)
    found = figures(*ten, "--rate", "50", "--window", "1", TCP)["latency"]["percentiles"]
    assert found["99"] > 0.9, (
        "though it is only asked when there is room, it counts from when it should have been"
    )
    closed = figures(*ten, TCP)["latency"]
    assert closed["percentiles"]["99"] == pytest.approx(0.010, rel=0.05)
    assert closed["most"] == pytest.approx(1.0, abs=0.05)


@LATENCY
def test_a_server_that_cannot_keep_up_is_told_of(network: Network, bench: Bench) -> None:
    """One request in 10 ms, and 200 a second are due: after two and a half seconds half of them wait."""
    serve(network)
    words = ("--warm-up", "500ms", "--rate", "200", "--window", "1", "--connections", "1", "--json", TCP)
    status, out, err, seconds = bench(*words)
    found = json.loads(out)
    assert status == 0
    assert found["requests"]["not_sent"] == pytest.approx(250, abs=10)
    assert found["latency"]["most"] == pytest.approx(1.25, abs=0.1)
    assert err.startswith("warning: ")
    assert "the server does not keep up with --rate" in err
    assert found["warnings"] == [err.removeprefix("warning: ").rstrip("\n")]
    assert seconds < 4


class Wrong(Answering):
    """Changes one octet, the thousandth."""

    def __init__(self) -> None:
        self.seen = 0

    def answer(self, data: bytes) -> bytes:
        changed = bytearray(data)
        if 0 <= 1000 - self.seen < len(data):
            changed[1000 - self.seen] ^= 0x80
        self.seen += len(data)
        return bytes(changed)


@LATENCY
def test_one_wrong_octet_is_found_and_named(network: Network, bench: Bench) -> None:
    serve(network, Wrong)
    status, out, err, seconds = bench("--size", "100", TCP)
    assert status == 1
    assert err.count("\n") == 1
    assert err.startswith(f"WRONG {TCP}: connection 1, octet 1000 of its replies: expected 0x")
    assert ", got 0x" in err
    assert seconds < 1
    assert "answered  0\n" in out
    status, out, err, _ = bench("--size", "100", "--warm-up", "0", TCP)
    assert (status, err.partition(" ")[0]) == (1, "WRONG")
    assert "answered" in out


class Chattering(Answering):
    """Says everything, and a word more."""

    def answer(self, data: bytes) -> bytes:
        return data + b"!"


@LATENCY
def test_more_than_was_asked_for_is_wrong(network: Network, bench: Bench) -> None:
    serve(network, Chattering)
    status, _, err, _ = bench(TCP)
    assert (status, err) == (
        1, f"WRONG {TCP}: connection 1, octet 64 of its replies: expected none, got 0x21\n",
    )  # fmt: skip


class Silent(Answering):
    """Answers for a second only."""

    def connectionMade(self) -> None:
        from twisted.internet import reactor

        self.until = reactor.seconds() + 1

    def dataReceived(self, data: bytes) -> None:
        from twisted.internet import reactor

        if reactor.seconds() < self.until:
            super().dataReceived(data)


@LATENCY
@pytest.mark.parametrize("rate", [(), ("--rate", "20")])
def test_a_stream_that_falls_silent_is_a_timeout(
    network: Network, bench: Bench, rate: tuple[str, ...]
) -> None:
    """What was measured before is shown."""
    serve(network, Silent)
    status, out, err, seconds = bench("--timeout", "3s", "--json", "--duration", "1h", *rate, TCP)
    assert (status, err) == (1, f"TIMEOUT {TCP}: no answer within 3 s\n")
    assert seconds == pytest.approx(4, abs=0.3)
    found = json.loads(out)
    assert found["problem"] == err.rstrip("\n")
    assert found["requests"]["answered"] > 0
    assert found["requests"]["unanswered"] > 0


class Closing(Answering):
    """Closes, well or badly, after a second."""

    how = "loseConnection"

    def connectionMade(self) -> None:
        from twisted.internet import reactor

        reactor.callLater(1, getattr(self.transport, self.how))


class Aborting(Closing):
    """Badly."""

    how = "abortConnection"


@LATENCY
@pytest.mark.parametrize(
    ("make", "said"),
    [(Closing, f"FAILED {TCP}: the peer has closed connection "), (Aborting, f"RESET {TCP}: ")],
)
def test_a_peer_that_ends_it_midway_ends_it_for_all(
    network: Network, bench: Bench, make: Callable[[], Protocol], said: str
) -> None:
    serve(network, make)
    status, out, err, seconds = bench("--json", TCP)
    assert status == 1
    assert err.startswith(said)
    assert err.count("\n") == 1
    assert seconds == pytest.approx(1, abs=0.1)
    assert json.loads(out)["requests"]["answered"] > 50


@LATENCY
def test_nothing_is_left_open(network: Network, bench: Bench) -> None:
    made: list[Answering] = []

    class Kept(Answering):
        def connectionMade(self) -> None:
            made.append(self)

    serve(network, Kept)
    assert bench("--connections", "70", "--duration", "100ms", TCP)[0] == 0
    assert len(made) == 70
    assert [peer for peer in made if peer.transport.connected] == []
