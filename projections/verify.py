"""Holds a generation against the log: folds users afresh beside it and compares, while writes go on."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, LiteralString
from uuid import UUID

import msgspec
import psycopg
from psycopg import IsolationLevel
from psycopg.sql import SQL, Identifier

from application.projections import Difference, UnknownGeneration
from projections.comparing import (
    LAST,
    SAMPLED,
    Chosen,
    Sample,
    Shape,
    between,
    differing,
    digest,
    disagreeing,
    shapes_of,
)
from projections.generation import Generation, look_at
from projections.page import Aside, Poison, fold_page, write_page
from projections.priority import working
from projections.readmodel import LogPages, ReadModel, table_name

TOTALS = UUID(bytes=b"totals\x80\x00\x80\x00\x00\x00\x00\x00\x00\x00")
"""Stands among those who differ for totals that do not agree with the rows they count. No user's id is of
this version (8 of RFC 9562), and no look at users takes the mark away."""

_USERS: LiteralString = """
SELECT DISTINCT stream_id FROM events WHERE stream_id >= %(start)s {sampled} ORDER BY 1 LIMIT %(limit)s"""

# The key of a forgotten user goes at once, the rows when the read model gets there or when they are emptied.
_BEING_FORGOTTEN = """
SELECT k.user_id FROM user_keys k WHERE k.user_id = ANY(%s) AND k.destroyed_at IS NOT NULL
AND EXISTS (SELECT FROM events e WHERE e.stream_id = k.user_id AND e.position > %s)"""

_AGREE = SQL("""
DELETE FROM projection_differences
WHERE (projection, version, generation) = (%(name)s, %(model_version)s, %(generation)s)
AND (user_id = %(mark)s) = %(of_totals)s AND {chosen}""")

_DIFFER = """
INSERT INTO projection_differences (projection, version, generation, user_id)
SELECT %(name)s, %(model_version)s, %(generation)s, unnest(%(differing)s::uuid[]) ON CONFLICT DO NOTHING"""


class Checked(msgspec.Struct, frozen=True):
    """What became of some users: at which position of the generation, and who differs.

    `last` is the last of them in the order of ids, None where there are none behind them.
    """

    position: int
    users: int
    rows: int
    digest: int
    parked: int
    skipped: int
    differences: Sequence[Difference]
    last: UUID | None = None


class Verifier:
    """Compares one generation with the log; to be had from `verifying`.

    Position, rows, keys and events of each comparison are of one snapshot, and no event behind the position
    is folded: so it is exact whatever is written meanwhile.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection,
        pages: LogPages,
        model: ReadModel,
        number: int,
        shapes: Sequence[Shape],
    ) -> None:
        self._connection = connection
        self._pages = pages
        self._model = model
        self._number = number
        self._shapes = shapes
        self._table = table_name(model, number)
        self._fresh = f"verified_{self._table}"

    async def check_from(self, start: UUID, limit: int, sample: Sample | None = None) -> Checked:
        """The next users from an id on, and who has rows there without events. Raises UnknownGeneration."""
        async with self._snapshot() as generation:
            users = await self._users(start, limit, sample)
            upto = users[-1] if len(users) == limit else LAST
            skipped = await self._being_forgotten(users, generation.position)
            chosen = between(start, upto, sample, skipped)
            checked = await self._check(generation, users, chosen, len(skipped))
        await self._note(between(start, upto, sample), checked.differences)
        return msgspec.structs.replace(checked, last=None if upto == LAST else upto)

    async def check_these(self, users: Sequence[UUID]) -> Checked:
        """Some users. Raises UnknownGeneration."""
        async with self._snapshot() as generation:
            skipped = await self._being_forgotten(users, generation.position)
            names = {"users": [user for user in users if user not in skipped]}
            chosen = Chosen(SQL("{key} = ANY(%(users)s)"), names)
            checked = await self._check(generation, users, chosen, len(skipped))
        await self._note(chosen, checked.differences)
        return checked

    async def disagreements(self) -> list[str]:
        """Places where totals do not agree with the rows they count."""
        async with self._snapshot():
            found = await disagreeing(self._connection, self._model, self._table)
        wrong = [Difference(user_id=TOTALS)] if found else []
        await self._note(Chosen(SQL("{key} = %(mark)s"), {}), wrong, of_totals=True)
        return found

    async def prepare(self) -> None:
        """Make the tables that users are folded into."""
        for shape in self._shapes:
            statement = SQL(
                "CREATE TEMP TABLE IF NOT EXISTS {} (LIKE {} INCLUDING DEFAULTS INCLUDING GENERATED)"
                " ON COMMIT DELETE ROWS"
            )
            names = Identifier(self._fresh + shape.suffix), Identifier(self._table + shape.suffix)
            await self._connection.execute(statement.format(*names))

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[Generation]:
        async with self._connection.transaction():
            yield await _standing(self._connection, self._model, self._number)

    async def _users(self, start: UUID, limit: int, sample: Sample | None) -> list[UUID]:
        sampled = SQL("AND " + SAMPLED).format(key=Identifier("stream_id")) if sample else SQL("")
        names: dict[str, Any] = {"start": start, "limit": limit}
        if sample:
            names |= {"salt": sample.salt, "share": sample.share}
        cursor = await self._connection.execute(SQL(_USERS).format(sampled=sampled), names)
        return [row[0] for row in await cursor.fetchall()]

    async def _being_forgotten(self, users: Sequence[UUID], position: int) -> list[UUID]:
        cursor = await self._connection.execute(_BEING_FORGOTTEN, (list(users), position))
        return [row[0] for row in await cursor.fetchall()]

    async def _check(
        self, generation: Generation, users: Sequence[UUID], chosen: Chosen, skipped: int
    ) -> Checked:
        poison = await self._fold(generation, users, chosen)
        found: dict[UUID, Difference] = {}
        for shape in self._shapes:
            for difference in await differing(
                self._connection, self._model, shape, self._table, self._fresh, chosen
            ):
                found[difference.user_id] = _together(found.get(difference.user_id), difference)
        for stop in poison:
            before = found.get(stop.user_id, Difference(user_id=stop.user_id))
            found[stop.user_id] = msgspec.structs.replace(before, unreadable=stop.position)
        rows, summed = await digest(self._connection, self._model, self._table, chosen)
        return Checked(
            position=generation.position,
            users=len(users) - skipped,
            rows=rows,
            digest=summed,
            parked=sum(user in generation.waiting.waiting for user in users),
            skipped=skipped,
            differences=list(found.values()),
        )

    async def _fold(self, generation: Generation, users: Sequence[UUID], chosen: Chosen) -> Sequence[Poison]:
        """Fold users afresh up to where the generation is, those who are parked up to what stopped them."""
        skipped = set(chosen.names.get("skipped", ()))
        if "users" in chosen.names:
            users = chosen.names["users"]
        wanted = [user for user in users if user not in skipped]
        streams = await self._pages.read_streams(self._connection, wanted)
        ends = {user: position - 1 for user, position in generation.waiting.waiting.items()}
        events = [
            event
            for user, stream in streams.items()
            for event in stream
            if event.position <= min(generation.position, ends.get(user, generation.position))
        ]
        aside = Aside({}, generation.waiting.discarded)
        folded = await fold_page(self._connection, self._model, self._fresh, events, aside, from_empty=True)
        return await write_page(self._connection, self._model, self._fresh, folded)

    async def _note(
        self, chosen: Chosen, differences: Sequence[Difference], *, of_totals: bool = False
    ) -> None:
        """Remember who differs, and forget of those who were looked at who does not."""
        names = {
            **chosen.names,
            "name": self._model.name,
            "model_version": self._model.version,
            "generation": self._number,
            "mark": TOTALS,
            "of_totals": of_totals,
            "differing": [difference.user_id for difference in differences],
        }
        async with self._connection.transaction():
            await self._connection.execute(_AGREE.format(chosen=chosen.of("user_id")), names)
            if differences:
                await self._connection.execute(_DIFFER, names)


@asynccontextmanager
async def verifying(
    conninfo: str, pages: LogPages, model: ReadModel, number: int, *, gentle: bool = True
) -> AsyncIterator[Verifier]:
    """A verifier on a connection of its own. Raises UnknownGeneration."""
    async with working(conninfo, gentle=gentle) as connection:
        await _standing(connection, model, number)
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        shapes = await shapes_of(connection, model, table_name(model, number))
        verifier = Verifier(connection, pages, model, number, shapes)
        await verifier.prepare()
        yield verifier


async def _standing(connection: psycopg.AsyncConnection, model: ReadModel, number: int) -> Generation:
    try:
        generation = await look_at(connection, model, number)
    except LookupError:
        raise UnknownGeneration(model.name, number) from None
    if generation.state == "building":
        raise UnknownGeneration(model.name, number)
    return generation


def _together(one: Difference | None, other: Difference) -> Difference:
    if one is None:
        return other
    return msgspec.structs.replace(
        one,
        missing=one.missing + other.missing,
        extra=one.extra + other.extra,
        different=one.different + other.different,
        columns=list(dict.fromkeys(itertools.chain(one.columns, other.columns))),
    )
