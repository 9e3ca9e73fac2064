"""What `twistnet bench` says of a command line, and what it writes."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from tests.client.bench.served import LATENCY, PORT, TCP, UDP, Bench, serve
from twistnet.simulation import BlackHole, Network, Refuse


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


@LATENCY
def test_a_report_that_cannot_be_written_after_all_does_not_hide_the_table(
    network: Network, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a standard output that has no sign for a microsecond."""
    serve(network)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.FileIO(1, "w", closefd=False), "ascii"))
    status, out, err, _ = bench("--report", "/dev/full", "--duration", "200ms", TCP)
    assert (status, err) == (1, "FAILED --report /dev/full: No space left on device\n")
    assert "10 ms ? " in out


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
