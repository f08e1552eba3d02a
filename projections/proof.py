"""Shows that a generation is what it should be: against the log, or against another one before a switch."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from uuid import UUID

import msgspec
import psycopg
from psycopg import IsolationLevel
from psycopg.sql import SQL, Identifier

from application.projections import Difference, Step, Stepped, UnknownGeneration, Verification
from projections.comparing import (
    FIRST,
    LAST,
    Sample,
    behind,
    between,
    differing,
    digest,
    disagreeing,
    shapes_of,
)
from projections.generation import Generation, look_at
from projections.priority import working
from projections.readmodel import LogPages, ReadModel, table_name
from projections.verify import Checked, Verifier, verifying

RANGE = 500
"""Users who are folded in one snapshot."""

WIDE = 10_000
"""Users whose rows are compared with one another in one snapshot."""

TRIED = 2000
"""How many users of a new generation are folded afresh before it is read, besides all who differ."""

LISTED = 1000
"""So many differences are told in full."""

_LIVE = "SELECT generation FROM projections WHERE name = %s AND version = %s AND live"

_COUNT = "SELECT count(*) FROM events WHERE version = 1"

_END = SQL("SELECT DISTINCT {key} FROM {table} WHERE {key} >= %s ORDER BY 1 OFFSET %s LIMIT 1")

# Between two positions nobody else's rows can have changed; whoever is parked in one of them may lag behind.
_AHEAD = """
SELECT user_id FROM parked_streams
WHERE projection = %(name)s AND version = %(version)s AND generation = ANY(%(generations)s)
UNION SELECT stream_id FROM events WHERE position > %(behind)s AND position <= %(ahead)s"""


class Proof(msgspec.Struct, frozen=True):
    """What came out before a switch: who differs between old and new, and between the new one and the log."""

    compared: Verification | None
    checked: Verification

    @property
    def holds(self) -> bool:
        return self.checked.holds


async def live(connection: psycopg.AsyncConnection, model: ReadModel) -> int | None:
    """The generation that is read; None while there is none."""
    row = await (await connection.execute(_LIVE, (model.name, model.version))).fetchone()
    return int(row[0]) if row else None


async def verify(
    conninfo: str,
    pages: LogPages,
    model: ReadModel,
    number: int,
    *,
    share: float = 1.0,
    step: Step = lambda stepped: None,
) -> Verification:
    """Fold all users afresh, or a share of them chosen at random, and compare. Raises UnknownGeneration."""
    sample = None if share >= 1 else Sample(max(1, round(share * 65536)), secrets.randbits(62))
    tally = _Tally(model, number, "log")
    async with verifying(conninfo, pages, model, number) as verifier:
        total = await _number_of_users(conninfo, share)
        start: UUID | None = FIRST
        while start is not None:
            checked = await verifier.check_from(start, RANGE, sample)
            tally.add(checked)
            step(Stepped(min(tally.users, total), total, len(tally.differences)))
            start = checked.last and behind(checked.last)
        return tally.result(await verifier.disagreements())


async def prove(
    conninfo: str, pages: LogPages, model: ReadModel, number: int, *, gentle: bool = True
) -> Proof:
    """Compare a new generation with the live one, and with the log whoever differs and some who do not.

    Where two generations that were built apart agree about a user, both are right; where they do not, the
    log says which of them is. Raises UnknownGeneration.
    """
    compared: Verification | None = None
    suspects: list[UUID] = []
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        old = await live(connection, model)
    if old is not None and old != number:
        compared, suspects = await compare(conninfo, model, number, old, gentle=gentle)
    tally = _Tally(model, number, "log")
    async with verifying(conninfo, pages, model, number, gentle=gentle) as verifier:
        for first in range(0, len(suspects), RANGE):
            tally.add(await verifier.check_these(suspects[first : first + RANGE]))
        await _try_some(verifier, tally, await _number_of_users(conninfo, 1.0))
        return Proof(compared, tally.result(await verifier.disagreements()))


async def compare(
    conninfo: str, model: ReadModel, number: int, other: int, *, gentle: bool = True
) -> tuple[Verification, list[UUID]]:
    """Row counts and hashes of two generations by ranges of ids; in ranges that differ, who differs.

    Whoever has events between the two positions may differ by lag alone, and is not counted; the list has
    everybody whose rows are not the same for whatever reason. Totals are held against the rows of their own
    generation: where those agree with one another, so do they. Raises UnknownGeneration.
    """
    tally, suspects = _Tally(model, number, str(other)), []
    table, old_table = table_name(model, number), table_name(model, other)
    async with working(conninfo, gentle=gentle) as connection:
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        start: UUID | None = FIRST
        while start is not None:
            async with connection.transaction():
                new, old = await _both(connection, model, number, other)
                upto, checked, ahead = await _range(connection, new, old, table, old_table, start)
            tally.add(checked)
            suspects += [difference.user_id for difference in checked.differences] + ahead
            start = None if upto == LAST else behind(upto)
        places: list[str] = []
        async with connection.transaction():
            for one in await _both(connection, model, number, other):
                # What is being built counts its rows when all of them are there.
                if one.state != "building":
                    found = await disagreeing(connection, model, one.table)
                    places += [f"{place} in generation {one.number}" for place in found]
    return tally.result(places), suspects


async def _range(
    connection: psycopg.AsyncConnection,
    new: Generation,
    old: Generation,
    table: str,
    old_table: str,
    start: UUID,
) -> tuple[UUID, Checked, list[UUID]]:
    model = new.model
    statement = _END.format(key=Identifier(model.key), table=Identifier(table))
    row = await (await connection.execute(statement, (start, WIDE - 1))).fetchone()
    upto = row[0] if row else LAST
    chosen = between(start, upto, None)
    found: list[Difference] = []
    rows, summed = await digest(connection, model, table, chosen)
    for shape in await shapes_of(connection, model, table):
        sides = [await digest(connection, model, name + shape.suffix, chosen) for name in (table, old_table)]
        if sides[0] != sides[1]:
            found += await differing(connection, model, shape, table, old_table, chosen)
    ahead = await _ahead(connection, new, old) if found else set()
    lagging = [difference.user_id for difference in found if difference.user_id in ahead]
    checked = Checked(
        position=new.position,
        users=0,
        rows=rows,
        digest=summed,
        parked=0,
        skipped=len(lagging),
        differences=[difference for difference in found if difference.user_id not in ahead],
    )
    return upto, checked, lagging


async def _both(
    connection: psycopg.AsyncConnection, model: ReadModel, number: int, other: int
) -> tuple[Generation, Generation]:
    found = []
    for one in (number, other):
        try:
            found.append(await look_at(connection, model, one))
        except LookupError:
            raise UnknownGeneration(model.name, one) from None
    return found[0], found[1]


async def _ahead(connection: psycopg.AsyncConnection, new: Generation, old: Generation) -> set[UUID]:
    behind, ahead = sorted((new.position, old.position))
    names = {
        "name": new.model.name, "version": new.model.version, "generations": [new.number, old.number],
        "behind": behind, "ahead": ahead,
    }  # fmt: skip
    cursor = await connection.execute(_AHEAD, names)
    return {row[0] for row in await cursor.fetchall()}


async def _try_some(verifier: Verifier, tally: _Tally, total: int) -> None:
    """Fold a sample that is spread over all users, whatever their ids."""
    share = min(1.0, TRIED / max(total, 1))
    sample = None if share >= 1 else Sample(max(1, round(share * 65536)), secrets.randbits(62))
    start: UUID | None = FIRST
    while start is not None:
        checked = await verifier.check_from(start, RANGE, sample)
        tally.add(checked)
        start = checked.last and behind(checked.last)


async def _number_of_users(conninfo: str, share: float) -> int:
    async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as connection:
        row = await (await connection.execute(_COUNT)).fetchone()
    return round(row[0] * min(share, 1.0)) if row else 0


class _Tally:
    """Adds up what ranges of users have shown."""

    def __init__(self, model: ReadModel, number: int, against: str) -> None:
        self._model = model
        self._number = number
        self._against = against
        self._began = time.monotonic()
        self._position = 0
        self._rows = 0
        self._digest = 0
        self._parked = 0
        self._skipped = 0
        self.users = 0
        self.differences: dict[UUID, Difference] = {}

    def add(self, checked: Checked) -> None:
        self._position = checked.position
        self._rows += checked.rows
        self._digest += checked.digest
        self._parked += checked.parked
        self._skipped += checked.skipped
        self.users += checked.users
        self.differences.update((difference.user_id, difference) for difference in checked.differences)

    def result(self, disagreements: Sequence[str]) -> Verification:
        return Verification(
            name=self._model.name,
            generation=self._number,
            against=self._against,
            position=self._position,
            users=self.users,
            rows=self._rows,
            digest=f"{self._digest % 2**64:016x}",
            parked=self._parked,
            skipped=self._skipped,
            differing=len(self.differences),
            seconds=round(time.monotonic() - self._began, 3),
            disagreements=list(disagreements)[:LISTED],
            differences=list(self.differences.values())[:LISTED],
        )
