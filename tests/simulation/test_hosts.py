"""The hosts of a network: their names and addresses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from twistnet.errors import SimulationError
from twistnet.simulation import Crash, Host, Network, OneByte, Partition


def connects(net: Network, one: Host, other: Host) -> bool:
    """Whether a connection from one host to another is made, by name."""
    other.listenTCP(7, Factory.forProtocol(Protocol))
    made = HostnameEndpoint(one, other.name, 7).connect(Factory.forProtocol(Protocol))
    return net.run(made) is not None


def test_addresses_that_nobody_has_are_given_out() -> None:
    net = Network()
    net.host("a", addresses=["fd00::1", "10.0.0.3"])
    assert [net.host(name).addresses for name in "bcd"] == [
        ("10.0.0.2", "fd00::2"),
        ("10.0.0.4", "fd00::4"),
        ("10.0.0.5", "fd00::5"),
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("10.1.2.3", ("10.1.2.3",)),
        (["::ffff:10.1.2.3"], ("10.1.2.3",)),
        (["FD00:0::7", "fd00::7", "10.1.2.3"], ("fd00::7", "10.1.2.3")),
    ],
)
def test_an_address_is_the_same_in_any_spelling(given: str | list[str], shown: tuple[str, ...]) -> None:
    net = Network()
    host = net.host("b", addresses=given)
    assert host.addresses == shown
    assert connects(net, net.host("a"), host)


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "fe80::1", "fd00::1%2"],
)
def test_an_address_by_which_nobody_else_could_reach_a_host_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="not an address by which others"):
        Network().host("a", addresses=[address])


@pytest.mark.parametrize(
    ("name", "address"), [("A", "10.9.9.9"), ("b", "10.0.0.1"), ("b", "::ffff:10.0.0.1")]
)
def test_a_name_or_an_address_is_taken_once(name: str, address: str) -> None:
    net = Network()
    net.host("a")
    with pytest.raises(SimulationError, match="is taken"):
        net.host(name, addresses=[address])


def test_whatever_makes_no_sense_is_refused_where_it_is_said() -> None:
    net = Network()
    wrong: list[Callable[[], object]] = [
        lambda: net.host("localhost"),
        lambda: net.host("a" * 300),
        lambda: net.host("b", config={"max_files": 3}),  # type: ignore[arg-type]
        lambda: net.host("b", boot=3),  # type: ignore[arg-type]
        lambda: Network(trace="x"),  # type: ignore[arg-type]
        lambda: Network(seed=-1),
        lambda: Network(link={"slicing": OneByte}),
        lambda: Network(link={"coalescing": "x"}),
        lambda: net.begin(Crash),  # type: ignore[arg-type]
        lambda: net.schedule(Crash("zz"), at=1),
        lambda: Partition("a", "b", both=3),  # type: ignore[arg-type]
    ]
    for call in wrong:
        with pytest.raises((TypeError, ValueError, SimulationError)) as caught:
            call()
        assert "\n" not in str(caught.value)
    assert list(net.hosts) == []


def test_what_a_host_boots_may_be_a_coroutine() -> None:
    booted: list[float] = []

    async def boot(host: Host) -> None:
        await deferLater(host, 1)
        booted.append(host.seconds())

    net = Network()
    host = net.host("a", boot=boot)
    net.advance(2)
    net.crash(host)
    net.restart(host)
    net.advance(2)
    assert booted == [1, 3]


def test_of_a_host_that_could_not_boot_nothing_is_left() -> None:
    net, called, kept = Network(), list[str](), list[Host]()

    def boot(host: Host) -> None:
        kept.append(host)
        host.listenTCP(7, Factory.forProtocol(Protocol))
        host.callLater(1, called.append, "timer")
        host.callFromThread(called.append, "thread")
        if len(kept) == 1:
            raise OSError("the disk is full")

    with net:
        with pytest.raises(OSError, match="the disk is full"):
            net.host("b", addresses=["10.1.2.3"], boot=boot)
        assert (list(net.hosts), net.names.lookup("b"), net.current) == ([], (), net.bystander)
        with pytest.raises(SimulationError, match="has crashed"):
            kept[0].listenTCP(8, Factory.forProtocol(Protocol))
        again = net.host("b", addresses=["10.1.2.3"], boot=boot)
        net.advance(2)
    assert called == ["thread", "timer"]
    assert net.names.lookup("b") == again.addresses == ("10.1.2.3",)
