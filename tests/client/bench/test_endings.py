"""How a measurement ends in which little or nothing was measured: what is told of it, to a person and to a program."""

from __future__ import annotations

import json
import sys

import pytest
from twisted.internet.protocol import DatagramProtocol, Protocol

from tests.client.bench.served import LATENCY, PORT, TCP, UDP, Answering, Bench, serve
from twistnet.simulation import Network, Refuse


class Mute(Protocol):
    """Reads, and says nothing."""


class Dribbling(Answering):
    """Says an octet of each piece that comes, so that no reply is whole."""

    def answer(self, data: bytes) -> bytes:
        return data[:1]


class Wrong(Answering):
    """Says something else."""

    def answer(self, data: bytes) -> bytes:
        return bytes(len(data))


@LATENCY
def test_json_is_an_object_though_nothing_was_measured(network: Network, bench: Bench) -> None:
    serve(network, Mute)
    with network.fault(Refuse("server", PORT)):
        status, out, err, _ = bench("--json", TCP)
    found = json.loads(out)
    assert status == 1
    assert found["problem"] == err.rstrip("\n")
    assert found["problem"].startswith(f"REFUSED {TCP}: ")
    assert (found["requests"]["answered"], found["requests"]["unanswered"], found["seconds"]) == (0, 0, 0)
    status, out, err, _ = bench("--json", "--timeout", "1s", TCP)
    found = json.loads(out)
    assert (status, found["problem"]) == (1, f"TIMEOUT {TCP}: no answer within 1 s")
    assert (found["requests"]["answered"], found["requests"]["unanswered"]) == (0, 3)


@LATENCY
@pytest.mark.parametrize("word", ["--json", "--expect=echo"])
def test_a_warm_up_that_goes_wrong_is_told_as_one(network: Network, bench: Bench, word: str) -> None:
    serve(network, Wrong)
    status, out, err, _ = bench(word, TCP)
    assert status == 1
    assert err.startswith(f"WRONG {TCP}: ")
    if word == "--json":
        assert json.loads(out)["problem"] == err.rstrip("\n")
    else:
        assert out.startswith(
            f"{TCP}: 3 connections, 64 octets a request, window 1, closed loop, ended in the 0.2 s "
        )
        assert "answered  0\n" in out


@LATENCY
def test_a_silent_stream_shows_a_person_what_was_left_unanswered(network: Network, bench: Bench) -> None:
    serve(network, Mute)
    status, out, err, _ = bench("--timeout", "1s", TCP)
    assert (status, err) == (1, f"TIMEOUT {TCP}: no answer within 1 s\n")
    assert "unanswered  3 (100.00%)" in out


@LATENCY
@pytest.mark.parametrize("rate", [(), ("--rate", "30")])
@pytest.mark.parametrize("words", [(), ("--warm-up", "0"), ("--duration", "100ms")])
def test_datagrams_that_nobody_answers_are_a_timeout(
    network: Network, bench: Bench, rate: tuple[str, ...], words: tuple[str, ...]
) -> None:
    network.host("server").listenUDP(PORT, DatagramProtocol())
    status, out, err, _ = bench("--json", "--timeout", "500ms", *words, *rate, UDP)
    assert (status, err) == (1, f"TIMEOUT {UDP}: no answer within 0.5 s\n")
    found = json.loads(out)
    assert found["problem"] == err.rstrip("\n")
    assert found["requests"]["answered"] == 0


@LATENCY
def test_a_time_in_which_nothing_was_due_is_told(network: Network, bench: Bench) -> None:
    serve(network)
    for target in (TCP, UDP):
        status, out, err, _ = bench("--rate", "0.1", "--json", target)
        assert (status, err) == (
            1, f"FAILED {target}: no request fell due in the 2 s that were measured: --rate is 0.1 a second\n",
        )  # fmt: skip
        assert json.loads(out)["problem"] == err.rstrip("\n")


@pytest.mark.network(link={"latency": 0.005, "rate": 1e6})
@pytest.mark.parametrize(("size", "word"), [("1600KB", "FAILED"), ("20MB", "TIMEOUT")])
def test_a_request_that_takes_longer_than_the_measurement_is_told(
    network: Network, bench: Bench, size: str, word: str
) -> None:
    """Its reply comes piece by piece, so that nothing is silent."""
    serve(network)
    words = (
        "--size",
        size,
        "--connections",
        "1",
        "--timeout",
        "2s",
        "--warm-up",
        "500ms",
        "--duration",
        "1s",
    )
    status, out, err, _ = bench(*words, "--json", TCP)
    assert status == 1
    assert err.startswith(f"{word} {TCP}: no ")
    assert json.loads(out)["requests"]["answered"] == 0


@LATENCY
def test_a_closed_standard_output_is_nobody_to_tell(
    network: Network, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(network)
    monkeypatch.setattr(sys, "stdout", None)
    for word in ("--json", "--expect=echo"):
        assert bench("--duration", "200ms", word, TCP)[:3] == (0, "", "")


@LATENCY
def test_a_closed_standard_error_is_no_terminal(
    network: Network, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(network)
    monkeypatch.setattr(sys, "stderr", None)
    status, out, _, _ = bench("--duration", "200ms", TCP)
    assert status == 0
    assert "answered" in out
