"""`fast:` in endpoint strings: what it stands for, on a real reactor and where there are no fast transports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, connectProtocol, serverFromString
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.testing import MemoryReactorClock

from twistnet import EndpointStringError, datagram_server_from_string, fast
from twistnet.client.targets import datagram_target, stream_target
from twistnet.endpoints.datagram import says_datagrams
from twistnet.endpoints.datagram_client import FastTarget
from twistnet.simulation import Network
from twistnet.transport import reactor_factory
from twistnet.transport.connections import FastClient
from twistnet.transport.datagrams import FastDatagramPort
from twistnet.transport.ports import FastPort
from twistnet.transport.sockets import FastSockets
from twistnet.transport.unix_datagrams import FastUNIXDatagramPort
from twistnet.transport.unix_streams import FastUNIXClient, FastUNIXPort

TURNS = 200


@pytest.fixture(params=[EPollReactor, SelectReactor, reactor_factory])
def real(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A real reactor that is driven by hand."""
    reactor = request.param()
    yield reactor
    reactor.disconnectAll()
    for call in reactor.getDelayedCalls():
        call.cancel()
    reactor.removeReader(reactor.waker)
    reactor.waker.connectionLost(None)


class Echoing(Protocol):
    """Sends back what comes."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Asking(Protocol):
    """Asks once, and keeps the answer."""

    answer = b""

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"hello")

    def dataReceived(self, data: bytes) -> None:
        self.answer += data


def result_of(deferred: Deferred[Any], reactor: Any) -> Any:
    """What a Deferred fires with, in a bounded number of turns."""
    found: list[Any] = []
    deferred.addBoth(found.append)
    for _ in range(TURNS):
        if found:
            return found[0]
        reactor.iterate(0.01)
    raise AssertionError("it has not fired")


@pytest.mark.parametrize(
    "inside", ["tcp:0:interface=127.0.0.1", "tcp6:0:interface=\\:\\:1", "unix:FOLDER/socket"]
)
def test_both_ends_of_a_stream(inside: str, real: Any, tmp_path: Path) -> None:
    text = inside.replace("FOLDER", str(tmp_path))
    listening = serverFromString(real, f"fast:{text}").listen(Factory.forProtocol(Echoing))
    port = result_of(listening, real)
    assert isinstance(port, (FastPort, FastUNIXPort))
    host = port.getHost()
    where = text if inside.startswith("unix") else f"tcp:{host.host.replace(':', chr(92) + ':')}:{host.port}"
    asking = result_of(connectProtocol(clientFromString(real, f"fast:{where}"), Asking()), real)
    assert isinstance(asking.transport, (FastClient, FastUNIXClient))
    for _ in range(TURNS):
        real.iterate(0.01)
        if asking.answer:
            break
    assert asking.answer == b"hello"


@pytest.mark.parametrize("inside", ["udp:0", "udp6:0", "unix-datagram:FOLDER/socket"])
def test_datagrams(inside: str, real: Any, tmp_path: Path) -> None:
    text = inside.replace("FOLDER", str(tmp_path))
    endpoint = datagram_server_from_string(real, f"fast:{text}")
    port: Any = result_of(endpoint.listen(DatagramProtocol()), real)
    assert isinstance(getattr(port, "_port", port), (FastDatagramPort, FastUNIXDatagramPort))


def test_a_guard_may_stand_before_it_and_after_it(real: Any) -> None:
    for text in ("guarded:fast:tcp:0:max_connections=3", "fast:guarded:tcp:0:max_connections=3"):
        endpoint: Any = serverFromString(real, text)
        assert isinstance(result_of(endpoint.listen(Factory.forProtocol(Echoing)), real), FastPort)


def test_clients_of_the_command_line(real: Any) -> None:
    target = datagram_target(["fast:udp:127.0.0.1:7009"])
    assert isinstance(target, FastTarget)
    assert isinstance(stream_target(real, ["fast:tcp6:\\:\\:1:7"])._reactor, FastSockets)
    assert datagram_target(["fast:tcp:127.0.0.1:7"]) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("fast:", "has no endpoint inside; fast:tcp:8080 would have one"),
        ("fast:udp:7009", "udp is for datagrams, and this for streams"),
    ],
)
def test_what_it_cannot_stand_before(text: str, problem: str) -> None:
    with pytest.raises(EndpointStringError, match=problem):
        serverFromString(MemoryReactorClock(), text)


def test_a_client_without_anything_inside() -> None:
    with pytest.raises(EndpointStringError, match=r"fast:tcp:192\.0\.2\.1:80 would have one"):
        clientFromString(MemoryReactorClock(), "fast:")


def test_streams_are_no_datagrams_with_it_either() -> None:
    with pytest.raises(ValueError, match="begins with no datagram prefix"):
        datagram_server_from_string(MemoryReactorClock(), "fast:tcp:7009")
    assert says_datagrams("fast:udp:7")
    assert not says_datagrams("fast:tcp:7")
    assert not says_datagrams(":")


def test_where_sockets_are_not_real_it_is_the_endpoint_itself(network: Network) -> None:
    host = network.host("server")
    assert fast(host) is host
    memory = MemoryReactorClock()
    assert fast(memory) is memory
    port = network.run(serverFromString(host, "fast:tcp:7").listen(Factory.forProtocol(Echoing)))
    assert type(port) is type(host.listenTCP(8, Factory.forProtocol(Echoing)))


def test_a_reactor_that_is_fast_stays_itself() -> None:
    reactor = reactor_factory()
    assert fast(reactor) is reactor
    stock = SelectReactor()
    on_hub = fast(stock)
    assert fast(on_hub) is on_hub
    for each in (reactor, stock):
        each.removeReader(each.waker)
        each.waker.connectionLost(None)
