"""`twistnet bench` as a program on a simulated host: what servers and the network do to it, in virtual time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol

from twistnet import EchoDatagramProtocol, EchoFactory, UpperDatagramProtocol, UpperFactory
from twistnet.client.main import main
from twistnet.simulation import BlackHole, Fixed, Network, Refuse

PORT = 7007
TCP = f"tcp:server:{PORT}"
UDP = f"udp:server:{PORT}"
SHORT = ("--duration", "2s", "--warm-up", "200ms", "--connections", "3")
Bench: TypeAlias = Callable[..., tuple[int, str, str, float]]


@pytest.fixture
def bench(network: Network, capfd: pytest.CaptureFixture[str]) -> Bench:
    """Runs the command on a host of its own: exit status, output, error output, and how long it took."""

    def run(*words: str) -> tuple[int, str, str, float]:
        begun = network.clock.now
        with network.on(network.host(f"client{len(network.hosts)}")), pytest.raises(SystemExit) as ended:
            main.main(["bench", *SHORT, *words], prog_name="twistnet")
        seconds = network.clock.now - begun
        network.settle()
        out, err = capfd.readouterr()
        return int(ended.value.code or 0), out, err, seconds

    return run


@pytest.fixture
def figures(bench: Bench) -> Callable[..., dict[str, Any]]:
    """Runs the command, which is to succeed without a word on standard error, and reads its JSON."""

    def run(*words: str) -> dict[str, Any]:
        status, out, err, _ = bench("--json", *words)
        assert (status, err) == (0, "")
        found: dict[str, Any] = json.loads(out)
        return found

    return run


def serve(network: Network, make: Callable[[], Protocol] | None = None) -> None:
    """Echo over streams and datagrams, or another protocol over streams."""
    server = network.host("server")
    server.listenTCP(PORT, EchoFactory() if make is None else Factory.forProtocol(make))
    server.listenUDP(PORT, EchoDatagramProtocol(), maxPacketSize=65536)


class Answering(Protocol):
    """Sends back what comes, or what becomes of it."""

    transport: Any

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self.answer(data))

    def answer(self, data: bytes) -> bytes:
        """What to send back."""
        return data


LATENCY = pytest.mark.network(link={"latency": 0.005})


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
    network: Network, figures: Callable[..., dict[str, Any]], target: str, window: int
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
def test_requests_of_any_size_come_back_whole(
    network: Network, figures: Callable[..., dict[str, Any]], size: str
) -> None:
    serve(network)
    found = figures("--size", size, "--window", "2", "--duration", "200ms", TCP)
    assert found["requests"]["answered"] > 10
    assert found["requests"]["unanswered"] == 0


@pytest.mark.network(link={"latency": 0.005, "jitter": 0.01, "slicing": Fixed(7)})
def test_however_replies_are_cut(network: Network, figures: Callable[..., dict[str, Any]]) -> None:
    serve(network)
    found = figures("--size", "100", "--window", "5", "--duration", "500ms", TCP)
    assert found["requests"]["answered"] > 50


@LATENCY
@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:X509:DeprecationWarning")
def test_over_tls_and_with_the_header_of_a_proxy(
    network: Network, figures: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
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
def test_an_open_loop_keeps_its_rate(network: Network, figures: Callable[..., dict[str, Any]]) -> None:
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
    network: Network, figures: Callable[..., dict[str, Any]]
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
    assert out == "", "the warm-up was not over, so nothing was measured"
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


class WrongDatagrams(DatagramProtocol):
    """Answers the first hundred, and then with less."""

    seen = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.seen += 1
        assert self.transport is not None
        self.transport.write(datagram if self.seen <= 100 else datagram[:20], addr)


@LATENCY
def test_a_wrong_datagram_is_named(network: Network, bench: Bench) -> None:
    network.host("server").listenUDP(PORT, WrongDatagrams())
    status, _, err, _ = bench(UDP)
    assert status == 1
    assert "octet 20 of a datagram: expected 0x" in err
    assert err.endswith(", got none\n")


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


@LATENCY
def test_datagrams_that_nobody_answers_are_lost_and_never_waited_for_long(
    network: Network, bench: Bench
) -> None:
    network.host("server").listenUDP(PORT, DatagramProtocol())
    for rate in ((), ("--rate", "30")):
        status, out, err, seconds = bench("--json", "--timeout", "200ms", *rate, UDP)
        assert (status, err) == (0, "")
        found = json.loads(out)
        assert found["requests"]["answered"] == 0
        assert found["requests"]["lost"] >= 20
        assert found["latency"] is None
        assert seconds < 3.5


@pytest.mark.network(link={"latency": 0.005, "loss": 0.1})
def test_lost_datagrams_are_counted_and_the_others_measured(
    network: Network, figures: Callable[..., dict[str, Any]]
) -> None:
    """Of a hundred, 19 lose their way there or back."""
    serve(network)
    found = figures("--timeout", "50ms", "--rate", "600", UDP)
    requests = found["requests"]
    assert requests["answered"] + requests["lost"] == pytest.approx(1200, abs=3)
    assert requests["lost"] / 1200 == pytest.approx(0.19, abs=0.05)
    assert found["latency"]["most"] == pytest.approx(0.010, rel=0.05)


@pytest.mark.network(link={"latency": 0.005, "duplicate": 0.2, "reorder": 0.2, "jitter": 0.02})
@pytest.mark.parametrize("size", ["3", "500"])
def test_datagrams_that_come_twice_or_in_another_order_are_told_apart(
    network: Network, figures: Callable[..., dict[str, Any]], size: str
) -> None:
    serve(network)
    found = figures("--size", size, "--window", "8", "--duration", "500ms", UDP)
    assert found["requests"]["late_or_repeated"] > 50
    assert found["requests"]["lost"] == 0


class Late(DatagramProtocol):
    """Answers after 300 ms."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        from twisted.internet import reactor

        assert self.transport is not None
        reactor.callLater(0.3, self.transport.write, datagram, addr)


@LATENCY
def test_a_reply_after_its_time_is_late_and_no_reply_to_the_next(
    network: Network, figures: Callable[..., dict[str, Any]]
) -> None:
    network.host("server").listenUDP(PORT, Late())
    found = figures("--timeout", "200ms", UDP)
    assert found["requests"]["answered"] == 0
    assert found["requests"]["lost"] >= 20
    assert found["requests"]["late_or_repeated"] >= 15


@LATENCY
def test_empty_datagrams_are_answered_one_at_a_time(
    network: Network, figures: Callable[..., dict[str, Any]]
) -> None:
    serve(network)
    assert figures("--size", "0", UDP)["requests"]["answered"] == pytest.approx(600, rel=0.03)


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


def test_nobody_there_and_no_way_there(network: Network, bench: Bench) -> None:
    serve(network)
    with network.fault(Refuse("server", PORT)), network.fault(Refuse("server", PORT, transport="udp")):
        for words in ((TCP,), (UDP,), ("server", f"{PORT}")):
            status, out, err, seconds = bench(*words)
            assert (status, out) == (1, "")
            assert err.startswith(f"REFUSED {' '.join(words)}: ")
            assert err.count("\n") == 1
            assert seconds < 1
    with network.fault(BlackHole("server", PORT)):
        status, out, err, seconds = bench("--timeout", "3s", TCP)
        assert (status, out, err) == (1, "", f"TIMEOUT {TCP}: no answer within 3 s\n")
        assert seconds == pytest.approx(3, abs=0.1)


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


@LATENCY
def test_a_report_is_written_and_the_table_is_still_there(
    network: Network, bench: Bench, tmp_path: Path
) -> None:
    serve(network)
    status, out, err, _ = bench("--report", f"{tmp_path}/out.html", TCP)
    assert (status, err) == (0, "")
    assert "requests a second" in out
    page = (tmp_path / "out.html").read_text("utf-8")
    assert page.count("<svg") == 2
    assert page.endswith("</html>\n")


def test_what_is_not_there_after_a_failure_was_not_there_before(
    network: Network, bench: Bench, tmp_path: Path
) -> None:
    network.host("server")
    assert bench("--report", f"{tmp_path}/out.html", TCP)[0] == 1
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "old.html").write_text("old")
    assert bench("--report", f"{tmp_path}/old.html", TCP)[0] == 1
    assert (tmp_path / "old.html").read_text() == "old"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--report", "/nowhere/out.html", TCP], "--report /nowhere/out.html: No such file or directory"),
        (["--report", "/", TCP], "--report /: Is a directory"),
        (["--size", "0", TCP], "--size 0 is for datagrams"),
        (["--size", "lots", TCP], "'lots' is not a size"),
        (["--size", "65508", UDP], "65507 octets that a datagram can carry"),
        (["--rate", "0", TCP], "'0' is not more than 0 a second"),
        (["--duration", "0", TCP], "'0' is no time at all"),
        (["--timeout", "0", TCP], "'0' is no time at all"),
        (["--window", "0", TCP], "0 is not in the range x>=1"),
        (["--window", "2000000", TCP], "no more than 1048576 requests can be under way"),
        (["--expect", "lower", TCP], "'lower' is not one of 'echo', 'upper'"),
        (["a", "b", "c"], "an endpoint or a host and a port, not 3 words"),
        (["tpc:server:1"], "did you mean tcp?"),
        (["--sise", "1", TCP], "No such option"),
    ],
)
def test_wrong_usage_is_known_before_anything_is_sent(
    network: Network, bench: Bench, words: list[str], said: str
) -> None:
    status, out, err, seconds = bench(*words)
    assert (status, out, seconds) == (2, "", 0)
    assert said in err
    assert not network.trace.packets
