"""Appends what was changed there to an account's history here, so that it is known as followed later on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import uuid4

from application.following import FOLLOWED
from application.messages import Context
from application.ports import Change, EventLog, History, Recorded
from domain.access import OPERATOR
from domain.errors import VersionConflict
from domain.events import Event
from domain.user import User, evolve


async def append(
    log: EventLog, recorded: Sequence[Recorded], follows: Sequence[Event], new_hash: str | None = None
) -> None:
    """Append to a history as it was read. Raises VersionConflict where it went on since."""
    before = await log.load(recorded[0].user_id)
    if before.user.version != recorded[-1].version:
        # What was decided upon is no longer so.
        raise VersionConflict
    await log.append(followed_change(before, follows, new_hash))


def followed_change(before: History, follows: Sequence[Event], secret_hash: str | None) -> Change:
    """The change of an operator by which an account becomes what it is there."""
    after = evolved(before.user, follows)
    context = Context(actor=OPERATOR, at=now(), command_id=uuid4(), correlation_id=FOLLOWED)
    return Change(before=before, after=after, events=follows, context=context, secret_hash=secret_hash)


def evolved(user: User, follows: Sequence[Event]) -> User:
    """What a user is after some events."""
    for event in follows:
        user = evolve(user, event)
    return user


def in_utc(changed: datetime | None) -> datetime:
    """The time of a change there; now where nobody noted one."""
    return changed.replace(tzinfo=UTC) if changed else now()


def now() -> datetime:
    return datetime.now(UTC)
