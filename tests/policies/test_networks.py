"""The policy `allow` and `deny`."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twistnet.errors import Denied, NotAllowed
from twistnet.policies.networks import Networks
from twistnet.policies.sources import Address, numeric

OFFICE = (ip_network("192.0.2.0/24"), ip_network("2001:db8::/32"))
GUESTS = (ip_network("192.0.2.128/25"), ip_network("2001:db8:f::/48"))


@pytest.mark.parametrize(
    ("address", "forbidden"),
    [
        ("192.0.2.7", None),
        ("192.0.2.127", None),
        ("192.0.2.128", Denied),
        ("198.51.100.7", NotAllowed),
        ("2001:db8::7", None),
        ("2001:db8:f::7", Denied),
        ("2001:db9::7", NotAllowed),
        ("::ffff:192.0.2.7", None),
        ("::ffff:192.0.2.200", Denied),
    ],
)
def test_what_is_denied_stays_denied(address: str, forbidden: type | None) -> None:
    numeric_address = numeric(address)
    assert numeric_address is not None
    violation = Networks(OFFICE, GUESTS).check(numeric_address)
    assert (violation and type(violation)) is forbidden


@given(st.ip_addresses())
def test_with_nothing_allowed_all_are_but_for_the_denied(address: Address) -> None:
    assert Networks().check(address) is None
    assert (Networks(deny=OFFICE).check(address) is None) == (not any(address in net for net in OFFICE))
    assert isinstance(Networks(deny=(ip_network("0.0.0.0/0"), ip_network("::/0"))).check(address), Denied)


def test_both_say_which_setting_it_was() -> None:
    outside, guest = ip_address("203.0.113.1"), ip_address("192.0.2.200")
    assert [getattr(Networks(OFFICE, GUESTS).check(one), "policy", None) for one in (outside, guest)] == [
        "allow",
        "deny",
    ]
