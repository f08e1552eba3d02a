"""Bends one part of a valid request and leaves the others alone."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any
from uuid import UUID

from tests.fuzz import hostile
from tests.fuzz.canaries import Kind, mint
from tests.fuzz.pool import Pool
from tests.fuzz.requests import Request, write_out
from tests.fuzz.tokens import bent_token

Mutation = Callable[[Request, Pool, random.Random], None]


def method(request: Request, pool: Pool, chance: random.Random) -> None:
    request.method = chance.choice((*hostile.METHODS, mint("secret", chance).encode()))


def path(request: Request, pool: Pool, chance: random.Random) -> None:
    steps = request.path.split(b"/")
    at = chance.randrange(1, len(steps))
    what = chance.randrange(8)
    if what == 0:
        steps.insert(at, chance.choice(hostile.PERCENTED))
    elif what == 1:
        del steps[at]
    elif what == 2:
        steps[at] = steps[at].upper()
    elif what == 3:
        steps[at] += chance.choice(hostile.PERCENTED)
    elif what == 4:
        steps[at] = b"".join(b"%%%02x" % byte for byte in steps[at])
    elif what == 5:
        steps[at] = mint(chance.choice(("secret", "token", "name")), chance).encode()
    elif what == 6:
        steps[at] = str(UUID(int=chance.getrandbits(128))).encode()
    else:
        steps[at] = chance.choice(hostile.PERCENTED)
    request.path = b"/".join(steps) or b"/"


def query(request: Request, pool: Pool, chance: random.Random) -> None:
    known = [name.encode() for name in request.operation.query] or [b"limit", b"x"]
    value = chance.choice(hostile.PERCENTED)
    what = chance.randrange(7)
    if what == 0 and request.query:
        request.query.append(chance.choice(request.query))
    elif what == 1:
        request.query += [(chance.choice(known), b"1")] * chance.choice((2, 99, 101, 3000))
    elif what == 2:
        request.query.append((value, chance.choice(hostile.PERCENTED)))
    elif what == 3 and pool.cursors:
        request.query.append((b"cursor", bent_token(chance.choice(pool.cursors).encode(), chance)))
    elif what == 4:
        kind: Kind = chance.choice(("secret", "token", "mail"))
        request.query.append(
            (chance.choice((b"secret", b"token", *known)), mint(kind, chance).encode() + value)
        )
    else:
        request.query.append((chance.choice(known), value))
    chance.shuffle(request.query)


def header(request: Request, pool: Pool, chance: random.Random) -> None:
    name = chance.choice((*hostile.HEADER_NAMES, *(name.encode() for name in request.operation.headers)))
    value = chance.choice(hostile.HEADER_VALUES)
    what = chance.randrange(8)
    if what == 0 and request.headers:
        request.headers.append(chance.choice(request.headers))
    elif what == 1:
        request.drop(name)
    elif what == 2:
        request.headers += [(b"X-%d" % number, b"x") for number in range(chance.choice((50, 90, 101, 2000)))]
    elif what == 3:
        request.headers.append((b"X-Big", b"b" * chance.choice((8000, 70_000, 500_000))))
    elif what == 4:
        request.headers.append((b"Idempotency-Key", mint("key", chance).encode() + value))
    elif what == 5:
        request.headers.append((b"Cookie", b"session=" + mint("token", chance).encode() + value))
    else:
        if chance.random() < 0.7:
            request.drop(name)
        request.headers.append((name, value))


def authorization(request: Request, pool: Pool, chance: random.Random) -> None:
    account = pool.signed_in(chance)
    token = (account.access if chance.random() < 0.7 else account.refresh).encode()
    schemes = (
        b"Bearer ",
        b"bearer ",
        b"BEARER  ",
        b"Bearer",
        b"Basic ",
        b"",
        b"Bearer \t",
        b"Bearer Bearer ",
    )
    if chance.random() < 0.8:
        request.drop(b"Authorization")
    scheme = b"Bearer " if chance.random() < 0.7 else chance.choice(schemes)
    value = mint("token", chance).encode() if chance.random() < 0.1 else bent_token(token, chance)
    request.headers.append((b"Authorization", scheme + value))


def body_field(request: Request, pool: Pool, chance: random.Random) -> None:
    """One value, key or whole branch of the body, anywhere in it."""
    if not isinstance(request.document, dict) or not request.document:
        return body_bytes(request, pool, chance)
    holder, key, kind = _place(request.document, chance)
    what = chance.randrange(5)
    if what == 0:
        del holder[key]
    elif what == 1:
        holder[chance.choice(hostile.TEXTS)] = hostile.json_value(chance, kind)
    else:
        holder[key] = hostile.json_value(chance, kind)
    request.body = write_out(request.document)
    return None


def _place(document: dict[str, Any], chance: random.Random) -> tuple[dict[str, Any], str, Kind]:
    """An object within the document, one of its keys, and what kind of canary belongs there."""
    holder, kind = document, _kind_of("")
    while True:
        key = chance.choice(sorted(holder))
        kind = kind if kind == "private" else _kind_of(key)
        inner = holder[key]
        if not (isinstance(inner, dict) and inner and chance.random() < 0.6):
            return holder, key, kind
        holder = inner


def _kind_of(key: str) -> Kind:
    if "secret" in key or key == "password":
        return "secret"
    return "private" if key == "private_metadata" else "name"


def body_json(request: Request, pool: Pool, chance: random.Random) -> None:
    """A fragment that is no JSON, or too much of it, in place of a value."""
    if not isinstance(request.document, dict) or not request.document:
        return body_bytes(request, pool, chance)
    key = chance.choice(sorted(request.document))
    before, after = b"{%b: " % write_out(key), write_out({**request.document})[1:]
    value = chance.choice((*hostile.FRAGMENTS, *hostile.NUMBERS))
    if chance.random() < 0.5:
        rest = {name: value for name, value in request.document.items() if name != key}
        after = write_out(rest)[1:] if rest else b"}"
    request.body = before + value + (b", " if len(after) > 1 else b"") + after
    return None


def body_bytes(request: Request, pool: Pool, chance: random.Random) -> None:
    """The body as bytes: cut, in another encoding, followed or preceded by more, empty, or enormous."""
    body = request.body or b"{}"
    choices: tuple[Callable[[], bytes], ...] = (
        lambda: body[: chance.randrange(len(body))],
        lambda: body.decode("latin-1").encode("utf-16"),
        lambda: body.decode("latin-1").encode("utf-32-be"),
        lambda: b"\xef\xbb\xbf" + body,
        lambda: body + b"\x00",
        lambda: body + body,
        lambda: b"",
        lambda: b" " * chance.choice((10, 1_100_000)) + body,
        lambda: b"[" + body + b"]",
        lambda: b'{"x":"' + b"a" * chance.choice((100_000, 1_200_000)) + b'"}',
        lambda: chance.randbytes(chance.randrange(200)),
        lambda: chance.choice(hostile.FRAGMENTS),
    )
    request.body = chance.choice(choices)()


def framing(request: Request, pool: Pool, chance: random.Random) -> None:
    request.framing = b"chunked"


MUTATIONS: dict[str, tuple[Mutation, int]] = {
    "method": (method, 2),
    "path": (path, 4),
    "query": (query, 5),
    "header": (header, 5),
    "authorization": (authorization, 4),
    "a field of the body": (body_field, 6),
    "a fragment in the body": (body_json, 4),
    "the body's bytes": (body_bytes, 3),
    "chunks": (framing, 1),
}
"""Each with how often it is chosen."""


def mutate(request: Request, pool: Pool, chance: random.Random) -> None:
    """Bend one to three parts of a request."""
    names = list(MUTATIONS)
    weights = [weight for _, weight in MUTATIONS.values()]
    for name in chance.choices(names, weights, k=chance.choice((1, 1, 1, 2, 3))):
        MUTATIONS[name][0](request, pool, chance)
        request.changes.append(name)
