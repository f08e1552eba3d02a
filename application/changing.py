"""Load, decide, append: what every command on an existing user has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from application.messages import Context, Receipt
from application.ports import Change, History, Ports
from domain.errors import Conflict, NotFound, Stale, VersionConflict
from domain.events import Event
from domain.user import User, evolve

Versions = frozenset[int] | None
"""The versions that an If-Match allows; None where there is no such condition."""


async def change_user(
    user_id: UUID,
    decide: Callable[[User], Sequence[Event]],
    context: Context,
    ports: Ports,
    *,
    if_match: Versions = None,
    secret_hash: str | None = None,
    carries_session: bool = False,
) -> Receipt:
    """Decide on the present state of a user and append what follows.

    Where that ends the sessions of the user, the one behind a change of one's own may be carried over.
    Raises Stale where `if_match` does not name the present version, be it before the decision or
    because another change came first; the refusals of `decide`; and those of the append.
    """
    before = await ports.log.load(user_id)
    stale = if_match is not None and before.user.version not in if_match
    try:
        events = decide(before.user)
    except Conflict:
        # What the caller decided on is gone; that comes before what is wrong with the decision.
        if stale:
            raise Stale from None
        raise
    if not before.user.exists:
        raise NotFound
    if stale:
        raise Stale
    try:
        carried = context.session if carries_session and context.actor.id == user_id else None
        return await append(before, events, context, ports, secret_hash=secret_hash, carried_session=carried)
    except VersionConflict:
        if if_match is not None:
            raise Stale from None
        raise


async def append(
    before: History,
    events: Sequence[Event],
    context: Context,
    ports: Ports,
    *,
    secret_hash: str | None = None,
    first_admin: bool = False,
    carried_session: UUID | None = None,
) -> Receipt:
    """Append events to a user's stream; no events, no append."""
    after = before.user
    for event in events:
        after = evolve(after, event)
    position = before.position
    if events:
        position = await ports.log.append(
            Change(
                before=before,
                after=after,
                events=events,
                context=context,
                secret_hash=secret_hash,
                first_admin=first_admin,
                carried_session=carried_session,
            )
        )
    return Receipt(
        user_id=after.id, version=after.version, position=position, stored=bool(events), after=after
    )
