"""What a page of the log means for one user: the fold of every read model of users as they are now."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
from msgspec.structs import replace

from application.ports import Recorded
from domain.user import User, evolve
from projections.readmodel import Discarded, Gap


class Gone(msgspec.Struct, frozen=True):
    """The user's data was forgotten; their row goes."""

    id: UUID


def fold_user(user_id: UUID, state: User | None, events: Sequence[Recorded | Discarded]) -> User | Gone:
    """The user after more events; those that the state has already change nothing. Raises Gap."""
    user = state or User(id=user_id)
    for recorded in events:
        if recorded.forgotten:
            return Gone(user_id)
        if isinstance(recorded, Discarded) and user.version:
            user = replace(user, version=max(user.version, recorded.version))
            continue
        if isinstance(recorded, Discarded) or recorded.version > user.version + 1:
            raise Gap
        if recorded.version == user.version + 1:
            user = evolve(user, recorded.event)
    return user if user.exists else Gone(user_id)
