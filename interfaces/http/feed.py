"""Writes the feed of users as lines of JSON, for as long as its caller may read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from time import monotonic
from typing import Annotated

import msgspec

from application.queries.view_feed import Feed, may_follow
from domain.errors import Refusal
from interfaces.http.caller import AnyRequest
from interfaces.http.oauth import reader

NDJSON = "application/x-ndjson"

ASKED_AGAIN = 1.0
"""Seconds after which a caller has to be believed anew: a feed may take longer than a right lasts."""


class FeedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where the feed begins."""

    after: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^$|^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
            description="Go on behind this user: the id of the last one that came before a feed broke off.",
        ),
    ] = ""


async def feed_lines(request: AnyRequest, feed: Feed) -> AsyncIterator[bytes]:
    """The lines, several at a time. A feed that is cut short ends with the reason, and without `complete`."""
    yield b'{"position":%d}\n' % feed.position
    believed, count = monotonic(), 0
    try:
        async for page in feed.pages:
            if monotonic() - believed > ASKED_AGAIN:
                may_follow((await reader(request)).actor)
                believed = monotonic()
            count += len(page)
            yield b"".join([b'{"version":%d,"user":%b}\n' % (user.version, user.document) for user in page])
    except Refusal as refusal:
        words = {"complete": False, "code": refusal.code, "message": refusal.text}
        yield msgspec.json.encode(words) + b"\n"
        return
    yield b'{"complete":true,"users":%d}\n' % count
