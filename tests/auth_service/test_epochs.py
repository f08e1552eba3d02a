"""The epoch of a token that carries none: told from its time and the log."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from application.ports import Recorded
from domain import events
from domain.access import SYSTEM
from domain.values import Role
from infrastructure.auth_service.epochs import epoch_at

ADA = UUID(int=1)
NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def history(*happened: events.Event) -> list[Recorded]:
    begun = events.Registered(at=NOON, email="ada@example.com")
    return [
        Recorded(
            position=version,
            user_id=ADA,
            version=version,
            name=event.stored_name,
            event=event,
            event_id=ADA,
            actor=SYSTEM,
            command_id=ADA,
            correlation_id=ADA,
        )
        for version, event in enumerate((begun, *happened), 1)
    ]


@pytest.mark.parametrize(
    ("after", "epoch"), [(0.0, 1), (9.0, 1), (10.0, 1), (11.0, 2), (20.0, 2), (21.0, 3), (99.0, 3)]
)
def test_a_token_is_of_the_epoch_that_its_second_began_in(after: float, epoch: int) -> None:
    timeline = history(
        events.SecretChanged(at=NOON + timedelta(seconds=10.5)),
        events.Disabled(at=NOON + timedelta(seconds=20.5)),
        events.Enabled(at=NOON + timedelta(seconds=30)),
    )
    assert epoch_at(timeline, NOON.timestamp() + after) == epoch


def test_what_ends_no_session_raises_nothing() -> None:
    timeline = history(
        events.RoleChanged(at=NOON + SECOND, role=Role.ADMIN),
        events.TagsChanged(at=NOON + SECOND, tags=["x"]),
        events.RoleChanged(at=NOON + 5 * SECOND, role=Role.USER),
    )
    assert epoch_at(timeline, NOON.timestamp() + 2) == 1
    assert epoch_at(timeline, NOON.timestamp() + 5) == 2
