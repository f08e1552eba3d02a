"""Tokens and cursors with a byte, a part or the whole of them wrong."""

from __future__ import annotations

import base64
import json
import random
from typing import Any


def bent_token(token: bytes, chance: random.Random) -> bytes:
    """A JWT or another opaque text, changed in one of the ways that forgers and accidents change it."""
    if not token:
        return b"e30.e30."
    at = chance.randrange(len(token))
    what = chance.randrange(9)
    if what <= 2:
        return token[:at] + bytes([chance.choice(b"ABCabc012-_.= %\x7f")]) + token[at + 1 :]
    if what == 3:
        return token[:at]
    if what == 4:
        return token + token[at:]
    if what == 5:
        return token * chance.choice((2, 50))
    if what == 6:
        return b".".join(chance.sample(parts := token.split(b"."), len(parts)))
    if what == 7:
        return token[:at] + bytes([chance.randrange(128, 256)]) + token[at:]
    return _reclaimed(token, chance)


def subject_of(token: str) -> str:
    """Whose token it is, or nobody's."""
    parts = token.split(".")
    try:
        return str(json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))["sub"])
    except (IndexError, ValueError, KeyError, TypeError):
        return "nobody"


def _reclaimed(token: bytes, chance: random.Random) -> bytes:
    """The token with a header or a claim rewritten, under the old signature or none."""
    head, _, rest = token.partition(b".")
    claims, _, signature = rest.partition(b".")
    part = chance.choice(("head", "claims", "both"))
    if part != "claims":
        wrong: tuple[dict[str, Any], ...] = (
            {"alg": "none"}, {"alg": "HS256"}, {"alg": None}, {"kid": "../../x"}, {"kid": 1}, {"kid": None},
            {"typ": "rt+jwt"}, {"typ": 1}, {"crit": ["exp"]}, {"jwk": {}}, {"x5u": "http://x"},
            {"b64": False},
        )  # fmt: skip
        head = _rewritten(head, chance.choice(wrong))
        signature = chance.choice((signature, b"", b"!!"))
    if part != "head":
        names = ("sub", "exp", "iat", "nbf", "iss", "aud", "jti", "role", "type", "verified", "link", "epoch")
        values: tuple[Any, ...] = (
            None,
            "",
            -1,
            2**70,
            1e308,
            "x" * 5000,
            [],
            {},
            True,
            "\x00",
            "\ud800",
            [[[]]],
        )
        claims = _rewritten(claims, {chance.choice(names): chance.choice(values)})
    return b".".join((head, claims, signature))


def _rewritten(part: bytes, changes: dict[str, Any]) -> bytes:
    try:
        known = json.loads(base64.urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except ValueError:
        return part
    if not isinstance(known, dict):
        return part
    return base64.urlsafe_b64encode(json.dumps(known | changes).encode()).rstrip(b"=")
