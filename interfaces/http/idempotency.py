"""Reads the Idempotency-Key of a request, and marks its command as one that has its effect only once."""

from __future__ import annotations

import re

from msgspec.structs import replace

from application.messages import Context
from domain.errors import Fault, Invalid
from interfaces.http.caller import AnyRequest, bus_of, raw_body

MAX_CHARACTERS = 255

# A string of RFC 8941, or what clients send in its place: a key without quotes.
_QUOTED = re.compile(r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_BARE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+")
_ESCAPE = re.compile(r'\\(["\\])')


async def once(request: AnyRequest, context: Context, *, status: int = 200) -> Context:
    """The context, marked where the request has a key; `status` is what the first one is answered with.

    Raises Invalid where the key is not one.
    """
    if (key := key_of(request)) is None:
        return context
    path = str(request.scope["path"]).encode("utf-8", "surrogateescape")
    asked = (str(request.method).encode(), path, await raw_body(request))
    mark = bus_of(request).ports.repeats.mark
    return replace(context, repeat=mark(context.actor.id, key, asked, status))


def key_of(request: AnyRequest) -> str | None:
    """The key of a request, None where it has none. Raises Invalid where it is not one."""
    return _key(request.headers.getall("idempotency-key", []))


def _key(lines: list[str]) -> str | None:
    if not lines:
        return None
    value = ",".join(lines).strip(" \t")
    if quoted := _QUOTED.fullmatch(value):
        value = _ESCAPE.sub(r"\1", quoted[1])
    elif not _BARE.fullmatch(value):
        value = ""
    if not 1 <= len(value) <= MAX_CHARACTERS:
        raise Invalid(
            Fault(
                "", f"Idempotency-Key takes one string of 1 to {MAX_CHARACTERS} printable ASCII characters."
            )
        )
    return value
