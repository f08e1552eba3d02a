"""Show every user to a program that keeps a copy of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

import msgspec

from application.documents import without_private
from application.messages import Context, Query
from application.ports import Ports, WalkedUser
from domain.access import Actor, require_scope
from domain.errors import Unavailable

SCOPE = "follow_feed"

VISIBLE_WITHIN = 5.0
"""Seconds for which a feed waits until the read model is where the log was when it was asked for."""


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """The position of the log that the whole feed is at or beyond, and the users, a page at a time."""

    position: int
    pages: AsyncIterator[Sequence[WalkedUser]]


class ViewFeed(Query[Feed], frozen=True, kw_only=True):
    """Every user, as a stream of lines, for admins and service accounts with the scope `follow_feed`.

    Each line is a JSON object: first `position`, then one line per user with `version` and `user`, in the
    order of their ids, last `complete`. Whoever remembers where the stream of messages ends, then reads the
    feed, then follows the messages from there on, has every user, with no gap: each row is at `position` or
    beyond, and `version` tells which messages it holds already. A feed that breaks off goes on with `after`,
    the id of the last user that came; the first `position` stays the one to count from.
    """

    after: UUID | None = None


def may_follow(actor: Actor) -> None:
    """Raises AdminOnly."""
    require_scope(actor, SCOPE)


async def handle(query: ViewFeed, context: Context, ports: Ports) -> Feed:
    """Why nothing is missing, and nothing is there twice unnoticed.

    Let P be where the log ends now. The walk begins when the read model has reached P, and rows only ever
    move on: whatever row it meets, and whenever, holds all of its user's events up to P. So a user's events
    are either in the row, or after P. Whoever knew, before asking, where the stream ended, knows a place
    before which every message is of an event at P or earlier; from there on no message after P is missing.
    Those that a row holds already have a `streamversion` not above the row's. A user without a row was
    either registered after P, and all of their messages are still to come, or is erased.

    The rows of parked streams are the exception, since the read model went past them: they are folded from
    the log instead.
    """
    may_follow(context.actor)
    position = await ports.log.head()
    if not await ports.visibility.wait(position, VISIBLE_WITHIN):
        raise Unavailable("The read model is behind the log; a feed begins when it has caught up.")
    return Feed(position=position, pages=_pages(query.after, position, ports))


async def _pages(after: UUID | None, position: int, ports: Ports) -> AsyncIterator[Sequence[WalkedUser]]:
    async for page in ports.directory.walk(after, position):
        users = [user._replace(document=without_private(user.document)) for user in page.users]
        if page.parked:
            users = await _with_parked(users, page.parked, ports)
        if users:
            yield users


async def _with_parked(users: Sequence[WalkedUser], parked: Sequence[UUID], ports: Ports) -> list[WalkedUser]:
    """Raises HistoryUnreadable."""
    found = {user.id: user for user in users}
    for user_id in parked:
        user = (await ports.log.load(user_id)).user
        found.pop(user_id, None)
        if user.exists:
            document = without_private(ports.directory.render(user).document)
            found[user_id] = WalkedUser(user_id, user.version, document)
    return [found[user_id] for user_id in sorted(found)]
