"""Endpoint strings, taken apart."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.testing import MemoryReactorClock

from twistnet.endpoints.descriptions import Description, split_description


@pytest.mark.parametrize(
    ("given_text", "on_loopback"),
    [
        ("tcp:7007", "tcp:7007:interface=127.0.0.1"),
        ("tcp:port=7007", "tcp:port=7007:interface=127.0.0.1"),
        ("tcp:7007:interface=0.0.0.0", "tcp:7007:interface=0.0.0.0"),
        ("tcp:7007:0.0.0.0", "tcp:7007:0.0.0.0"),
        ("tcp6:7007", r"tcp6:7007:interface=\:\:1"),
        ("tcp6:7007:50", r"tcp6:7007:50:interface=\:\:1"),
        (r"tcp6:7007:interface=\:\:", r"tcp6:7007:interface=\:\:"),
        ("tls:/certs:7443", "tls:/certs:7443:interface=127.0.0.1"),
        ("udp:7009", "udp:7009:interface=127.0.0.1"),
        ("udp6:7009", r"udp6:7009:interface=\:\:1"),
        ("haproxy:tcp:7007", "haproxy:tcp:7007:interface=127.0.0.1"),
        ("unix:/run/echo.sock", "unix:/run/echo.sock"),
        ("systemd:domain=INET:name=echo", "systemd:domain=INET:name=echo"),
        ("elsewhere:7007", "elsewhere:7007"),
    ],
)
def test_on_loopback_unless_an_interface_is_named(given_text: str, on_loopback: str) -> None:
    assert str(Description.parse(given_text).on_loopback()) == on_loopback


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("tcp:7007", "tcp:port=7007:interface=127.0.0.1", True),
        ("tcp:7007", "tls:/certs:7007", True),
        ("tcp:7007", "udp:7007", False),
        ("tcp:7007", "tcp6:7007", False),
        ("tcp:7007", "tcp:7007:interface=0.0.0.0", False),
        ("unix:/a", "unix-datagram:address=/a", True),
        ("udp:7009", "udp:7009:reuse_port=on", False),
    ],
)
def test_two_strings_that_mean_the_same_place(first: str, second: str, same: bool) -> None:
    assert (Description.parse(first).listens_on == Description.parse(second).listens_on) is same


def test_any_free_port_is_no_place() -> None:
    assert Description.parse("tcp:0").listens_on == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not an endpoint"),
        (":", "is not an endpoint"),
        ("=x", "is not an endpoint"),
        ("tcp", "lacks its port"),
        ("unix", "lacks its address"),
        ("tcp:http", "the port, 'http', is not a port (0 to 65535"),
        ("tcp:65536", "'65536', is not a port"),
        ("tcp:-1", "'-1', is not a port"),
        ("tcp:1:interface=", "the interface, '', is not anything"),
        ("unix:", "the address, '', is not anything"),
        ("unix:/a:mode=888", "'888', is not an octal permission"),
        ("tcp:1:backlog=x", "'x', is not a number of connections"),
        ("tcp:0:interface=::1", "gives interface twice; a colon that is part of a word is written"),
        ("tcp6:1:interface=127.0.0.1", "the interface, '127.0.0.1', is not an address of IPv6"),
        ("haproxy:unix", "lacks its address"),
        ("haproxy:tcp:99999", "is not a port"),
        ("tcp:1:2:3:4", "too many parts; tcp takes port, interface, backlog"),
        ("tcp:1:interfac=x", "tcp takes no 'interfac'; did you mean interface?"),
        ("tcp:1:backlog=1:backlog=2", "gives backlog twice"),
    ],
)
def test_what_is_wrong_is_said(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        Description.parse(text)


WORD = st.text(min_size=1)


@given(WORD, st.lists(WORD), st.dictionaries(WORD, st.text()))
def test_every_string_reads_back(prefix: str, arguments: list[str], keywords: dict[str, str]) -> None:
    written = str(
        Description("x" + prefix, tuple(arguments), {f"k{n}": v for n, v in enumerate(keywords.values())})
    )
    words, values = split_description(written)
    assert words == ["x" + prefix, *arguments]
    assert list(values.values()) == list(keywords.values())


@given(st.text(alphabet="tcp:=\\7a0 "))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    try:
        Description.parse(text)
    except ValueError as error:
        assert str(error)


@given(st.sampled_from(["tcp:7007", "tcp:7007:interface=127.0.0.1", r"unix:/a\:b", "tcp:port=1:backlog=9"]))
def test_twisted_reads_what_we_write(text: str) -> None:
    endpoint = serverFromString(MemoryReactorClock(), str(Description.parse(text).on_loopback()))
    assert IStreamServerEndpoint.providedBy(endpoint)
