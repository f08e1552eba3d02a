"""Answers a page of a list, and opens and seals the cursor that leads from one page to the next."""

from __future__ import annotations

import msgspec

from application.listing import Part, UserFilter
from application.messages import Context, Page
from application.ports import Freshness, Ports


class Paging(msgspec.Struct, frozen=True, kw_only=True):
    """Which page a caller wants: at an offset, or where a cursor leads; an empty one leads to the first.

    Who pages by cursor is told whether the total is exact; who pages by offset, where it always is, is not.
    """

    limit: int = 10
    offset: int = 0
    cursor: str | None = None
    only_total: bool = False


def freshness_of(context: Context) -> Freshness:
    """What a caller is owed."""
    return Freshness(position=context.position, caller=context.actor.id)


async def page_of(
    ports: Ports, filter: UserFilter, paging: Paging, context: Context, *, cards: bool = False
) -> Page:
    """A page with the cursor of the next one. Raises Invalid for a cursor of another list."""
    bound_to = msgspec.json.encode([filter, cards], order="sorted")
    after = ports.cursors.open(paging.cursor, bound_to) if paging.cursor else None
    by_cursor = paging.cursor is not None
    part = Part(
        limit=paging.limit,
        offset=paging.offset,
        after=after,
        only_total=paging.only_total,
        capped=by_cursor,
    )
    found = await ports.directory.list(filter, part, cards=cards, freshness=freshness_of(context))
    return Page(
        users=found.users,
        total=found.total,
        limit=paging.limit,
        offset=paging.offset,
        next=ports.cursors.seal(found.next, bound_to) if found.next else "",
        total_relation=("eq" if found.exact else "gte") if by_cursor else None,
        position=found.position,
    )
