"""Keeps the read model `history`: one row per event, worded for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import ClassVar, LiteralString
from uuid import UUID

import msgspec
import psycopg
from psycopg.sql import SQL, Identifier

from application.ports import Recorded
from application.timeline import By, HistoryEntry
from projections.readmodel import Discarded, Gap, Statement
from projections.rows import worded

_INSERT: LiteralString = """
INSERT INTO {} SELECT * FROM unnest(%b::uuid[], %b::int8[], %b::bytea[])
ON CONFLICT (user_id, version) DO NOTHING"""

_LAST = SQL("""
SELECT asked.id, (SELECT max(t.version) FROM {} AS t WHERE t.user_id = asked.id)
FROM unnest(%b::uuid[]) AS asked (id)""")

_COPY = SQL("COPY {} FROM STDIN (FORMAT BINARY)")

_DELETE = SQL("DELETE FROM {} WHERE user_id = ANY(%b::uuid[])")


class Timeline(msgspec.Struct, frozen=True):
    """What a page adds to one user's timeline; no entries: the user was forgotten."""

    user_id: UUID
    entries: Sequence[tuple[int, bytes]]


class History:
    """The read model behind `GET /users/{id}/history`."""

    name: ClassVar[str] = "history"
    version: ClassVar[int] = 1
    key: ClassVar[str] = "user_id"
    also: ClassVar[Sequence[str]] = ()

    def table(self, name: str) -> str:
        return files("projections.history").joinpath("table.sql").read_text("utf-8").format(table=name)

    def indexes(self, name: str) -> Sequence[str]:
        return ()

    async def load(
        self,
        connection: psycopg.AsyncConnection,
        table: str,
        events: Mapping[UUID, Sequence[Recorded | Discarded]],
    ) -> Mapping[UUID, int]:
        known = [user_id for user_id, of_user in events.items() if of_user[0].version > 1]
        if not known:
            return {}
        cursor = await connection.execute(
            _LAST.format(Identifier(table)), (known,), prepare=True, binary=True
        )
        return dict(await cursor.fetchall())

    def fold(self, user_id: UUID, state: int | None, events: Sequence[Recorded | Discarded]) -> Timeline:
        if any(recorded.forgotten for recorded in events):
            return Timeline(user_id, ())
        last = state or 0
        for recorded in events:
            if recorded.version > last + 1 and not isinstance(recorded, Discarded):
                raise Gap
            last = max(last, recorded.version)
        return Timeline(user_id, [(recorded.version, render(recorded)) for recorded in events])

    async def write(
        self, connection: psycopg.AsyncConnection, table: str, changes: Sequence[Timeline]
    ) -> None:
        gone = [line.user_id for line in changes if not line.entries]
        if insert := _insert(table, changes):
            await connection.execute(*insert, prepare=True)
        if gone:
            await connection.execute(_DELETE.format(Identifier(table)), (gone,))

    def statement(self, table: str, changes: Sequence[Timeline]) -> Statement | None:
        return _insert(table, changes) if all(line.entries for line in changes) else None

    async def copy(
        self, connection: psycopg.AsyncConnection, table: str, changes: Sequence[Timeline]
    ) -> None:
        copy = connection.cursor().copy(_COPY.format(Identifier(table)))
        async with copy as rows:
            rows.set_types(("uuid", "int8", "bytea"))
            for line in changes:
                for version, entry in line.entries:
                    await rows.write_row((line.user_id, version, entry))

    def disagreement(self, table: str) -> str:
        return ""


def _insert(table: str, changes: Sequence[Timeline]) -> Statement | None:
    rows = [(line.user_id, version, entry) for line in changes for version, entry in line.entries]
    return (worded(_INSERT, table), [list(column) for column in zip(*rows, strict=True)]) if rows else None


def render(recorded: Recorded | Discarded) -> bytes:
    """An event as a line of a timeline: `users.email_changed.v1` becomes `email_changed`."""
    if isinstance(recorded, Discarded):
        return msgspec.json.encode(
            HistoryEntry(
                version=recorded.version,
                position=recorded.position,
                at=recorded.at,
                event="discarded",
                by=By("operator"),
                data={"event": recorded.name},
            )
        )
    fields = msgspec.to_builtins(recorded.event)
    for name in ("at", "by"):
        fields.pop(name, None)
    return msgspec.json.encode(
        HistoryEntry(
            version=recorded.version,
            position=recorded.position,
            at=recorded.event.at,
            event=recorded.name.split(".")[1],
            by=By(recorded.actor.kind, recorded.actor.id),
            data=fields,
            request_id=recorded.request_id,
        )
    )
