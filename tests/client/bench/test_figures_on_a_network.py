"""What is counted is what was due in the measured time, exactly, whatever the warm-up was and whenever timers ring."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.protocol import DatagramProtocol

from tests.client.bench.served import LATENCY, PORT, TCP, UDP, Bench, Figures, serve
from twistnet.simulation import Network


@LATENCY
@pytest.mark.parametrize("target", [TCP, UDP])
@pytest.mark.parametrize(
    ("rate", "warm_up", "duration", "number"),
    [
        ("100", "1s", "1", 100),
        ("100", "0", "1", 100),
        ("100", "123ms", "1", 100),
        ("1000", "100ms", "1", 1000),
        ("700", "300ms", "0.5", 350),
        ("3", "1.1s", "2", 6),
    ],
)
def test_an_open_loop_measures_what_is_due_in_its_time(
    network: Network, figures: Figures, target: str, rate: str, warm_up: str, duration: str, number: int
) -> None:
    serve(network)
    found = figures("--rate", rate, "--warm-up", warm_up, "--duration", duration, target)
    requests = found["requests"]
    assert (requests["answered"], requests["unanswered"], requests["not_sent"]) == (number, 0, 0)
    assert found["latency"]["count"] == number
    assert found["seconds"] == pytest.approx(float(duration), abs=1e-9)


@LATENCY
@pytest.mark.parametrize("connections", ["1", "3", "7"])
def test_what_is_not_sent_is_counted_with_the_rest(network: Network, bench: Bench, connections: str) -> None:
    """Each connection answers a hundred a second."""
    serve(network)
    words = ("--rate", "900", "--window", "1", "--warm-up", "300ms", "--duration", "1s")
    _, out, _, _ = bench(*words, "--connections", connections, "--json", TCP)
    requests = json.loads(out)["requests"]
    assert requests["not_sent"] > 100
    assert requests["answered"] + requests["not_sent"] == 900


class LateAtFirst(DatagramProtocol):
    """Answers those of the first second after 300 ms, and the others at once, and says everything twice."""

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        from twisted.internet import reactor

        assert self.transport is not None
        wait = 0.3 if reactor.seconds() < self.begun + 1 else 0.0
        reactor.callLater(wait, self.transport.write, datagram, addr)

    def startProtocol(self) -> None:
        from twisted.internet import reactor

        self.begun = reactor.seconds()


@LATENCY
@pytest.mark.parametrize("size", ["1", "500"])
def test_late_replies_of_the_warm_up_are_no_part_of_the_measurement(
    network: Network, figures: Figures, size: str
) -> None:
    network.host("server").listenUDP(PORT, LateAtFirst())
    found = figures("--timeout", "200ms", "--size", size, "--warm-up", "1s", "--duration", "1s", UDP)
    assert found["requests"]["late_or_repeated"] == 0
    assert found["requests"]["answered"] > 100
