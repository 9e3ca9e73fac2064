"""The models of configuration: read once, checked once, and named in every error."""

from __future__ import annotations

import ipaddress
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet import ConfigurationError, ConnectionConfig, DatagramConfig, setting
from twistnet.config import NETWORKS, build, choice, kind_of

NAMES = [
    "max_connections",
    "per_source",
    "overflow",
    "accept_rate",
    "accept_burst",
    "idle_timeout",
    "lifetime",
    "handshake_timeout",
    "rate",
    "burst",
    "high_water_mark",
    "low_water_mark",
    "write_buffer_limit",
    "allow",
    "deny",
    "proxy_protocol",
    "proxy_allow_from",
    "graceful_timeout",
    "dry_run",
    "no_delay",
    "keepalive",
    "backlog",
    "reuse_port",
]


def test_every_name_of_the_design_is_there() -> None:
    assert set(NAMES) <= {field.name for field in attrs.fields(ConnectionConfig)}
    datagrams = {field.name for field in attrs.fields(DatagramConfig)}
    assert datagrams == {"guard", "max_datagram", "packet_rate", "packet_burst", "total_packet_rate"}


def test_values_may_be_written_as_people_write_them() -> None:
    config = ConnectionConfig(graceful_timeout="1500ms", keepalive="on")  # type: ignore[arg-type]
    assert (config.graceful_timeout, config.keepalive) == (1.5, True)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("graceful_timeout", "soon", "'soon' is not a duration"),
        ("backlog", 0, "0 is not a whole number from 1 to"),
        ("keepalive", "perhaps", "'perhaps' is neither on nor off"),
        ("overflow", "wiat", "did you mean wait?"),
        ("allow", ["10.0.0.0/33"], "'10.0.0.0/33' is not a network"),
        ("rate", "fast", "'fast' is not a size"),
    ],
)
def test_a_bad_value_is_named_with_what_would_be_right(name: str, value: object, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ConnectionConfig(**{name: value})  # type: ignore[arg-type]
    assert caught.value.path == (name,)
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"idle_timeout": 0}, "idle_timeout: 0 is not above 0"),
        ({"rate": "0KiB"}, "rate: '0KiB' is not above 0"),
        ({"burst": 5}, "burst: means nothing without rate"),
        ({"accept_burst": 5}, "accept_burst: means nothing without accept_rate"),
        ({"low_water_mark": 5}, "low_water_mark: means nothing without high_water_mark"),
        ({"proxy_allow_from": "10.0.0.0/8"}, "proxy_allow_from: means nothing without proxy_protocol"),
        (
            {"low_water_mark": 6, "high_water_mark": 5},
            "low_water_mark: 6 is above high_water_mark, which is 5",
        ),
        (
            {"high_water_mark": "2MiB", "write_buffer_limit": "1MiB"},
            "high_water_mark: 2097152 is above write_buffer_limit, which is 1048576",
        ),
        ({"overflow": "drop"}, "overflow: 'drop' is none of wait, refuse"),
        ({"allow": "10.0.0.1/8"}, "allow: '10.0.0.1/8' is not a network"),
        ({"max_connections": 0}, "max_connections: "),
    ],
)
def test_settings_that_make_no_sense_are_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ConnectionConfig(**values)
    assert str(caught.value).startswith(problem)


@attrs.frozen(kw_only=True)
class Plain:
    """An options class of somebody who has not read the documentation."""

    count: int = 1
    loud: bool = False


def test_plain_attrs_fields_are_read_by_their_types() -> None:
    assert build(Plain, {"count": "7", "loud": "on"}) == Plain(count=7, loud=True)
    with pytest.raises(ConfigurationError, match="count: invalid literal"):
        build(Plain, {"count": "many"})


def test_an_unknown_key_names_the_nearest_one() -> None:
    with pytest.raises(ConfigurationError, match=r"keepalvie: unknown key, .*did you mean keepalive\?"):
        build(ConnectionConfig, {"keepalvie": True})


def test_an_error_is_seen_from_outside_with_its_whole_path() -> None:
    error = ConfigurationError("is wrong", ("rate",)).within("services", "echo", source="node.toml")
    assert str(error) == "node.toml: services.echo.rate: is wrong"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:0:0/96", "0.0.0.0/0"),
        ("::/0", "::/0"),
    ],
)
def test_ipv4_within_ipv6_is_ipv4(written: str, meant: str) -> None:
    """As the addresses of peers are: or a network that is denied would have nobody in it."""
    assert ConnectionConfig(deny=[written]).deny == (ipaddress.ip_network(meant),)  # type: ignore[arg-type]


def test_networks_are_read_one_or_many() -> None:
    @attrs.frozen
    class Model:
        """A model."""

        nets: tuple[Any, ...] = setting((), NETWORKS, "some networks")

    assert build(Model, {"nets": "::1"}).nets == (ipaddress.ip_network("::1/128"),)
    assert len(build(Model, {"nets": ["10.0.0.0/8", "192.0.2.1"]}).nets) == 2
    assert kind_of(attrs.fields(Model).nets).repeats


def test_a_choice_says_its_words_in_the_usage() -> None:
    assert choice("a", "b").metavar == "a|b"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from([*NAMES, "guard", "packet_rate", "nonsense"]), ANYTHING))
def test_whatever_the_table_the_error_is_ours(table: dict[str, object]) -> None:
    for model in (ConnectionConfig, DatagramConfig):
        try:
            build(model, table)
        except ConfigurationError as error:
            assert error.path
