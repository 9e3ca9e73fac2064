"""What goes wrong unnoticed while a network runs: logged errors and Deferreds that fail with nobody listening."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.logger import Logger

from tests.simulation.stage import Stage
from twistnet.errors import ErrorsLogged
from twistnet.simulation import Host, Network

log = Logger()


def alone(**settings: Any) -> tuple[Network, Host]:
    """A network of one host."""
    net = Network(**settings)
    return net, net.host("a")


def log_an_error() -> None:
    try:
        raise ZeroDivisionError("logged")
    except ZeroDivisionError:
        log.failure("it went wrong")


def forget_a_failure() -> None:
    Deferred[None]().errback(ZeroDivisionError("forgotten"))


def raise_it() -> None:
    raise ZeroDivisionError("raised")


@pytest.mark.parametrize("wrong", [log_an_error, forget_a_failure, raise_it])
@pytest.mark.parametrize(
    "go",
    [
        lambda net, host: net.advance(1),
        lambda net, host: net.run(deferLater(host, 1)),
        lambda net, host: net.advance(1) or net.settle(),
    ],
)
def test_what_goes_wrong_unnoticed_fails_the_run(
    wrong: Callable[[], None], go: Callable[[Network, Host], Any]
) -> None:
    net, host = alone()
    host.callLater(0.5, wrong)
    with pytest.raises(ErrorsLogged, match="1 error was logged while the network ran") as caught:
        go(net, host)
    [failure] = caught.value.failures
    assert failure.check(ZeroDivisionError)
    assert "ZeroDivisionError" in str(caught.value)
    net.advance(1)


def test_what_goes_wrong_in_a_protocol_fails_the_run() -> None:
    class Failing(Protocol):
        def dataReceived(self, data: bytes) -> None:
            raise ZeroDivisionError

    stage = Stage()
    stage.c.listenTCP(7, Factory.forProtocol(Failing))
    endpoint = TCP4ClientEndpoint(stage.a, "c", 7)
    client: Any = stage.net.run(endpoint.connect(Factory.forProtocol(Protocol)))
    client.transport.write(b"x")
    with pytest.raises(ErrorsLogged, match="ZeroDivisionError"):
        stage.net.settle()


def test_what_goes_wrong_after_the_last_run_fails_the_block() -> None:
    net, _ = alone()
    with pytest.raises(ErrorsLogged), net:
        cycle: list[Any] = [Deferred[None]()]
        cycle.append(cycle)
        cycle[0].errback(ZeroDivisionError())
        del cycle


def test_a_test_that_fails_by_itself_is_not_hidden_by_what_was_logged() -> None:
    net, _ = alone()
    with pytest.raises(KeyError), net:
        log_an_error()
        raise KeyError


def test_what_was_logged_outside_is_nobody_s_business() -> None:
    net, _ = alone()
    log_an_error()
    net.advance(1)
    net.check_errors(thoroughly=True)


def test_errors_that_are_expected_are_handed_over() -> None:
    net, host = alone()
    for wrong in (log_an_error, forget_a_failure, raise_it):
        host.callLater(0.5, wrong)
    with net.expected_errors(ZeroDivisionError) as caught:
        net.advance(1)
    assert sorted(str(failure.value) for failure in caught) == ["forgotten", "logged", "raised"]
    net.check_errors(thoroughly=True)


def test_only_the_errors_that_are_named_are_expected() -> None:
    net, host = alone()
    host.callLater(0.5, raise_it)
    with net.expected_errors(KeyError) as caught, pytest.raises(ErrorsLogged):
        net.advance(1)
    assert caught == []


def test_without_a_name_any_error_is_expected_and_blocks_may_be_nested() -> None:
    net, host = alone()
    host.callLater(0.5, raise_it)
    host.callLater(0.5, lambda: ().index("missing"))
    with net.expected_errors() as rest, net.expected_errors(ValueError) as missing:
        net.advance(1)
    assert [failure.type for failure in missing] == [ValueError]
    assert [failure.type for failure in rest] == [ZeroDivisionError]
    host.callLater(0.5, raise_it)
    with pytest.raises(ErrorsLogged):
        net.advance(1)
