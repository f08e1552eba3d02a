"""Finds the address a request came from, and believes forwarding headers only from a trusted proxy."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MAX_CHAIN_BYTES = 4096
"""How much of a forwarding header is read, from its end: the rest is what the caller made up."""
IPV4_PREFIX, IPV6_PREFIX = 24, 56
"""The networks that usually belong to one household or office."""
HOUR = 3600.0

_PORT = re.compile(r"(.+):[0-9]{1,5}")
_PAIR = re.compile(r'[ \t]*([^\s"=;]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s";]*))[ \t]*(?:;|$)')

log = logging.getLogger("usersd.http")


class Callers:
    """Whom a service believes about where its requests come from."""

    def __init__(self, trusted: Sequence[Network], now: Callable[[], float] = monotonic) -> None:
        self._trusted = trusted
        self._now = now
        self._warned_at = float("-inf")

    def address(self, scope: Mapping[str, Any]) -> Address | None:
        """The address of the caller as `caller_address` finds it; tells of an unlisted proxy once an hour."""
        found = caller_address(scope, self._trusted)
        if found is None and self._from_an_unlisted_proxy(scope) and self._now() - self._warned_at >= HOUR:
            self._warned_at = self._now()
            log.warning(
                "forwarding headers, and MG_USERS_TRUSTED_PROXIES is empty: the network of such requests is "
                "not known, and limits per network are off for them. List the addresses of your proxies; "
                "where there are none, list 127.0.0.1, and such headers mean nothing."
            )
        return found

    def _from_an_unlisted_proxy(self, scope: Mapping[str, Any]) -> bool:
        peer = _peer(scope)
        return peer is not None and not _within(peer, self._trusted)


def caller_address(scope: Mapping[str, Any], trusted: Sequence[Network]) -> Address | None:
    """Where a request comes from; None where that is not known.

    It is the peer, or, behind trusted proxies, the right-most address of X-Forwarded-For (or else of
    Forwarded, RFC 7239) that is no trusted proxy itself. Behind proxies that are all trusted it is the
    left-most. Where proxies are listed, a peer that is none of them is the caller, whatever it says of
    others. Where none is, nothing tells a proxy from a liar: a caller that forwards is not known, and neither
    is one whose proxy does not tell.
    """
    peer = _peer(scope)
    listed = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    described = [value for name, value in scope["headers"] if name == b"forwarded"]
    if peer is None or not (listed or described):
        return peer
    if not _within(peer, trusted):
        return peer if trusted else None
    # Nearly every proxy writes the first, and then passes on a Forwarded that its caller may have forged.
    hops = _listed(listed) if listed else _described(described)
    hop: Address | None = peer
    for hop in hops:
        if hop is None or not _within(hop, trusted):
            break
    return hop


def network_prefix(address: Address) -> Network:
    """The network that limits count by: /24 of IPv4, /56 of IPv6."""
    return ip_network((address, IPV4_PREFIX if address.version == 4 else IPV6_PREFIX), strict=False)


def _peer(scope: Mapping[str, Any]) -> Address | None:
    client = scope.get("client")
    return _address(client[0]) if client else None


def _within(address: Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)


def _listed(values: list[bytes]) -> Iterator[Address | None]:
    """The hops of X-Forwarded-For, the nearest first; None for what is no address, and where it is cut."""
    text, cut = _end_of(values)
    hops = text.split(",")
    for hop in reversed(hops[1:] if cut else hops):
        if hop.strip():
            yield _address(hop)
    if cut:
        yield None


def _described(values: list[bytes]) -> Iterator[Address | None]:
    """The hops of Forwarded, as `_listed` gives them."""
    text, cut = _end_of(values)
    elements = list(_elements_from_the_end(text))
    for element in elements[:-1] if cut else elements:
        if element.strip():
            yield _node(element)
    if cut:
        yield None


def _end_of(values: list[bytes]) -> tuple[str, bool]:
    """The end of a header that may stand on several lines, and whether its beginning was cut off."""
    text = b",".join(values)
    return text[-MAX_CHAIN_BYTES:].decode("latin-1"), len(text) > MAX_CHAIN_BYTES


def _node(element: str) -> Address | None:
    """The address that an element of Forwarded names with `for`; None where it names none."""
    place = 0
    while place < len(element) and (pair := _PAIR.match(element, place)):
        if pair[1].lower() == "for":
            return _address(pair[3] if pair[2] is None else pair[2])
        place = pair.end()
    return None


def _elements_from_the_end(text: str) -> Iterator[str]:
    """Splits at commas outside quotes, from the end: a quote that a caller leaves open hides no hop."""
    end, quoted = len(text), False
    for place in range(len(text) - 1, -1, -1):
        sign = text[place]
        if sign == '"' and (len(text[:place]) - len(text[:place].rstrip("\\"))) % 2 == 0:
            quoted = not quoted
        elif sign == "," and not quoted:
            yield text[place + 1 : end]
            end = place
    yield text[:end]


def _address(text: str) -> Address | None:
    """An address with or without brackets, port and zone."""
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1 and (found := _PORT.fullmatch(bare)):
        bare = found[1]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
