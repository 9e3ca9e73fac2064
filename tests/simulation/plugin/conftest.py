"""Runs of pytest within a test: in this process, but for those that are about processes."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest

from twistnet.simulation import Network

TALK = """
import pytest
from twisted.internet import task
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol

def talk(network):
    client, server = network.host("client"), network.host("server")
    server.listenTCP(7, Factory.forProtocol(Protocol))

    async def connect():
        (await connectProtocol(HostnameEndpoint(client, "server", 7), Protocol())).transport.write(b"hello")

    network.run(connect())
    network.settle()
"""


@pytest.fixture(scope="session", autouse=True)
def import_everything() -> None:
    """Import what tests within a test do: a run forgets what it was the first to import, and Twisted can't be twice."""
    for module in ("marks", "plans", "replay", "trial"):
        import_module(f"twistnet.simulation.{module}")
    names: dict[str, Any] = {}
    exec(TALK, names)
    talk: Callable[[Network], None] = names["talk"]
    with Network() as network:
        talk(network)


class Project:
    """A folder with tests, and pytest to run them."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.ini("")

    def ini(self, settings: str) -> None:
        """Write pytest.ini."""
        options = "--strict-markers --strict-config -p no:cacheprovider -p no:asyncio"
        self.pytester.makeini(f"[pytest]\naddopts = {options}\n{settings}")

    def tests(self, source: str) -> None:
        """Write the tests: what talks over a network stands before them."""
        self.pytester.makepyfile(self.whole(source))

    def whole(self, source: str) -> str:
        """Tests, with what talks over a network before them."""
        return TALK + source

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in this process, without the plugin that has a reactor running here already."""
        return self.pytester.runpytest_inprocess("-p", "no:twisted", *arguments)

    def run_process(self, *arguments: str) -> pytest.RunResult:
        """Run pytest as a process: it finds the plugin by its entry point, as everybody's does."""
        return self.pytester.run(sys.executable, "-m", "pytest", *arguments, timeout=60)

    def command(self, result: pytest.RunResult) -> str:
        """The command that a failure shows."""
        (command,) = re.findall(r"(?m)^  ((?:python -m )?pytest .*)$", result.stdout.str())
        return str(command)

    def again(self, result: pytest.RunResult) -> pytest.RunResult:
        """Do what a failure says."""
        words = shlex.split(self.command(result))
        return self.pytester.runpytest_inprocess(*words[words.index("pytest") + 1 :])


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project that has an empty configuration; what runs here has no colours to show."""
    for name in ("PYTEST_ADDOPTS", "TWISTNET_SEED", "FORCE_COLOR", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    return Project(pytester)
