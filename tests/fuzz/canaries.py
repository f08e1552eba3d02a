"""Words that occur nowhere else, planted where something is secret or personal, and found again anywhere."""

from __future__ import annotations

import base64
import contextlib
import json
import random
import re
from typing import Literal

Kind = Literal["secret", "private", "token", "key", "mail", "name"]
"""A password, private metadata, a forged token, an Idempotency-Key, an email, a name."""

KINDS: tuple[Kind, ...] = ("secret", "private", "token", "key", "mail", "name")
NOWHERE: frozenset[str] = frozenset({"secret", "token", "key", "jwt"})
"""What may be on no disk, in no message and in no answer, but for a fresh token to whoever asked for it."""

# Each begins with 11 bytes or more that nobody would write by chance.
_LETTERS: dict[Kind, str] = {
    "secret": "cnrysecretx", "private": "cnryprivatx", "token": "cnrytokennx",
    "key": "cnrykeykeyx", "mail": "cnrymailmlx", "name": "cnrynamenmx",
}  # fmt: skip

_JWT = rb"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{16,}"
_HASH = rb"\$2[aby]\$\d\d\$[./A-Za-z0-9]{20,}"


def mint(kind: Kind, chance: random.Random) -> str:
    """A canary of 23 letters and digits, which fits into every kind of field."""
    return f"{_LETTERS[kind]}{chance.getrandbits(48):012x}"


def _spellings(text: bytes) -> list[bytes]:
    """A beginning as it is written in hexadecimal and, at each of the three alignments, in base64."""
    spelt = [text.hex().encode(), text.hex().upper().encode()]
    for shift in range(3):
        whole = base64.b64encode(bytes(shift) + text)
        first = -(-shift * 8 // 6)
        spelt.append(whole[first : (shift + len(text)) * 8 // 6])
    return spelt


_PATTERNS = {
    kind: rb"|".join([rb"(?i:" + letters.encode() + rb")", *map(re.escape, _spellings(letters.encode()))])
    for kind, letters in _LETTERS.items()
}
_ANY = re.compile(
    rb"|".join(
        rb"(?P<%s>%s)" % (name.encode(), pattern)
        for name, pattern in (_PATTERNS | {"jwt": _JWT, "hash": _HASH}).items()
    )
)


_STATED = {"at", "count", "hash", "number", "position", "previous"}


def found(data: bytes) -> dict[str, bytes]:
    """The kinds of canary in some bytes, and `jwt` and `hash` (of bcrypt); each with where it is."""
    places: dict[str, bytes] = {}
    for match in _ANY.finditer(data):
        kind = match.lastgroup or ""
        if kind == "jwt" and _is_a_statement(match[0]):
            continue
        places.setdefault(kind, data[max(0, match.start() - 60) : match.end() + 40])
    return places


def _is_a_statement(token: bytes) -> bool:
    """Whether a JWS opens nothing: a checkpoint of the log is meant for everybody's eyes."""
    first = token.split(b".")[0]
    with contextlib.suppress(ValueError, TypeError):
        said = base64.urlsafe_b64decode(first + b"=" * (-len(first) % 4))
        # Where a page of the write-ahead log ends within its header, the payload is what comes first.
        return b"usersd-log-checkpoint+json" in said or set(json.loads(said)) >= _STATED
    return False


def words(kind: Kind, data: bytes) -> set[bytes]:
    """Every canary of a kind that is written out in some bytes."""
    return set(re.findall(_LETTERS[kind].encode() + rb"[0-9a-f]{12}", data))
