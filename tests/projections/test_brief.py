"""Users whose tags and metadata are too long for an index have their rows and are listed as all others."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from application.listing import Part, UserFilter
from domain.user import User
from projections.users.projector import Users
from projections.users.reader import list_users

TABLE = "users_v1_g1"
AT = datetime(2026, 1, 1, tzinfo=UTC)

DENSE: list[dict[str, Any]] = [
    # What takes little as JSON and much as jsonb, of every length about the limit.
    *({"list": [number % 10] * number} for number in range(20, 1400, 20)),
    *({"list": [[]] * number} for number in range(20, 700, 20)),
    *({str(number): number for number in range(count)} for count in range(10, 200, 10)),
    *({"text": "é" * number} for number in range(100, 1600, 100)),
    *({"list": [1e-300, 123456789012345.6, -1e300] * number} for number in range(1, 100, 5)),
    *({"list": [True, None, ""] * number} for number in range(10, 200, 10)),
]


@pytest.mark.parametrize("write", ["write", "copy"])
async def test_rows_of_every_length_are_taken_listed_and_counted(any_database: str, write: str) -> None:
    users = [
        User(id=uuid4(), version=1, email=f"{uuid4()}@example.com", created_at=AT, metadata=metadata,
             tags=["all", "é" * 100][: 1 + number % 2])
        for number, metadata in enumerate(DENSE)
    ]  # fmt: skip
    users += [
        User(id=uuid4(), version=1, email=f"{uuid4()}@example.com", created_at=AT,
             tags=["all", *(str(number) * 50 for number in range(count))])
        for count in range(1, 60)
    ]  # fmt: skip
    async with await psycopg.AsyncConnection.connect(any_database, autocommit=True) as connection:
        await getattr(Users(), write)(connection, TABLE, users)
        cursor = await connection.execute("SELECT count(*) FILTER (WHERE brief), count(*) FROM users_v1")
        brief, written = await cursor.fetchone() or (0, 0)
        assert written == len(users)
        assert 0 < brief < written
        for filter, expected in (
            (UserFilter(all_tags=("all",)), len(users)),
            (UserFilter(any_tags=("é" * 100, "nobody's")), len(DENSE) // 2),
            (UserFilter(metadata={"text": "é" * 1500}), 1),
            (UserFilter(metadata={"list": []}), sum("list" in metadata for metadata in DENSE)),
        ):
            found = await list_users(connection, filter, Part(limit=1))
            assert (found.total, len(found.users)) == (expected, 1)
