"""Forwarding headers, whatever is in them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from interfaces.http.network import Address, network_prefix
from tests.http.test_network import PROXIES, PROXY, found

HOPS = ["10.1.2.3", "10.255.0.1"]

addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(
    lambda address: getattr(address, "ipv4_mapped", None) or address
)
strangers = addresses.filter(lambda address: not any(address in network for network in PROXIES))
# What a caller may put in front of what the proxies append.
junk = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=60)


@given(
    caller=strangers, before=junk, behind=st.lists(st.sampled_from(["10.1.2.3", "10.255.0.1"]), max_size=3)
)
def test_whatever_a_caller_sends_what_the_proxy_appends_is_found(
    caller: Address, before: str, behind: list[str]
) -> None:
    chain = ", ".join([before, str(caller), *behind])
    assert found(PROXY, x_forwarded_for=chain) == caller
    quoted = f'"[{caller}]"' if caller.version == 6 else str(caller)
    described = ", ".join([before, f"for={quoted};proto=http", *(f"for={proxy}" for proxy in behind)])
    assert found(PROXY, forwarded=described) == caller


@given(peer=strangers, listed=junk, described=junk)
def test_nothing_a_stranger_sends_is_believed(peer: Address, listed: str, described: str) -> None:
    assert found(str(peer), x_forwarded_for=listed) == without_mapping(peer)
    assert found(str(peer), forwarded=described) == without_mapping(peer)


def without_mapping(address: Address) -> Address:
    return getattr(address, "ipv4_mapped", None) or address


@given(address=addresses)
def test_a_network_holds_its_address_and_has_the_size_of_a_household(address: Address) -> None:
    network = network_prefix(address)
    assert address in network
    assert network.prefixlen == (24 if address.version == 4 else 56)
