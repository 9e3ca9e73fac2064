"""docs/policies.md: its defaults are the defaults, its lines are what the log says, and its code runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.peers import connect
from twistnet import ConnectionConfig, EchoFactory, ListeningService, PolicyCounters, guard
from twistnet.simulation import Network

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text("utf-8")
ROWS = {
    cells[0].strip("`"): cells[1:]
    for line in PAGE.splitlines()
    if line.startswith("| `")
    for cells in [[cell.strip() for cell in line.strip("|").split(" | ")]]
}


def lines_of(setting: str) -> list[str]:
    """What the page says of the log, without the address and the numbers."""
    return [general(line) for line in re.findall(r"`([^`]+ 192\.0\.2\.7[^`]+)`", " | ".join(ROWS[setting]))]


def general(line: str) -> str:
    """A line of which only the words are left."""
    return re.sub(r"\d+(\.\d+)*(:\d+)?", "#", line)


def test_the_page_has_every_setting_in_words_of_its_own() -> None:
    assert set(ROWS) == {field.name for field in attrs.fields(ConnectionConfig)}


@pytest.mark.parametrize("field", attrs.fields(ConnectionConfig), ids=lambda field: field.name)
def test_the_defaults_are_the_defaults(field: Any) -> None:
    shown = ROWS[field.name][0].strip("`")
    if field.default in (None, ()):
        assert "none" in shown or "worth" in shown or "a quarter" in shown
    elif isinstance(field.default, bool):
        assert shown == str(field.default).lower()
    else:
        assert shown.removesuffix("s") == f"{field.default}".removesuffix(".0")


VIOLATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "deny": ({"deny": "10.0.0.0/8"}, "deny"),
    "allow": ({"allow": "192.0.2.0/24"}, "allow"),
    "accept_rate": ({"accept_rate": 2}, "accept_rate"),
    "per_source": ({"per_source": 2}, "per_source"),
    "max_connections": ({"max_connections": 2}, "max_connections"),
    "overflow": ({"max_connections": 2, "overflow": "refuse"}, "max_connections"),
    "idle_timeout": ({"idle_timeout": 5}, "idle_timeout"),
    "lifetime": ({"lifetime": 5}, "lifetime"),
    "handshake_timeout": ({"handshake_timeout": 5, "proxy_protocol": "auto"}, "handshake_timeout"),
    "rate": ({"rate": 1000}, "rate"),
    "high_water_mark": ({"high_water_mark": 1000}, "high_water_mark"),
    "write_buffer_limit": ({"write_buffer_limit": 1000}, "write_buffer_limit"),
    "proxy_protocol": ({"proxy_protocol": "v1"}, "proxy_protocol"),
    "proxy_allow_from": ({"proxy_protocol": "v1", "proxy_allow_from": "192.0.2.0/24"}, "proxy_allow_from"),
    "dry_run": ({"deny": "10.0.0.0/8", "dry_run": True}, "dry_run"),
    "graceful_timeout": ({"idle_timeout": 3600, "graceful_timeout": 1}, "graceful_timeout"),
}


@pytest.mark.parametrize("case", VIOLATIONS)
def test_the_lines_of_the_page_are_those_of_the_log(case: str, network: Network, lines: list[str]) -> None:
    """Three peers that send, and do not read, for two hours: each policy has something to say about that."""
    settings, row = VIOLATIONS[case]
    server, client = network.host("server"), network.host("client")
    ListeningService(
        server,
        "echo",
        ["tcp:7007:interface=0.0.0.0"],
        stream=_Flood(),
        connections=ConnectionConfig(**settings),
    ).startService()
    peers = [connect(network, client, "server", 7007, reads=False) for _ in range(3)]
    if "timeout" not in case or case == "graceful_timeout":
        for peer in peers:
            peer.say(b"x" * 100_000)
    network.advance(7200)
    said = {general(line.removeprefix("echo: ").partition("; ")[0]) for line in lines}
    assert said & set(lines_of(row)), f"{lines_of(row)} is not among {said}"


class _Flood(EchoFactory):
    """Echoes a thousand times, and asks nobody whether there is room."""

    def buildProtocol(self, addr: Any) -> Any:
        protocol: Any = super().buildProtocol(addr)
        protocol._transform = _Thousandfold()
        return protocol


class _Thousandfold:
    """A transform."""

    def feed(self, data: bytes) -> bytes:
        return data * 1000

    def finish(self) -> bytes:
        return b""


def test_the_code_of_the_page_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == 2
    program = "\n".join([*blocks, "reactor.callLater(0, reactor.stop)", "reactor.run()"])
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")


def test_nothing_asked_is_no_wrapper() -> None:
    factory, counters = EchoFactory(), PolicyCounters()
    assert guard(factory, ConnectionConfig(), clock=None, counters=counters) is factory  # type: ignore[arg-type]
