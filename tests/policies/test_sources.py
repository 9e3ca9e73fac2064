"""What counts as one source."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress

from twistnet.policies.sources import address_of, contains, numeric, source_of


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        (IPv4Address("TCP", "192.0.2.7", 40000), "192.0.2.7"),
        (IPv6Address("TCP", "2001:db8::7", 40000), "2001:db8::7"),
        (IPv6Address("TCP", "fe80::1%eth0", 40000), "fe80::1"),
        (IPv6Address("TCP", "fe80::1", 40000, scopeID=3), "fe80::1"),
        (IPv6Address("TCP", "::ffff:192.0.2.7", 40000), "192.0.2.7"),
        (IPv6Address("TCP", "::1", 40000), "::1"),
    ],
)
def test_the_address_of_a_peer(peer: object, address: str) -> None:
    assert str(address_of(peer)) == address


@pytest.mark.parametrize(
    "peer", [UNIXAddress(b"/run/x"), UNIXAddress(None), HostnameAddress(b"example.org", 80), None, object()]
)
def test_what_has_no_numeric_address(peer: object) -> None:
    assert address_of(peer) is None


@given(st.text())
def test_any_text_is_an_address_or_none(text: str) -> None:
    address = numeric(text)
    assert address is None or ipaddress.ip_address(str(address)) == address


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_a_source_however_it_is_written(address: ipaddress.IPv4Address) -> None:
    mapped = numeric(f"::ffff:{address}")
    assert mapped == address
    assert source_of(mapped) == str(address)


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_64_is_one_source_and_its_neighbour_another(site: int, one: int, two: int) -> None:
    first, second = (ipaddress.IPv6Address(site << 64 | host) for host in (one, two))
    neighbour = ipaddress.IPv6Address((site ^ 1) << 64 | one)
    assert source_of(first) == source_of(second) == str(ipaddress.ip_network((first, 64), strict=False))
    assert source_of(neighbour) != source_of(first)


def test_loopback_is_not_a_site() -> None:
    assert source_of(ipaddress.IPv6Address("::1")) != source_of(ipaddress.IPv6Address("::2"))


def test_a_network_has_addresses_of_its_own_family_alone() -> None:
    everything = (ipaddress.ip_network("::/0"),)
    assert contains(everything, ipaddress.ip_address("2001:db8::1"))
    assert not contains(everything, ipaddress.ip_address("192.0.2.7"))
    assert not contains((), ipaddress.ip_address("192.0.2.7"))


def test_hosts_on_one_link_are_several_sources() -> None:
    """Nobody is given `fe80::/64`: everybody on a link has an address in it (RFC 4291, 2.5.6)."""
    first, second = (numeric(f"fe80::{number}%eth0") for number in (1, 2))
    assert first is not None
    assert second is not None
    assert (source_of(first), source_of(second)) == ("fe80::1", "fe80::2")
