"""What `twistnet` says of a command line, in process: of a wrong one in the words of whoever finds it wrong."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from twistnet.client.main import main
from twistnet.simulation import Network


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tpc:localhost:1"], "begins with no known prefix, and is no HOST with a PORT; did you mean tcp?"),
        (["localhost"], "is no HOST with a PORT"),
        (["x" * 300, "1"], "is not a host name"),
        (["udp:" + "x" * 300 + ":1"], "is not a host name"),
        (["tcp:localhost"], "is not tcp:HOST:PORT"),
        (["tcp:localhost:http"], "'http' is not a port"),
        (["udp:localhost:0"], "'0' is not a port"),
        (["a", "b", "c"], "an endpoint or a host and a port, not 3 words"),
        (["localhost", "x"], "'x' is not a port"),
        (["--timeout", "soon", "tcp:localhost:1"], "'soon' is not a duration"),
        (["--wait", "1s", "tcp:localhost:1"], "--wait is for datagrams"),
        ([], "Missing argument"),
        (["ssl:localhost"], "cannot be used"),
        (["tls:localhost"], "cannot be used: missing 1 required positional argument: 'port'"),
        (["unix:"], "is not from 1 to 107 octets long"),
        (["unix:/" + "x" * 120], "is not from 1 to 107 octets long"),
    ],
)
def test_wrong_usage_is_exit_status_2(network: Network, words: list[str], said: str) -> None:
    """Whether it is found out before the reactor runs, or by then."""
    with network.on(network.host("here")):
        result = CliRunner().invoke(main, ["send", *words])
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
    assert isinstance(result.exception, SystemExit)
    assert network.clock.now == 0


@pytest.mark.parametrize("command", ["connect", "send", "request", "talk", "put x", "get x", "ls", "rm x"])
@pytest.mark.parametrize("none", ["0", "0ms"])
def test_a_timeout_of_nothing_is_wrong_usage(network: Network, command: str, none: str) -> None:
    with network.on(network.host("here")):
        result = CliRunner().invoke(main, [*command.split(), "--timeout", none, "localhost", "1"])
    assert result.exit_code == 2
    assert f"Invalid value for '--timeout': {none!r} is no time at all" in result.stderr


def test_help_and_version() -> None:
    runner = CliRunner()
    assert "unix-datagram:PATH" in runner.invoke(main, ["send", "--help"]).output
    assert runner.invoke(main, ["--version"]).output.startswith("twistnet 0")
