"""Plans of faults: what they say, what they do, and what is left of one that fails."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest
from attrs import asdict
from hypothesis import Phase, example, find, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as TimedOut
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError, ConnectionLost, DNSLookupError
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

import twistnet.simulation as simulation
from twistnet.errors import SimulationError
from twistnet.simulation import (
    BlackHole,
    Crash,
    CutAt,
    Degrade,
    Fixed,
    Host,
    NamesFail,
    NamesSilent,
    NamesSlow,
    Network,
    OneByte,
    Partition,
    RandomSizes,
    Refuse,
    Reset,
    Skew,
)
from twistnet.simulation.plans import Plan, Planned, fault_plans

NAMES = {name: getattr(simulation, name) for name in simulation.__all__}
STAGE: dict[str, Any] = {"crashing": ["b"], "ports": [("b", 7), ("b", 53, "udp")]}


class Echo(Protocol):
    """Sends back what comes."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Asking(Protocol):
    """Asks once, and has the answer or why there is none."""

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()
        self._received = b""

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(b"\n") and not self.answer.called:
            self.answer.callback(self._received)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self.answer.called:
            self.answer.errback(ConnectionLost())


def network_of_two(trace: Any = None) -> tuple[Network, Host]:
    """A client, and a server that sends back what comes and starts again after a crash."""
    network = Network(trace=trace)
    client = network.host("client")
    network.host("server", boot=lambda host: host.listenTCP(7, Factory.forProtocol(Echo)))
    return network, client


async def connect(client: Host) -> Asking:
    """A connection to the server; the endpoint's own timeout does not count while it asks for the name."""
    connecting = HostnameEndpoint(client, "server", 7).connect(Factory.forProtocol(Asking))
    return cast("Asking", await connecting.addTimeout(3, client))


async def ask_until_answered(client: Host, question: bytes) -> int:
    """A client that does it right: tries again, on a new connection, until it has an answer; how often it tried."""
    tries = 0
    while True:
        tries += 1
        try:
            protocol = await connect(client)
            assert protocol.transport is not None
            protocol.transport.write(question)
            protocol.answer.addTimeout(2, client)
            try:
                assert await protocol.answer == question
            finally:
                cast("ITCPTransport", protocol.transport).abortConnection()
            return tries
        except (ConnectError, ConnectingCancelledError, ConnectionLost, DNSLookupError, TimedOut):
            await deferLater(client, 1.0)


def silence_of(plan: Plan, most: float = 86_400.0) -> float:
    """The longest time for which a client on one connection, asking every second for ten, hears nothing."""
    network, client = network_of_two()
    heard = [0.0]

    class Listening(Asking):
        def dataReceived(self, data: bytes) -> None:
            heard.append(network.clock.now)

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            heard.append(most)

    async def talk() -> None:
        endpoint = HostnameEndpoint(client, "server", 7)
        protocol = cast("Listening", await endpoint.connect(Factory.forProtocol(Listening)))
        plan.apply(network)
        for _ in range(10):
            assert protocol.transport is not None
            protocol.transport.write(b"?")
            await deferLater(client, 1.0)

    network.run(talk())
    return max(after - before for before, after in zip(heard, [*heard[1:], network.clock.now], strict=True))


# What is data


@settings(max_examples=25)
@given(fault_plans(["a", "b", "c"], **STAGE))
def test_a_plan_is_python_that_makes_the_same_plan(plan: Plan) -> None:
    assert eval(repr(plan), NAMES) == plan
    assert hash(eval(repr(plan), NAMES)) == hash(plan)


@pytest.mark.parametrize(
    "fault",
    [
        Degrade("a", ("b", "c"), both=False, slicing=CutAt((3, 5)), loss=0.25),
        Degrade("a", "b", slicing=OneByte()),
        Degrade("a", "b", slicing=RandomSizes(high=100), latency=1),
        Partition(["a", "b"], "c", both=False),
        Reset("a", "b", port=7),
        NamesFail("A.example", "b"),
        NamesSilent(),
        NamesSlow(2),
        Refuse("a", 53, transport="udp"),
        BlackHole("a", 7),
        Skew("a", -3),
    ],
    ids=str,
)
def test_every_fault_is_written_as_it_is_made(fault: Any) -> None:
    planned = Planned(fault, offset=3, between=("a", "b"), port=7, lasting=1.5)
    assert eval(repr(planned), NAMES) == planned


def test_a_plan_reads_as_a_list() -> None:
    plan = Plan(
        [
            Planned(Partition("a", "b"), at=3, lasting=5.5),
            Planned(Reset("a", "b"), offset=120, between=("a", "b"), port=7),
            Planned(Crash("b"), at=0.25),
        ]
    )
    assert str(plan).splitlines() == [
        "at 3 s: Partition a <-> b, for 5.5 s",
        "after 120 octets a -> b, port 7: Reset a <-> b",
        "at 0.25 s: Crash b",
    ]
    assert str(Plan()) == "nothing goes wrong"
    assert len(plan) == len(list(plan)) == 3


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"at": 1.0, "offset": 2, "between": ("a", "b")},
        {"offset": 2},
        {"at": 1.0, "between": ("a", "b")},
        {"offset": 0, "between": ("a", "b")},
        {"at": -1.0},
        {"at": 1.0, "lasting": -1.0},
    ],
    ids=str,
)
def test_what_could_never_happen_is_refused(where: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"at|offset|lasting"):
        Planned(Crash("a"), **where)


# What is drawn


@settings(max_examples=15)
@given(st.data(), st.floats(0.001, 100_000), st.integers(0, 6), st.integers(0, 3000))
def test_plans_keep_to_what_was_asked_for(
    data: st.DataObject, duration: float, most: int, octets: int
) -> None:
    plan = data.draw(fault_plans(["a", "b", "c"], duration=duration, most=most, octets=octets, **STAGE))
    assert len(plan) <= most
    for planned in plan:
        assert planned.at is None or planned.at + (planned.lasting or 0) <= duration + 1e-6
        assert planned.offset is None or planned.offset <= octets
        assert isinstance(planned.fault, Reset) == (planned.lasting is None)
        assert planned.lasting is None or 0 < planned.lasting <= duration


@settings(max_examples=25)
@given(fault_plans(["a", "b", "c"], **STAGE))
def test_every_plan_can_be_applied_and_is_over_in_the_end(plan: Plan) -> None:
    network = Network()
    for name in "abc":
        network.host(name)
    network.advance(5)
    plan.apply(network)
    network.advance(61)
    assert all(way.is_open for way in network.links)
    assert all(host.kernel.is_up and not host.skew for host in network.hosts.values())
    assert not network.refusing
    assert not network.swallowing


@pytest.mark.parametrize(
    "fault", [Degrade("a", "b", latency=1.0), NamesFail("a"), NamesSilent("a"), NamesSlow(1.0)], ids=str
)
def test_faults_that_overlap_leave_nothing_behind(fault: Any) -> None:
    network = Network()
    for name in "ab":
        network.host(name)
    before = asdict(network.direction("a", "b").config, recurse=False)
    Plan([Planned(fault, at=1, lasting=2), Planned(fault, at=2, lasting=2)]).apply(network)
    network.advance(5)
    assert asdict(network.direction("a", "b").config, recurse=False) == before
    assert (network.names.failing, network.names.silent, network.names.delay) == (Counter(), Counter(), 0.0)


def test_times_count_from_when_a_plan_is_applied() -> None:
    network, client = network_of_two()
    network.advance(10)
    Plan([Planned(Skew("client", 60), at=5, lasting=2)]).apply(network)
    network.advance(4)
    assert client.seconds() == 14
    network.advance(1)
    assert client.seconds() == 75
    network.advance(2)
    assert client.seconds() == 17


def test_a_plan_for_other_hosts_is_refused() -> None:
    network, _ = network_of_two()
    with pytest.raises(SimulationError, match="there is no host 'b'"):
        Plan([Planned(Crash("b"), offset=1, between=("a", "b"))]).apply(network)


def test_hosts_and_ports_may_be_hosts_themselves() -> None:
    network, client = network_of_two()
    server = network.hosts["server"]
    plans = fault_plans([client, server], crashing=[server], ports=[(server, 7)], kinds=[Crash, Refuse])
    plan = find(plans, lambda plan: len({type(planned.fault) for planned in plan}) == 2)
    assert {planned.fault for planned in plan} == {Crash("server"), Refuse("server", 7)}


@pytest.mark.parametrize("kind", [Crash, Refuse, BlackHole])
def test_what_must_be_allowed_is_drawn_only_then(kind: type) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__} needs `(crashing|ports)`"):
        fault_plans(["a", "b"], kinds=[kind])


def test_a_single_host_has_no_way_to_cut() -> None:
    with pytest.raises(ValueError, match="Partition needs two hosts"):
        fault_plans(["a"], kinds=[Partition])
    plan = find(fault_plans(["a"]), lambda plan: len(plan) == 2)
    assert all(planned.offset is None for planned in plan)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"hosts": []}, "there must be a host"),
        ({"duration": 0}, "duration must be seconds"),
        ({"duration": float("nan")}, "duration must be seconds"),
        ({"most": -1}, "must not be negative"),
        ({"octets": -1}, "must not be negative"),
        ({"kinds": [Fixed]}, "Fixed is no kind of fault"),
        ({"kinds": []}, "kinds must name"),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        fault_plans(**({"hosts": ["a", "b"]} | arguments))


# What is left of a plan that fails


PLANS = fault_plans(["client", "server"], duration=10)


def minimal(fails: Callable[[Plan], bool]) -> Plan:
    """What a failing plan shrinks to."""
    return find(PLANS, fails, random=Random(0), settings=settings(database=None, max_examples=2000))


def test_what_breaks_at_a_reset_alone_shrinks_to_that_reset() -> None:
    plan = minimal(lambda plan: silence_of(plan) > 3600)
    assert plan == Plan([Planned(Reset("client", "server"), at=0.0)])


def test_what_breaks_at_a_long_silence_shrinks_to_one_partition_in_whole_seconds() -> None:
    plan = minimal(lambda plan: 3 < silence_of(plan) < 3600)
    (planned,) = plan
    assert planned.fault == Partition("client", "server")
    assert planned.at is not None
    assert planned.lasting is not None
    assert planned.lasting == int(planned.lasting)
    one_less = Planned(planned.fault, at=planned.at, lasting=planned.lasting - 1)
    assert silence_of(Plan([one_less])) <= 3


@settings(max_examples=25)
@given(fault_plans(["client", "server"], crashing=["server"], ports=[("server", 7)], duration=30))
def test_a_client_that_tries_again_survives_every_plan(plan: Plan) -> None:
    network, client = network_of_two()
    plan.apply(network)
    tries = network.run(ask_until_answered(client, b"a question of some length\n"))
    network.settle()
    assert 1 <= tries < 60


def test_an_example_that_failed_is_shown_as_python() -> None:
    @settings(database=None, max_examples=10, phases=[Phase.explicit])
    @example(Plan([Planned(Reset("client", "server"), at=0.0)]))
    @given(PLANS)
    def too_short(plan: Plan) -> None:
        assert silence_of(plan) < 3600

    with pytest.raises(AssertionError) as caught:
        too_short()
    shown = "\n".join(caught.value.__notes__)
    assert "Plan([Planned(Reset('client', 'server'), at=0.0)])" in shown


def test_without_hypothesis_it_says_what_to_install() -> None:
    program = """
import sys
sys.modules["hypothesis"] = None
try:
    import twistnet.simulation.plans
except ImportError as error:
    assert "pip install hypothesis" in str(error), error
else:
    raise SystemExit("it was imported")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
