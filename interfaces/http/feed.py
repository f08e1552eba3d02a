"""Writes the feed of users as lines of JSON, for as long as its caller may read it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from time import monotonic
from typing import Annotated
from weakref import WeakSet

import msgspec

from application.queries.view_feed import Feed, may_follow
from domain.errors import Refusal, Unavailable
from interfaces.http.caller import AnyRequest
from interfaces.http.oauth import reader

NDJSON = "application/x-ndjson"

ASKED_AGAIN = 1.0
"""Seconds after which a caller has to be believed anew: a feed may take longer than a right lasts."""


MOST = 200
"""Feeds that are written at once: one whose reader does not read holds a page or two, a megabyte of users."""


class _Place:
    """Of one feed among those that are written: given back at its end, or where nobody ever reads it."""


_taken: WeakSet[_Place] = WeakSet()


class FeedQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Where the feed begins."""

    after: Annotated[
        str,
        msgspec.Meta(
            pattern=r"^$|^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$",
            description="Go on behind this user: the id of the last one that came before a feed broke off.",
        ),
    ] = ""


def feed_lines(request: AnyRequest, feed: Feed) -> AsyncIterator[bytes]:
    """The lines, several at a time. A feed that is cut short ends with the reason, and without `complete`.

    Raises Unavailable.
    """
    if len(_taken) >= MOST:
        raise Unavailable(
            "Too many feeds are read at the moment; one of them has to end first.", retry_after=5
        )
    place = _Place()
    _taken.add(place)
    return _lines(request, feed, place)


async def _lines(request: AnyRequest, feed: Feed, place: _Place) -> AsyncIterator[bytes]:
    believed, count = monotonic(), 0
    try:
        yield b'{"position":%d}\n' % feed.position
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
    finally:
        _taken.discard(place)
    yield b'{"complete":true,"users":%d}\n' % count
