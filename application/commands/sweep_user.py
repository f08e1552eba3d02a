"""Erase an account whose grace is over."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from application.changing import change_user
from application.messages import Command, Context, Receipt
from application.ports import Ports, Recorded
from domain.decisions import sweep
from domain.errors import VersionConflict
from domain.events import Event
from domain.user import User, evolve
from domain.values import Status


class SweepUser(Command[Receipt], frozen=True, kw_only=True):
    """Erase an account that has been closed since before a time.

    It is decided on the log itself, so that an account that was restored meanwhile stays; nothing is stored
    then.
    """

    user_id: UUID
    status: Status
    before: datetime


async def handle(command: SweepUser, context: Context, ports: Ports) -> Receipt:
    timeline = await ports.log.timeline(command.user_id)
    closed_at = _since(command.user_id, timeline)

    def decide(user: User) -> list[Event]:
        if user.version != len(timeline):
            raise VersionConflict
        return sweep(user, command.status, closed_at, command.before, by=context.actor, at=context.at)

    return await change_user(command.user_id, decide, context, ports)


def _since(user_id: UUID, timeline: Sequence[Recorded]) -> datetime | None:
    """When the account got the status that it has; an imported one has it here since its import."""
    user, since = User(id=user_id), None
    for recorded in timeline:
        before, user = user, evolve(user, recorded.event)
        if user.status is not before.status or not before.version:
            since = recorded.event.at
    return since
