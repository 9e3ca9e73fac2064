"""The handlers of the messages service, and how one is chosen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.protocols.messaging import client_of
from twistnet.config import build
from twistnet.errors import ConfigurationError, RemoteError
from twistnet.services.builtin.message_handlers import find_handler, upper
from twistnet.services.builtin.messages import MESSAGES, MessagesOptions
from twistnet.simulation import Network

HANDLERS = """
from twisted.internet.defer import succeed
from twistnet import MessageError

def plain(value):
    return [value]

async def waiting(value):
    return {"waited": await succeed(value)}

def deferred(value):
    return succeed(value)

class Users:
    @staticmethod
    def find(name):
        raise MessageError("no-such-user", f"nobody is called {name}")

NUMBER = 1
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of handlers."""
    name = f"handlers_of_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(HANDLERS)
    (tmp_path / "broken_handlers.py").write_text("1 / 0")
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def ask(network: Network, value: Any, **options: Any) -> Any:
    """What the service with these options answers."""
    server = network.host("server")
    assert MESSAGES.stream is not None
    server.listenTCP(7013, MESSAGES.stream(build(MessagesOptions, options), server))
    reply: Deferred[Any] = client_of(network, options.get("framing", "lines")).request(value)
    return network.run(reply)


def test_echo_is_the_default(network: Network) -> None:
    assert ask(network, [1, {"a": None}]) == [1, {"a": None}]


def test_upper_is_of_every_text_but_names(network: Network) -> None:
    value = {"name": ["stra\N{LATIN SMALL LETTER SHARP S}e", 1, {"b": "c", "B": None}]}
    assert ask(network, value, handler="upper") == {"name": ["STRASSE", 1, {"b": "C", "B": None}]}
    assert upper(True) is True


def test_time_is_utc() -> None:
    clock = Clock()
    clock.advance(1_800_000_000.25)
    assert find_handler("time", clock)(None) == "2027-01-15T08:00:00.250+00:00"


def test_sleep_takes_so_long(network: Network) -> None:
    assert ask(network, 2.5, handler="sleep") == 2.5
    assert network.clock.now == pytest.approx(2.5, abs=0.1)


@pytest.mark.parametrize("value", [-1, 61, "1", True, None, [1]])
def test_sleep_takes_a_number_of_seconds(network: Network, value: Any) -> None:
    with pytest.raises(RemoteError, match="not a number of seconds from 0 to 60") as caught:
        ask(network, value, handler="sleep")
    assert caught.value.code == "bad-value"


@pytest.mark.parametrize(
    ("function", "answer"), [("plain", ["x"]), ("waiting", {"waited": "x"}), ("deferred", "x")]
)
def test_a_function_of_anybody_s(network: Network, package: str, function: str, answer: Any) -> None:
    assert ask(network, "x", handler=f"{package}:{function}", framing="netstring") == answer


def test_an_error_of_anybody_s(network: Network, package: str) -> None:
    with pytest.raises(RemoteError) as caught:
        ask(network, "x", handler=f"{package}:Users.find")
    assert (caught.value.code, caught.value.message) == ("no-such-user", "nobody is called x")


@pytest.mark.parametrize(
    ("handler", "problem"),
    [
        ("ecko", "did you mean echo?"),
        ("no_such_module:f", "No module named 'no_such_module'; PYTHONPATH=."),
        ("broken_handlers:f", "ZeroDivisionError"),
        ("json:nothing", "AttributeError"),
        ("json:decoder", "is no function"),
        (":f", "is neither package.module:function nor"),
        (7, "is neither package.module:function nor"),
    ],
)
def test_a_handler_that_there_is_not(package: str, handler: Any, problem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        build(MessagesOptions, {"handler": handler})
    assert caught.value.path == ("handler",)
    assert problem in str(caught.value)
    assert package not in sys.modules


def test_limits_are_checked() -> None:
    for wrong in (
        {"max_message": "1KiB"},
        {"max_depth": 251},
        {"max_depth": 0},
        {"in_flight": 0},
        {"framing": "xml"},
    ):
        with pytest.raises(ConfigurationError) as caught:
            build(MessagesOptions, wrong)
        assert caught.value.path == tuple(wrong)


def test_every_option_reaches_the_protocol(network: Network) -> None:
    """As the limits show when they are met."""
    with pytest.raises(RemoteError, match="timeout"):
        ask(network, 30, handler="sleep", request_timeout="1s", in_flight=1, max_depth=5, max_message="4KiB")
