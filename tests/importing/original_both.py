"""The other service's table beside what is here: what people do to either, and following in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from application.following import Followed, FollowWanted, Notice
from application.import_runs import ImportWanted
from application.ports import Recorded
from domain import events
from domain.user import User, fold
from infrastructure.importing.bringing import bring
from infrastructure.importing.following import Follower, open_follower
from infrastructure.importing.originals import Original, source_of
from infrastructure.standing import Keys, open_keys
from tests.importing.original_crowd import Row
from tests.support.databases import ROOT_KEY, standing
from tests.support.truth import read_log
from tests.support.writer import Writer


class Both:
    """The other service's table and what is here."""

    def __init__(self, there: str, here: str) -> None:
        self.there = there
        self.here = here
        self.keys: Keys = open_keys(standing(here))
        self.notices: list[Notice] = []

    async def bring(self) -> None:
        await bring(self.here, self.keys, source_of(self.there, "magistrala"), ImportWanted())

    async def follow(self, *, anew: bool = False) -> Followed:
        """Sweep and look once, as the command does before it is quiet; what came of it."""
        wanted = FollowWanted(dsn=self.there, dialect="magistrala", every=0.01, until_quiet=0.01, anew=anew)
        source = source_of(self.there, "magistrala")
        self.notices = []
        try:
            async with self.follower(source, lambda count: None, asyncio.Event()) as follower:
                await follower.run(wanted)
                return follower.count
        finally:
            source.close()

    def follower(
        self, source: Original, moved: Callable[[Followed], None], ended: asyncio.Event
    ) -> AbstractAsyncContextManager[Follower]:
        return open_follower(source, self.here, self.keys, self.notices.append, moved, ended)

    def change(self, row: Row, **values: Any) -> None:
        """What the other service does at a request: new values, and the time of the change."""
        values = {"updated_at": datetime.now(UTC)} | values
        with psycopg.connect(self.there) as connection:
            sets = ", ".join(f"{name} = %({name})s" for name in values)
            connection.execute(
                f"UPDATE users SET {sets} WHERE id = %(id)s".encode(), values | {"id": row["id"]}
            )

    def remove(self, *rows: Row) -> None:
        with psycopg.connect(self.there) as connection:
            connection.execute("DELETE FROM users WHERE id = ANY(%s)", ([row["id"] for row in rows],))

    async def history(self, row: Row) -> list[Recorded]:
        """Every event of an account here."""
        found = await read_log(self.here, ROOT_KEY)
        return [one for one in found if isinstance(one, Recorded) and str(one.user_id) == row["id"]]

    async def user(self, row: Row) -> User:
        return fold(UUID(row["id"]), [one.event for one in await self.history(row)])

    def hash(self, row: Row) -> str | None:
        with psycopg.connect(self.here) as connection:
            found = connection.execute("SELECT secret_hash FROM credentials WHERE user_id = %s", (row["id"],))
            return found.fetchall()[0][0]  # type: ignore[no-any-return]

    def rehash(self, row: Row, hashed: str) -> None:
        """What a login here does where the hash is not of the cost that is asked for."""
        with psycopg.connect(self.here) as connection:
            connection.execute(
                "UPDATE credentials SET secret_hash = %s WHERE user_id = %s", (hashed, row["id"])
            )

    async def change_here(self, row: Row, event: events.Event) -> None:
        """As a request to this service would."""
        async with Writer(self.here) as writer:
            await writer.append(UUID(row["id"]), event)
