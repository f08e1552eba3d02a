"""Words for given, when, then: users made from their history, actors, and times."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from domain import events
from domain.access import Actor
from domain.events import Event
from domain.user import User, fold
from domain.values import Role

ADA = UUID(int=1)
BOB = UUID(int=2)
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
ONE = datetime(2026, 3, 1, 13, 0, tzinfo=UTC)

BY_ADA = Actor("user", ADA, Role.USER, "access")
BY_BOB = Actor("user", BOB, Role.USER, "access")
BY_ADMIN = Actor("user", BOB, Role.ADMIN, "access")
BY_ADA_ADMIN = Actor("user", ADA, Role.ADMIN, "access")


def registered(**changes: Any) -> events.Registered:
    fields: dict[str, Any] = {
        "at": NOON,
        "email": "ada@example.com",
        "username": "ada",
        "first_name": "Ada",
        "tags": ["mathematics"],
        "metadata": {"born": 1815},
    }
    return events.Registered(**fields | changes)


def given(*history: Event) -> User:
    """The user of this history, or a registered one."""
    return fold(ADA, history or (registered(),))


def disabled() -> Event:
    return events.Disabled(at=NOON)


def deleted() -> Event:
    return events.Deleted(at=NOON)
