"""What the documents say is so: their code runs, and their commands are known."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from twistnet.client.main import main
from twistnet.simulation import Reset
from twistnet.simulation.plans import Plan, Planned
from twistnet.tap.node_options import NodeOptions
from twistnet.tap.options import service_options

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SERVICES = (ROOT / "docs" / "services.md").read_text("utf-8")
TUTORIAL = (ROOT / "docs" / "bad-network.md").read_text("utf-8")


def blocks(language: str, text: str = README) -> list[str]:
    """The code of a document in some language."""
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("code", blocks("python"))
def test_the_python_of_the_readme_runs(code: str, tmp_path: Path) -> None:
    """For one turn of the reactor, if it asks for one; an application is started and stopped."""
    program = f"""
{code}
import sys
from twisted.application.service import IService
if "application" in globals():
    IService(application).startService()
if "twisted.internet.reactor" in sys.modules:
    from twisted.internet import reactor
    reactor.callLater(0, reactor.stop)
    reactor.run()
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, timeout=60, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")


def test_the_configuration_of_the_readme_is_one(tmp_path: Path) -> None:
    (code,) = blocks("toml")
    (tmp_path / "node.toml").write_text(code, "utf-8")
    options = NodeOptions()
    options.parseOptions(["--config", str(tmp_path / "node.toml")])
    assert options.node is not None
    assert [service.name for service in options.node.services] == ["echo", "shout", "datagram"]


def test_the_node_of_the_readme_is_one() -> None:
    (command,) = [block for block in blocks("sh") if "--service upper" in block]
    words = command.replace("\\\n", " ").split()
    options = NodeOptions()
    options.parseOptions(words[words.index("twistnet") + 1 :])
    assert options.node is not None


def test_every_option_that_the_readme_names_exists(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.getoption("--network-seeds") is None
    known = {
        "--network-seeds",
        "--version",
        "--help",
        "--path",  # of twist web
        "--reactor",  # of twistd
        "--kills",
        "--rounds",
        "--seconds",
        "--out",
        "--connections",
        "--messages",
        "--seeds",
    }
    for command in main.commands.values():
        known |= {word for option in command.params for word in option.opts}
    for options in (NodeOptions(), service_options("upper")()):
        known |= {f"--{name.rstrip('=')}" for name in options.longOpt}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", README)) <= known


def test_the_two_commands_are_there() -> None:
    assert "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/twistd -n twistnet\n" in README
    assert "python3 -m venv .venv && .venv/bin/pip install '.[test]' && .venv/bin/pytest -n auto\n" in README


def test_the_service_of_the_documents_works(tmp_path: Path) -> None:
    """Its package as the page writes it, found by way of the path, run as a process."""
    service, drop_in = blocks("python", SERVICES)[:2]
    (tmp_path / "backwards.py").write_text(service, "utf-8")
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "backwards_plugins.py").write_text(drop_in, "utf-8")
    program = """
import sys
sys.path.insert(0, ".")
from twistnet.simulation import Reset
from twistnet.simulation.plans import Plan, Planned
from twistnet.tap.node_options import NodeOptions
options = NodeOptions()
options.parseOptions("--service backwards --repeat 2 --listen tcp:0 --listen udp:0".split())
(service,) = options.node.services
from twisted.internet.testing import StringTransport
from twisted.internet.task import Clock
protocol = service.definition.stream(service.settings, Clock()).buildProtocol(None)
protocol.makeConnection(StringTransport())
protocol.dataReceived(b"abc")
print(protocol.transport.value().decode())
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, timeout=60, check=False, text=True
    )
    assert (result.stdout, result.stderr) == ("cbacba\n", "")


def test_a_drop_in_adds_a_datagram_endpoint(tmp_path: Path) -> None:
    """As the second half of the page has it, with a parser behind it."""
    (drop_in,) = [code for code in blocks("python", SERVICES) if "DatagramEndpointPlugin" in code]
    (tmp_path / "my_package").mkdir()
    (tmp_path / "my_package" / "endpoints.py").write_text(
        "from twistnet import UDPServerEndpoint\n"
        "def parse_serial(reactor, port):\n"
        "    return UDPServerEndpoint(reactor=reactor, port=int(port))\n"
    )
    plugins = tmp_path / "twisted" / "plugins"
    plugins.mkdir(parents=True)
    (plugins / "my_plugins.py").write_text(drop_in, "utf-8")
    program = """
import sys
sys.path.insert(0, ".")
from twisted.internet import reactor
from twistnet import EchoDatagramProtocol, ListeningService, datagram_server_from_string
print(datagram_server_from_string(None, "serial:7009").port)
service = ListeningService(reactor, "mine", ["serial:0"], datagram=EchoDatagramProtocol)
service.startService()
print(service.ports[0].getHost().host)
try:
    datagram_server_from_string(None, "serail:1")
except ValueError as error:
    print(error)
"""
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, timeout=60, check=False, text=True
    )
    assert result.stderr == ""
    assert result.stdout.splitlines() == [
        "7009",
        "127.0.0.1",
        "'serail:1' begins with no datagram prefix; did you mean serial?",
    ]


@pytest.fixture(scope="module")
def tutorial(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The files of the tutorial, each put together from its pieces, and what pytest says of them."""
    folder = tmp_path_factory.mktemp("tutorial")
    for block in blocks("python", TUTORIAL):
        name, code = block.removeprefix("# ").split("\n", 1)
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write(code + "\n\n")
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA"],
        cwd=folder,
        capture_output=True,
        timeout=60,
        check=False,
        text=True,
    )
    return folder, result.stdout


def test_the_tutorial_fails_where_it_says_so_and_nowhere_else(tutorial: tuple[Path, str]) -> None:
    _, output = tutorial
    failed = set(re.findall(r"^FAILED (\S+)", output, re.MULTILINE))
    assert failed == {f"test_naive.py::{name}" for name in ("test_two_questions", "test_one_octet_at_a_time")}
    promised = re.findall(r"def (test_\w+)", TUTORIAL)
    assert len(promised) > 10
    assert {name for name in promised if name not in output} == set()


def test_the_tutorial_shows_what_is_to_be_seen(tutorial: tuple[Path, str]) -> None:
    _, output = tutorial
    shown = [block for block in blocks("text", TUTORIAL) if not block.startswith("Plan(")]
    lines = [line.strip() for block in shown for line in block.splitlines()]
    assert len(lines) > 10
    assert [line for line in lines if line.removeprefix("pytest ") not in output] == []


def test_the_plan_of_the_tutorial_is_printed_as_it_says() -> None:
    (plan,) = [block.strip() for block in blocks("text", TUTORIAL) if block.startswith("Plan(")]
    reset = Reset("server", "client")
    assert plan == repr(Plan([Planned(reset, offset=1, between=("server", "client"))]))


def test_the_program_of_the_tutorial_saves_a_capture(tutorial: tuple[Path, str]) -> None:
    folder, _ = tutorial
    result = subprocess.run(
        [sys.executable, "program.py"], cwd=folder, capture_output=True, timeout=60, check=False, text=True
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert '"[1]\\n"' in result.stdout
    assert (folder / "tally.pcap").stat().st_size > 100
