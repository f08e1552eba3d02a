"""What showing a refresh token comes to: decided from its session alone, without a database.

A rotation is `current → used up`; the successor is computed from the token shown and the session's nonce, so
that whoever shows one and the same token gets one and the same answer. A token that was used up within the
grace leads along the chain of its successors to the one that is valid now: an honest caller may be several
rotations behind, because an answer was lost or overtaken by another thread's. Each token has the grace from
its own use on, however often the session has rotated since, so that nobody can keep an old one alive.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec

GRACE = timedelta(seconds=30)
"""For how long after its use a used-up token still leads to the valid one."""

SKEW = timedelta(seconds=5)
ABREAST = timedelta(minutes=2)
"""By how much the clock of the replica that is asked next may run behind."""

MAX_REMEMBERED = 32
"""How many used-up tokens a session remembers at most; nobody honest needs as many within the grace."""


class Used(msgspec.Struct, frozen=True):
    """A token that was used up: its hash, when, and until when the successor holds."""

    digest: bytes
    at: datetime
    until: datetime


class Chain(msgspec.Struct, frozen=True):
    """The tokens of a session: the hash of the valid one, and those used up of late, the last one last."""

    current: bytes
    used: tuple[Used, ...] = ()


class Rotate(msgspec.Struct, frozen=True):
    """The token is used up now, and this one takes its place, should the session still be as it was read."""

    token: str
    chain: Chain


class Again(msgspec.Struct, frozen=True):
    """The token was used up within the grace; this is the valid one."""

    token: str


class Reused(msgspec.Struct, frozen=True):
    """The token was used up before the grace: one of the two who hold it has stolen it."""


Successor = Callable[[str, datetime, datetime], str]
"""The successor of a token that is used up at a time, valid until another: always the same."""

Digest = Callable[[str], bytes]


def shown(
    token: str, chain: Chain, at: datetime, life: timedelta, successor: Successor, digest: Digest
) -> Rotate | Again | Reused:
    """What it comes to that a token of this session is shown. `life` is that of a new token."""
    given = digest(token)
    if hmac.compare_digest(given, chain.current):
        step = Used(given, at, at + life)
        made = successor(token, step.at, step.until)
        lately = [used for used in chain.used if at - used.at <= GRACE + SKEW]
        return Rotate(made, Chain(digest(made), (*lately, step)[-MAX_REMEMBERED:]))
    for place, used in enumerate(chain.used):
        if hmac.compare_digest(given, used.digest) and -ABREAST <= at - used.at <= GRACE:
            for step in chain.used[place:]:
                token = successor(token, step.at, step.until)
            return Again(token)
    return Reused()
