"""The options of the commands, parsed in process."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet import ConnectionConfig, DatagramConfig
from twistnet.config import ListenerConfig
from twistnet.tap.node_options import NodeOptions
from twistnet.tap.options import CommandOptions, service_options
from twistnet.tap.process import Exit

COMMANDS: dict[str, type[CommandOptions]] = {
    "twistnet": NodeOptions,
    **{f"twistnet-{name}": service_options(name) for name in ("echo", "upper", "datagram")},
}


def parse(command: str, *words: str) -> CommandOptions:
    """The options of a command."""
    options = COMMANDS[command]()
    options.parseOptions(list(words))
    return options


def refused(capsys: pytest.CaptureFixture[str], command: str, *words: str) -> str:
    """What is said of words that a command does not take."""
    with pytest.raises(Exit) as caught:
        parse(command, *words)
    assert caught.value.code == 2
    assert "\n" not in caught.value.line
    return caught.value.line


@pytest.mark.parametrize("command", COMMANDS)
def test_every_field_is_an_option(command: str) -> None:
    options = COMMANDS[command]()
    known = {name.rstrip("=").replace("-", "_") for name in options.longOpt}
    for model in (ListenerConfig, ConnectionConfig, DatagramConfig):
        assert {field.name for field in attrs.fields(model)} <= known


@pytest.mark.parametrize("command", COMMANDS)
def test_help_is_grouped_and_fits(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("--help", "--version"):
        with pytest.raises(SystemExit) as caught:
            parse(command, word)
        assert not caught.value.code
    shown = capsys.readouterr().out
    for heading in ("Listening:", "Policies:", "Connections:", "Datagrams:", "Logging:", "twistnet 0"):
        assert heading in shown
    assert "--idle-timeout DURATION" in shown
    assert all(len(line) <= 110 for line in shown.splitlines())


def test_options_are_settings() -> None:
    words = (
        "--listen tcp:0 --listen udp:0 --graceful-timeout 2m --guard off --packet-rate 5 --keepalive --once"
    )
    (service,) = parse("twistnet-echo", *words.split()).node.services  # type: ignore[union-attr]
    settings = service.settings
    assert settings.listen == ("tcp:0", "udp:0")
    assert (settings.graceful_timeout, settings.guard, settings.packet_rate) == (120.0, False, 5.0)
    assert settings.keepalive
    assert settings.once


def test_order_counts_in_a_node() -> None:
    words = "--graceful-timeout 1 --service echo --listen tcp:0 --graceful-timeout 2 --service upper --encoding utf-8"
    node = parse(
        "twistnet", *words.split(), "--service", "echo", "--listen", "tcp:0", "--log-file", "x.log"
    ).node
    assert node is not None
    assert [(s.name, s.settings.graceful_timeout) for s in node.services] == [
        ("echo", 2.0),
        ("upper", 1.0),
        ("echo-2", 1.0),
    ]
    assert node.services[1].settings.encoding == "utf-8"
    assert node.log_file == "x.log"


@pytest.mark.parametrize(
    ("command", "words", "said"),
    [
        (
            "twistnet-echo",
            "--graceful-timeuot 5",
            "twistnet-echo: unknown option --graceful-timeuot; did you mean",
        ),
        ("twistnet-echo", "--idle-timeout 0", "twistnet-echo: --idle-timeout: '0' is not above 0"),
        ("twistnet-echo", "--guard perhaps", "twistnet-echo: --guard: 'perhaps' is neither on nor off"),
        ("twistnet-echo", "--listen", "twistnet-echo: option --listen requires argument"),
        ("twistnet-echo", "--once=1", "twistnet-echo: option --once must not have an argument"),
        ("twistnet-echo", "7007", "twistnet-echo: unexpected argument '7007'; see --help"),
        ("twistnet-echo", "--listen tcp:x", "twistnet-echo: --listen: 'tcp:x': the port, 'x', is not a port"),
        (
            "twistnet-echo",
            "--listen tcp:1 --listen tcp:1",
            "twistnet-echo: --listen: 'tcp:1' is listened on already",
        ),
        ("twistnet-upper", "--encoding x", "twistnet-upper: --encoding: 'x' is not a text encoding"),
        (
            "twistnet-datagram",
            "--transform rot13",
            "twistnet-datagram: --transform: 'rot13' is none of echo, upper",
        ),
        ("twistnet", "--service ech", "twistnet: --service: there is no service 'ech'; did you mean echo?"),
        ("twistnet-echo", "--log-file=", "twistnet-echo: --log-file: is empty"),
        ("twistnet", "--log-file=", "twistnet: --log-file: is empty"),
        ("twistnet", "--listen tcp:0", "twistnet: --listen belongs after the --service that it is for"),
        ("twistnet", "--config a --access-log", "twistnet: --config: goes with no other option"),
        ("twistnet", "--config none.toml", "twistnet: none.toml: cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_is_one_line(
    command: str, words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, command, *words.split()).startswith(said)


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            sorted({f"--{name.rstrip('=')}" for name in NodeOptions().longOpt} - {"--help", "--version"})
        ),
        st.sampled_from(["tcp:0", "udp:0", "echo", "upper", "5s", "on", "-1", "--", "-", "=", "--guard=off"]),
        st.text(max_size=8),
    ),
    max_size=8,
)


@given(st.sampled_from(sorted(COMMANDS)), WORDS)
def test_whatever_the_words_there_is_no_traceback(command: str, words: list[str]) -> None:
    if "--help".startswith(tuple(w for w in words if w.startswith("--h")) or ("x",)):
        return
    try:
        parse(command, *words)
    except SystemExit as error:
        assert error.code in (0, 2)
        assert "\n" not in str(error)
