"""Who comes in, and what a connection holds while it is open."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from attrs import define, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from twistnet.config import ConnectionConfig
from twistnet.policies.gate import Gate, Pass
from twistnet.policies.sources import Address, source_of

NOW = 1.8e9
"""A time such as the clock tells today."""

CLIENT = ip_address("192.0.2.7")


def gate(**config: Any) -> Gate:
    """A gate with some limits."""
    return Gate(ConnectionConfig(**config))


def refusals(tested: Gate, addresses: list[str], now: float = NOW) -> list[str]:
    """Which policy refuses each who comes, in vain or not."""
    told = []
    for address in map(ip_address, addresses):
        violation = tested.check(now, address)
        told.append(violation.policy if violation else "")
        if violation is None:
            tested.enter(now, address, Pass())
    return told


def test_the_policies_are_asked_in_their_order() -> None:
    tested = gate(
        allow=["192.0.2.0/24"],
        deny=["192.0.2.66", "203.0.113.0/24"],
        accept_rate=1,
        accept_burst=3,
        per_source=2,
    )
    assert refusals(tested, ["203.0.113.1", "198.51.100.1", "192.0.2.66"]) == ["deny", "allow", "deny"]
    assert refusals(tested, ["192.0.2.7"] * 3) == ["", "", "per_source"]
    tested.enter(NOW, CLIENT, Pass())  # as a dry run does
    assert refusals(tested, ["192.0.2.7"]) == ["accept_rate"]


def test_nothing_is_spent_for_one_that_is_refused() -> None:
    tested, place = gate(accept_rate=0.001, accept_burst=2, per_source=1), Pass()
    tested.enter(NOW, CLIENT, place)
    assert refusals(tested, [str(CLIENT)] * 50) == ["per_source"] * 50
    tested.leave(place)
    assert refusals(tested, [str(CLIENT)]) == [""]


def test_without_a_burst_a_second_of_the_rate_passes_at_once_and_one_at_least() -> None:
    assert refusals(gate(accept_rate=3), ["192.0.2.7"] * 5).count("") == 3
    assert refusals(gate(accept_rate=0.2), ["192.0.2.7"] * 5).count("") == 1


def test_on_a_unix_socket_only_the_slots_count() -> None:
    tested, place = gate(allow=["192.0.2.0/24"], accept_rate=1, per_source=1, max_connections=1), Pass()
    for _ in range(5):
        assert tested.check(NOW, None) is None
        tested.enter(NOW, None, Pass())
    assert tested.sources == 0
    tested.enter_slot(place)
    assert tested.slots.full


def test_whose_proxy_header_counts() -> None:
    tested = gate(proxy_protocol="auto", proxy_allow_from=["192.0.2.0/24", "2001:db8::/32"])
    told = {
        address: tested.check_proxy(ip_address(address))
        for address in ("192.0.2.7", "198.51.100.7", "2001:db8::7", "::1")
    }
    assert {address for address, violation in told.items() if violation} == {"198.51.100.7", "::1"}
    assert getattr(told["::1"], "policy", "") == "proxy_allow_from"
    assert tested.check_proxy(None) is None
    assert gate(proxy_protocol="auto").check_proxy(CLIENT) is None


@define(eq=False)
class Visitor:
    """One connection, and what it ought to hold."""

    address: Address | None
    place: Pass = field(factory=Pass)
    inside: bool = False


class Arrivals(RuleBasedStateMachine):
    """Connections come in, take slots and leave, in any order and more than once; time goes on, or back."""

    @initialize(per_source=st.booleans(), accept_rate=st.booleans())
    def open(self, per_source: bool, accept_rate: bool) -> None:
        limits = {"per_source": 2} if per_source else {}
        rates = {"accept_rate": 1.0, "accept_burst": 4} if accept_rate else {}
        self.gate, self.counts = gate(max_connections=3, **limits, **rates), per_source
        self.limited = {**limits, **rates}
        self.now = NOW
        self.visitors: list[Visitor] = []

    @rule(host=st.sampled_from(["192.0.2.7", "192.0.2.8", "2001:db8::7", "2001:db8::8", None]))
    def arrive(self, host: str | None) -> None:
        visitor = Visitor(None if host is None else ip_address(host))
        self.visitors.append(visitor)
        if self.gate.check(self.now, visitor.address) is None:
            visitor.inside = visitor.address is not None
            self.gate.enter(self.now, visitor.address, visitor.place)

    @rule(data=st.data())
    def take_a_slot(self, data: st.DataObject) -> None:
        if self.visitors and not self.gate.slots.full:
            self.gate.enter_slot(data.draw(st.sampled_from(self.visitors)).place)

    @rule(data=st.data(), times=st.integers(1, 2))
    def leave(self, data: st.DataObject, times: int) -> None:
        if self.visitors:
            visitor = data.draw(st.sampled_from(self.visitors))
            visitor.inside = False
            for _ in range(times):
                self.gate.leave(visitor.place)
            assert (visitor.place.slot, visitor.place.source) == (False, None)

    @rule(seconds=st.floats(-10, 10))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def every_slot_is_somebodys(self) -> None:
        assert self.gate.slots.open == sum(visitor.place.slot for visitor in self.visitors) <= 3

    @invariant()
    def no_source_has_more_than_it_may(self) -> None:
        inside = [source_of(v.address) for v in self.visitors if v.inside and v.address]
        held = [v.place.source for v in self.visitors if v.place.source is not None]
        assert sorted(held) == (sorted(inside) if self.counts else [])
        assert not self.counts or max(map(inside.count, inside), default=0) <= 2

    def teardown(self) -> None:
        """All leave, and it is as if nobody had come."""
        for visitor in getattr(self, "visitors", ()):
            self.gate.leave(visitor.place)
        if hasattr(self, "gate"):
            assert self.gate.slots.open == 0
            place = Pass()
            self.gate.enter(self.now + 3600, CLIENT, place)
            self.gate.leave(place)
            assert self.gate.sources == ("accept_rate" in self.limited), "the last to come is known, no other"


TestArrivals = Arrivals.TestCase
TestArrivals.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
