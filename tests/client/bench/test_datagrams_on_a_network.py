"""`twistnet bench` over datagrams, which are lost, come late, twice, or in another order."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol

from tests.client.bench.served import LATENCY, PORT, UDP, Bench, Figures, serve
from twistnet.simulation import Network


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


@LATENCY
def test_datagrams_that_nobody_answers_are_lost_and_never_waited_for_long(
    network: Network, bench: Bench
) -> None:
    network.host("server").listenUDP(PORT, DatagramProtocol())
    for rate in ((), ("--rate", "30")):
        status, out, err, seconds = bench("--json", "--timeout", "200ms", *rate, UDP)
        assert (status, err) == (1, f"TIMEOUT {UDP}: no answer within 0.2 s\n")
        found = json.loads(out)
        assert found["requests"]["answered"] == 0
        assert found["requests"]["lost"] >= 20
        assert found["latency"] is None
        assert seconds < 3.5


@pytest.mark.network(link={"latency": 0.005, "loss": 0.1})
def test_lost_datagrams_are_counted_and_the_others_measured(network: Network, bench: Bench) -> None:
    """Of a hundred, 19 lose their way there or back."""
    serve(network)
    status, out, err, _ = bench("--timeout", "50ms", "--rate", "600", "--json", UDP)
    found = json.loads(out)
    requests = found["requests"]
    assert (status, err.count("\n")) == (0, 1)
    assert err.startswith(f"warning: {requests['lost']} datagrams, or the replies to them, were lost; ")
    assert requests["answered"] + requests["lost"] == 1200
    assert requests["lost"] / 1200 == pytest.approx(0.19, abs=0.05)
    assert found["latency"]["most"] == pytest.approx(0.010, rel=0.05)


@pytest.mark.network(link={"latency": 0.005, "duplicate": 0.2, "reorder": 0.2, "jitter": 0.02})
@pytest.mark.parametrize("size", ["3", "500"])
def test_datagrams_that_come_twice_or_in_another_order_are_told_apart(
    network: Network, figures: Figures, size: str
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
def test_a_reply_after_its_time_is_late_and_no_reply_to_the_next(network: Network, bench: Bench) -> None:
    network.host("server").listenUDP(PORT, Late())
    status, out, err, _ = bench("--timeout", "200ms", "--json", UDP)
    assert (status, err) == (1, f"TIMEOUT {UDP}: no answer within 0.2 s\n")
    found = json.loads(out)
    assert found["requests"]["answered"] == 0
    assert found["requests"]["lost"] >= 20
    assert found["requests"]["late_or_repeated"] >= 15


@LATENCY
def test_empty_datagrams_are_answered_one_at_a_time(network: Network, figures: Figures) -> None:
    serve(network)
    assert figures("--size", "0", UDP)["requests"]["answered"] == pytest.approx(600, rel=0.03)
