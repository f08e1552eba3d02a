"""Where a request comes from is believed of trusted proxies only."""

from __future__ import annotations

import logging
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from interfaces.http.network import HOUR, MAX_CHAIN_BYTES, Address, Callers, caller_address

PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]
PROXY = "10.0.0.1"
CLIENT = ip_address("203.0.113.7")


def scope(peer: str | None, **headers: str | list[str]) -> dict[str, Any]:
    lines = [
        (name.replace("_", "-").encode(), line.encode("latin-1"))
        for name, value in headers.items()
        for line in ([value] if isinstance(value, str) else value)
    ]
    return {"client": (peer, "1234") if peer else None, "headers": lines}


def found(peer: str | None, **headers: str | list[str]) -> Address | None:
    return caller_address(scope(peer, **headers), PROXIES)


def test_without_forwarding_headers_the_caller_is_the_peer() -> None:
    assert found("203.0.113.7") == CLIENT
    assert found(PROXY) == ip_address(PROXY)
    assert found("::ffff:203.0.113.7") == CLIENT
    assert found("fe80::1%eth0") == ip_address("fe80::1")
    assert found(None) is None


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded"])
def test_where_proxies_are_listed_nobody_else_is_believed(header: str) -> None:
    assert found("203.0.113.7", **{header: "for=198.51.100.1"}) == CLIENT


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded"])
def test_where_no_proxy_is_listed_a_caller_that_forwards_is_not_known(header: str) -> None:
    assert caller_address(scope("203.0.113.7", **{header: "for=198.51.100.1"}), ()) is None


@pytest.mark.parametrize(
    "value",
    [
        "203.0.113.7", " 203.0.113.7 ", "203.0.113.7:4711", "198.51.100.1, 203.0.113.7",
        "198.51.100.1,203.0.113.7, 10.1.2.3", "junk,,203.0.113.7,", "::ffff:203.0.113.7",
        "[::ffff:203.0.113.7]:80", "203.0.113.7, [fd00::1]:4711", "203.0.113.7, fd00::1",
    ],
)  # fmt: skip
def test_the_right_most_address_that_is_no_proxy_is_the_caller(value: str) -> None:
    assert found(PROXY, x_forwarded_for=value) == CLIENT


@pytest.mark.parametrize(
    "value",
    [
        "for=203.0.113.7", "For=203.0.113.7", "for=203.0.113.7;proto=https;by=10.0.0.1",
        'for="203.0.113.7:4711"', "proto=https;for=203.0.113.7", 'for="[fd00::1]", for=203.0.113.7',
        'for=203.0.113.7, for="[fd00::1]:4711"', 'host="a;for=6.6.6.6;b";for=203.0.113.7',
        'host="a,for=6.6.6.6";for=203.0.113.7', 'host="a\\",for=6.6.6.6";for=203.0.113.7',
        'for="open, for=203.0.113.7', "junk, for=203.0.113.7", "for = 6.6.6.6, for=203.0.113.7",
    ],
)  # fmt: skip
def test_forwarded_is_read_as_rfc_7239_has_it(value: str) -> None:
    assert found(PROXY, forwarded=value) == CLIENT


@pytest.mark.parametrize("value", ["unknown", "_hidden", "", "203.0.113", "203.0.113.7.8", "nobody, unknown"])
def test_a_proxy_that_does_not_tell_leaves_the_caller_unknown(value: str) -> None:
    assert found(PROXY, forwarded=f"for={value}") is None
    assert found(PROXY, forwarded="proto=https") is None
    if value:
        assert found(PROXY, x_forwarded_for=value) is None


def test_lines_of_one_header_are_read_as_one() -> None:
    assert found(PROXY, x_forwarded_for=["198.51.100.1", "203.0.113.7", "10.9.9.9"]) == CLIENT
    assert found(PROXY, forwarded=["for=198.51.100.1", "for=203.0.113.7"]) == CLIENT


def test_x_forwarded_for_is_believed_before_forwarded() -> None:
    assert found(PROXY, forwarded="for=6.6.6.6", x_forwarded_for="203.0.113.7") == CLIENT


def test_where_every_hop_is_a_proxy_the_first_of_them_called() -> None:
    assert found(PROXY, x_forwarded_for="10.1.1.1, 10.2.2.2") == ip_address("10.1.1.1")


def test_of_a_chain_without_end_only_the_end_is_read() -> None:
    assert found(PROXY, x_forwarded_for="1.1.1.1," * 100_000 + "203.0.113.7") == CLIENT
    # Another address, 0.0.0.111, would be found if the chain were cut within an address.
    for shift in range(12):
        chain = "10.0.0.111," * (MAX_CHAIN_BYTES // 11 + 2) + "," * shift
        assert found(PROXY, x_forwarded_for=chain) is None
        assert found(PROXY, forwarded=chain.replace("10.", "for=10.")) is None


def test_an_unlisted_proxy_is_told_of_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    now = 100.0
    callers = Callers((), lambda: now)
    unlisted = scope("203.0.113.7", x_forwarded_for="198.51.100.1")
    with caplog.at_level(logging.WARNING, "usersd.http"):
        assert callers.address(scope("203.0.113.7")) == CLIENT
        assert not caplog.records
        for _ in range(3):
            assert callers.address(unlisted) is None
        assert len(caplog.records) == 1
        now += HOUR
        callers.address(unlisted)
        assert len(caplog.records) == 2
    assert "MG_USERS_TRUSTED_PROXIES" in caplog.text
    # Addresses are personal data.
    assert "203.0.113" not in caplog.text
    assert "198.51" not in caplog.text
