"""What `twistnet bench` says of a command line, and what it writes."""

from __future__ import annotations

import io
import os
import sys
import tempfile
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
        (
            ["--rate", "-5", TCP],
            "'-5' is not a number a second (more than 0, at most 1,000,000,000,000, in digits)",
        ),
        (
            ["--rate", "1e9", TCP],
            "'1e9' is not a number a second (more than 0, at most 1,000,000,000,000, in digits)",
        ),
        (["--duration", "0", TCP], "'0' is no time at all"),
        (
            ["--duration", "-1", TCP],
            "'-1' is not a duration (500ms, 5s, 2m, 1h, or a number of seconds; not below 0)",
        ),
        (["--timeout", "0", TCP], "'0' is no time at all"),
        (["--window", "0", TCP], "'0' is not a whole number from 1 to 1048576"),
        (["--window", "1.5", TCP], "'1.5' is not a whole number from 1 to 1048576"),
        (["--window", "2000000", TCP], "'2000000' is not a whole number from 1 to 1048576"),
        (["--connections", "ten", TCP], "'ten' is not a whole number from 1 to 65536"),
        (["--window", "1000000", TCP], "no more than 1048576 requests can be under way"),
        (
            ["--size", "1", "--window", "1000", UDP],
            "--size 1 has room to number 10 requests: no --window of 1000, but one up to 10",
        ),
        ([r"tcp6:[::1]:7"], "'tcp6:[::1]:7' is not tcp6:HOST:PORT (a colon within HOST is written \\:)"),
        ([r"udp6:[::1]:7"], "'udp6:[::1]:7' is not udp6:HOST:PORT (a colon within HOST is written \\:)"),
        (["tcp6:localhost"], "'tcp6:localhost' is not tcp6:HOST:PORT"),
        (["tcp:::1:7"], "'tcp:::1:7' is not tcp:HOST:PORT (a colon within HOST is written \\:)"),
        (
            ["--report", "-", TCP],
            "--report -: the page goes into a file, and not to standard output (./- is a file of that name)",
        ),
        (["--report", "", TCP], "--report: the name of a file is missing"),
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


def test_a_pipe_without_a_reader_is_not_waited_for(network: Network, bench: Bench, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    status, out, err, seconds = bench("--report", f"{tmp_path}/pipe", TCP)
    assert (status, out, seconds) == (2, "", 0)
    assert f"--report {tmp_path}/pipe: nobody reads this pipe" in err


@LATENCY
def test_a_pipe_with_a_reader_gets_the_page(network: Network, bench: Bench, tmp_path: Path) -> None:
    serve(network)
    os.mkfifo(tmp_path / "pipe")
    reading = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    status, _, err, _ = bench("--report", f"{tmp_path}/pipe", "--duration", "200ms", TCP)
    page = os.read(reading, 1 << 20)
    os.close(reading)
    assert (status, err) == (0, "")
    assert page.startswith(b"<!DOCTYPE html>")


def test_a_socket_that_cannot_be_opened_is_told_without_a_word_of_listening(
    network: Network, bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client of UNIX datagrams has a path of its own, which can be too long."""
    folder = tmp_path / ("long" * 30)
    folder.mkdir()
    (tmp_path / "service").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    target = f"unix-datagram:{tmp_path}/service"
    status, out, err, _ = bench(target)
    assert (status, out) == (1, "")
    assert err.startswith(f"FAILED {target}: ")
    assert "listen" not in err
    assert "too long" in err
    assert err.count("\n") == 1
    assert list(folder.iterdir()) == []
