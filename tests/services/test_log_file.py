"""The log file of a node."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.logger import Logger

from twistnet import ConfigurationError
from twistnet.services.log_file import LogFile

_log = Logger("test")


def test_each_line_is_there_once_however_often_services_restart(tmp_path: Path) -> None:
    path = tmp_path / "größe.log"
    first, second = LogFile(str(path)), LogFile(str(tmp_path / "." / "größe.log"))
    for turn in range(3):
        for log in (first, second, first):
            log.start()
        _log.info("line {turn}: {text}", turn=turn, text="日本語")
        _log.debug("not this")
        first.stop()
        _log.info("still {turn}", turn=turn)
        for log in (second, second, first):
            log.stop()
        _log.info("nobody listens")
    lines = [line.partition("#info] ")[2] for line in path.read_text("utf-8").splitlines()]
    assert lines == [words for turn in range(3) for words in (f"line {turn}: 日本語", f"still {turn}")]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line_elsewhere(tmp_path: Path) -> None:
    full, good = LogFile("/dev/full"), LogFile(str(tmp_path / "log"))
    good.start()
    full.start()
    for _ in range(5):
        _log.info("something")
    full.stop()
    good.stop()
    lines = (tmp_path / "log").read_text("utf-8").splitlines()
    assert [line.endswith("something") for line in lines].count(True) == 5
    assert [line.endswith("log file /dev/full: No space left on device") for line in lines].count(True) == 1
    assert len(lines) == 6


def test_what_cannot_be_encoded_is_escaped(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    log.start()
    _log.info("{text}", text="a\udcffb")
    log.stop()
    assert (tmp_path / "log").read_text("utf-8").endswith("a\\udcffb\n")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none" / "log", Path("a\0b")):
        with pytest.raises(ConfigurationError, match=r"log_file: .* cannot be written: "):
            LogFile(str(path)).start()


def test_the_file_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    log = LogFile("log")
    log.start()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    log.stop()
    assert (tmp_path / "log").exists()
