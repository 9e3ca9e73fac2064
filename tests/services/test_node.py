"""Nodes from tables and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import MemoryReactorClock

from twistnet import ConfigurationError, NodeService, ServiceDefinition, make_node, node_from_file
from twistnet.services.definition import find_service, installed_services
from twistnet.tap.node_options import NodeOptions


def problem_with(text: str | bytes, tmp_path: Path) -> str:
    """What is said of a file."""
    path = tmp_path / "node.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError) as caught:
        NodeService(node_from_file(str(path)), MemoryReactorClock())
    said = str(caught.value)
    assert "\n" not in said
    assert said.startswith(f"{path}: ")
    return said.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("services = 3", "services: 3 is not a table"),
        ("", "services: no service is configured"),
        ("[service.echo]", "service: unknown key; did you mean services?"),
        ("[services.ech]", "services.ech: there is no service 'ech'; did you mean echo?"),
        (
            "[services.a]\nservice = 'uper'",
            "services.a.service: there is no service 'uper'; did you mean upper?",
        ),
        ('[services.""]', "services.: a service needs a name"),
        ("[services.echo]\nlisten = {a=1}", "services.echo.listen: {'a': 1} is not a list"),
        ("[services.echo]\nlisten = []", "services.echo.listen: an empty list says nothing"),
        ("[services]\necho = 1", "services.echo: 1 is not a table"),
        ("[services.echo]\nonce = 'perhaps'", "services.echo.once: 'perhaps' is neither on nor off"),
        ("[services.echo]\nlisten = 7007", "services.echo.listen: 7007 is not a text"),
        (
            "[services.echo]\nlisten = ['tcp:x']",
            "services.echo.listen[0]: 'tcp:x': the port, 'x', is not a port",
        ),
        (
            "[services.echo]\nlisten = ['tpc:1']",
            "services.echo.listen[0]: 'tpc:1' begins with no known prefix; did",
        ),
        (
            "[services.echo]\ngracefultimeout = 1",
            "services.echo.gracefultimeout: unknown key, with the value 1; did",
        ),
        ("[services.echo]\nidle_timeout = 0", "services.echo.idle_timeout: 0 is not above 0"),
        ("[services.echo]\nburst = 5", "services.echo.burst: means nothing without rate"),
        ("[services.upper]\nburst = 5", "services.upper.burst: means nothing without rate"),
        ("[services.echo]\ngraceful_timeout = -1", "services.echo.graceful_timeout: -1 is not a duration"),
        ("[services.echo]\ngraceful_timeout = nan", "services.echo.graceful_timeout: nan is not a duration"),
        ("[defaults]\nguard = 'x'\n[services.echo]", "defaults.guard: 'x' is neither on nor off"),
        ("[defaults]\nlisten = ['tcp:0']\n[services.echo]", "defaults.listen: unknown key"),
        ("[services.upper]\nencoding = 'utf-9'", "services.upper.encoding: 'utf-9' is not a text encoding"),
        (
            "[services.upper]\nencoding = 'utf-8'\nerrors = 'x'",
            "services.upper.errors: 'x' is none of strict, ",
        ),
        ("[services.upper]\nerrors = 'replace'", "services.upper.errors: 'replace' needs an encoding"),
        ("log_file = 3\n[services.echo]", "log_file: 3 is not a text"),
        ("[services.datagram]\nlisten = ['tcp:0']", "services.datagram.listen[0]: 'tcp:0' is for streams"),
        (
            "[services.echo]\nlisten=['tcp:1', 'udp:1']\n[services.upper]\nlisten=['tcp:port=1']",
            "services.upper.listen[0]: 'tcp:port=1' is listened on already, by services.echo.listen[0]",
        ),
        (
            "[services.echo]\nlisten = ['unix:x.sock']\nreuse_port = true",
            "services.echo.listen[0]: 'unix:x.sock': reuse_port: is for tcp",
        ),
        ("x = [", "is not TOML: Invalid value (at end of document)"),
        (b"\xff\xfe", "is not TOML: 'utf-8' codec can't decode byte 0xff"),
        ("a=" + "[" * 5000, "is not TOML: "),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(text: str | bytes, problem: str, tmp_path: Path) -> None:
    assert problem_with(text, tmp_path).startswith(problem)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, problem in ((tmp_path / "none.toml", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(ConfigurationError, match=f"{path}: cannot be read: {problem}"):
            node_from_file(str(path))


def test_the_transport_is_one_of_the_defaults() -> None:
    node = make_node({"echo": {}, "upper": {"transport": "fast"}}, defaults={"transport": "stock"})
    assert [service.settings.transport for service in node.services] == ["stock", "fast"]


def test_a_service_has_its_own_settings_and_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text(
        "[defaults]\ngraceful_timeout='1m'\npacket_rate=5\n[services.echo]\ngraceful_timeout=2\n[services.upper]\n"
    )
    node = node_from_file(str(path))
    assert [s.settings.graceful_timeout for s in node.services] == [2.0, 60.0]
    assert [s.settings.packet_rate for s in node.services] == [5.0, 5.0]
    assert [s.listen for s in node.services] == [("tcp:7007",), ("tcp:7008",)]


def test_the_default_node() -> None:
    options = NodeOptions()
    options.parseOptions([])
    assert options.node is not None
    assert [(s.name, s.listen) for s in options.node.services] == [
        ("echo", ("tcp:7007",)),
        ("upper", ("tcp:7008",)),
        ("datagram", ("udp:7009",)),
    ]


def test_the_built_in_services_are_plugins_like_any_other() -> None:
    assert {"echo", "upper", "datagram"} <= set(installed_services())
    for name, plugin in installed_services().items():
        assert isinstance(plugin.load(), ServiceDefinition)
        assert find_service(name).name == name


def test_a_definition_is_checked_when_it_is_made() -> None:
    import attrs

    @attrs.frozen(kw_only=True, slots=False)
    class Clashing:
        """Options that every service has."""

        backlog: int = 1

    with pytest.raises(ValueError, match="backlog is a setting of every service"):
        ServiceDefinition(name="x", description="", listen=(), options=Clashing)
    with pytest.raises(ValueError, match="service name 'Not This'"):
        ServiceDefinition(name="Not This", description="", listen=())


ANYTHING = st.recursive(
    st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["echo", "tcp:0", "udp:0", "5s"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["listen", "service", "once", "encoding", "errors", "graceful_timeout", "guard", "rate", "", "x.y"]
)


@given(
    st.dictionaries(
        st.sampled_from(["echo", "upper", "datagram", "other", ""]),
        ANYTHING | st.dictionaries(KEYS, ANYTHING),
    )
)
def test_whatever_the_tables_the_error_is_ours(tables: dict[str, Any]) -> None:
    try:
        NodeService(make_node(tables), MemoryReactorClock())
    except ConfigurationError as error:
        assert "\n" not in str(error)


@given(st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_whatever_the_file_the_error_is_ours(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(data)
    with pytest.raises(ConfigurationError, match=r"fuzzed\.toml"):
        node_from_file(str(path))
