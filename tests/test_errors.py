"""Every exception that twistnet raises on purpose."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest
from attrs import fields_dict

from twistnet import errors
from twistnet.config import ConnectionConfig
from twistnet.errors import (
    BadMessage,
    ConfigurationError,
    ListeningError,
    LocalProtocolError,
    PolicyViolation,
    ProtocolError,
    RemoteError,
    RemoteProtocolError,
    TwistnetError,
)

ALL = [one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, Exception)]
VIOLATIONS = [one for one in ALL if issubclass(one, PolicyViolation) and one is not PolicyViolation]


def test_each_is_public_and_has_the_one_base() -> None:
    assert {one.__name__ for one in ALL} == set(errors.__all__)
    assert all(issubclass(one, TwistnetError) for one in ALL)
    assert issubclass(RemoteProtocolError, ProtocolError)
    assert issubclass(LocalProtocolError, ProtocolError)


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_names_the_setting_that_it_is_of(violation: type[PolicyViolation]) -> None:
    assert violation.policy in fields_dict(ConnectionConfig)
    assert violation("what it was").detail == "what it was"
    assert str(violation("what it was")) == f"what it was ({violation.policy})"


def test_there_is_one_violation_a_policy() -> None:
    policies = [violation.policy for violation in VIOLATIONS]
    assert len(policies) == len(set(policies))
    assert set(policies) == {
        *(
            "max_connections",
            "per_source",
            "accept_rate",
            "allow",
            "deny",
            "proxy_protocol",
            "proxy_allow_from",
        ),
        *("idle_timeout", "lifetime", "handshake_timeout", "write_buffer_limit"),
    }


def test_a_configuration_error_says_where_from_outside_in() -> None:
    inner = ConfigurationError("'x' is not a size", ("burst",))
    outer = inner.within("services", "echo", source="node.toml")
    assert str(inner) == "burst: 'x' is not a size"
    assert str(outer) == "node.toml: services.echo.burst: 'x' is not a size"
    assert outer.within("a").source == "node.toml"
    assert "\n" not in str(ConfigurationError("two\nlines"))


def test_a_listening_error_says_who_asked() -> None:
    assert str(ListeningError("tcp:7", "taken")) == "cannot listen on tcp:7: taken"
    assert str(ListeningError("tcp:7", "taken", "echo")) == "echo: cannot listen on tcp:7: taken"


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("wrong", ("a", "b"), "node.toml"),
        ListeningError("tcp:7", "taken", "echo"),
        RemoteProtocolError("no PROXY header", 3),
        BadMessage("bad-json", "no UTF-8", 7, 3),
        RemoteError("failed", "the handler failed"),
        *(violation("what it was") for violation in VIOLATIONS),
    ],
)
def test_a_copy_is_the_same_error(error: TwistnetError) -> None:
    """As when it is sent to another process."""
    for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
