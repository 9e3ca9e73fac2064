"""The built wheel, installed into an empty environment, used from an empty folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = {
    "twistnet",
    "twistnet-classic",
    "twistnet-console",
    "twistnet-files",
    "twistnet-datagram",
    "twistnet-echo",
    "twistnet-greeting",
    "twistnet-messages",
    "twistnet-upper",
}


@pytest.fixture(scope="session")
def wheel(request: pytest.FixtureRequest) -> Path:
    """The wheel."""
    return Path(request.config.getoption("--wheel")).resolve()


@pytest.fixture(scope="session")
def venv(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel and what it depends on; its folder of programs."""
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "-q", wheel], check=True)
    return folder / "bin"


@pytest.fixture
def output(venv: Path, tmp_path: Path) -> Iterator[object]:
    """Runs a program of the environment in an empty folder."""

    def run(program: str, *arguments: str) -> str:
        result = subprocess.run(
            [venv / program, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in result.stdout + result.stderr
        return result.stdout + result.stderr

    return run  # type: ignore[return-value]


def test_what_is_in_it(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "twistnet/py.typed" in names
    assert "twisted/plugins/twistnet_plugins.py" in names
    assert not [
        name for name in names if re.fullmatch(r"twisted/(.*/)?__init__\.py|.*dropin\.cache|tests/.*", name)
    ]
    assert {name.split("/")[0].split("-")[0] for name in names} == {"twistnet", "twisted"}


@pytest.mark.parametrize("program", ["twistd", "twist"])
def test_every_command_is_listed(output: object, program: str) -> None:
    listed = output(program, "--help")  # type: ignore[operator]
    assert set(re.findall(r"^    (twistnet\S*)", listed, re.MULTILINE)) == COMMANDS
    for command in sorted(COMMANDS):
        assert "Listening:" in output(program, command, "--help")  # type: ignore[operator]
        assert output(program, command, "--version") == "twistnet 0.1.0\n"  # type: ignore[operator]


def test_the_reactor_is_listed(output: object) -> None:
    assert re.search(r"^    twistnet\s+epoll", output("twistd", "--help-reactors"), re.MULTILINE)  # type: ignore[operator]


@pytest.mark.parametrize("reactor", ["twistnet", "select"])
def test_it_serves(venv: Path, tmp_path: Path, reactor: str) -> None:
    listen = [
        "twistnet",
        "--service",
        "echo",
        "--listen",
        "unix:echo.sock",
        "--service",
        "datagram",
        "--listen",
        "udp:0",
    ]
    with subprocess.Popen(
        [venv / "twistd", "-n", f"--reactor={reactor}", *listen],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        text=True,
    ) as node:
        assert node.stdout is not None
        try:
            lines = [next(line for line in node.stdout if "serves on" in line) for _ in range(2)]
            assert "datagram (upper) serves on udp" in lines[1]
            for kind, answer in (
                ("fast:unix:echo.sock", b"hello"),
                (f"udp:{lines[1].split()[-1]}", b"HELLO"),
            ):
                command = [venv / "twistnet", "send", kind]
                assert (
                    subprocess.run(
                        command, input=b"hello", cwd=tmp_path, capture_output=True, timeout=60, check=True
                    ).stdout
                    == answer
                )
            bench = [venv / "twistnet", "bench", "--duration", "200ms", "--json", "unix:echo.sock"]
            told = subprocess.run(bench, cwd=tmp_path, capture_output=True, timeout=60, check=True).stdout
            assert json.loads(told)["requests"]["answered"] > 0
        finally:
            node.terminate()


def test_a_package_beside_it_adds_a_service(venv: Path, output: object, tmp_path: Path) -> None:
    """The one of docs/services.md, built and installed for real."""
    service, drop_in, command, tap = re.findall(
        r"```python\n(.*?)```", (ROOT / "docs" / "services.md").read_text("utf-8"), re.DOTALL
    )[:4]
    package = tmp_path / "package"
    (package / "twisted" / "plugins").mkdir(parents=True)
    (package / "backwards.py").write_text(service)
    (package / "backwards_tap.py").write_text(tap)
    (package / "twisted" / "plugins" / "backwards_plugins.py").write_text(drop_in + command)
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "backwards"\nversion = "1"\ndependencies = ["twistnet"]\n'
        '[tool.hatch.build.targets.wheel]\nonly-include = ["backwards.py", "backwards_tap.py", "twisted"]\n'
    )
    subprocess.run([venv / "pip", "install", "-q", package], check=True)
    try:
        assert "did you mean backwards?" in output("twistd", "-n", "twistnet", "--service", "backward")  # type: ignore[operator]
        assert "--repeat NUMBER" in output("twistd", "twistnet", "--help")  # type: ignore[operator]
        assert "--repeat NUMBER" in output("twistd", "backwards", "--help")  # type: ignore[operator]
        (tmp_path / "node.toml").write_text("[services.backwards]\nrepeat = 0\n")
        said = output("twistd", "-n", "twistnet", "--config", "node.toml")  # type: ignore[operator]
        assert "node.toml: services.backwards.repeat: 0 is not a whole number from 1 to" in said
        listen = ["twistnet", "--service", "backwards", "--repeat", "2", "--listen", "unix:b.sock"]
        with subprocess.Popen(
            [venv / "twistd", "-n", *listen], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        ) as node:
            assert node.stdout is not None
            try:
                assert next(line for line in node.stdout if "backwards serves on unix b.sock" in line)
                send = [venv / "twistnet", "send", "unix:b.sock"]
                answer = subprocess.run(
                    send, input=b"hello", cwd=tmp_path, capture_output=True, timeout=60, check=True
                )
                assert answer.stdout == b"olleholleh"
            finally:
                node.kill()
    finally:
        subprocess.run([venv / "pip", "uninstall", "-q", "-y", "backwards"], check=True)


SIMULATED = """
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twistnet import EchoFactory

class Listener(Protocol):
    heard = b""
    def dataReceived(self, data):
        self.heard += data

async def test_echo(network):
    server, client = network.host("server"), network.host("client")
    server.listenTCP(7, EchoFactory())
    listener = await connectProtocol(HostnameEndpoint(client, "server", 7), Listener())
    listener.transport.write(b"hello")
    network.settle()
    assert listener.heard == b"hello"
"""


def test_a_network_is_simulated_with_and_without_pytest(venv: Path, output: object, tmp_path: Path) -> None:
    """Without TLS, hypothesis and pytest, none of which the package needs."""
    (tmp_path / "test_echo.py").write_text(SIMULATED, "utf-8")
    program = (
        "from test_echo import *; from twistnet.simulation import Network; n = Network(); n.run(test_echo(n))"
    )
    assert output("python", "-c", program) == ""  # type: ignore[operator]
    subprocess.run([venv / "pip", "install", "-q", "pytest"], check=True)
    said = output("pytest", "-q", "--network-seeds", "3")  # type: ignore[operator]
    assert "3 passed" in said


def test_uninstalling_leaves_twisted_whole(venv: Path, output: object) -> None:
    subprocess.run([venv / "pip", "uninstall", "-q", "-y", "twistnet"], check=True)
    listed = output("twistd", "--help")  # type: ignore[operator]
    assert "twistnet" not in listed
    assert "web " in listed
