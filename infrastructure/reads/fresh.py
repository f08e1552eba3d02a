"""Answers from the replica what it may answer, and never with less than the caller is owed.

Owed is the position that the request asks for; what the same caller was told by this process before; and,
where no position is asked for, wherever the primary's read models stand at that moment, so that whoever has
written sees it through any process. A replica that is behind is waited for a moment, then the primary is
asked.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar
from uuid import UUID

import psycopg

from application.ports import Freshness
from domain.errors import Fault, Invalid, Unavailable
from infrastructure.postgres.lending import Connection
from infrastructure.postgres.reads import PointReads
from infrastructure.postgres.replica import Replica
from projections.history.projector import History
from projections.readmodel import view_name
from projections.signups.projector import Signups
from projections.users.projector import Users

T = TypeVar("T")

LISTED: Final = (view_name(Users()), view_name(Signups()))
"""A list shows the users of the one and counts with the totals of the other."""

TIMELINE: Final = (view_name(History()),)

CATCH_UP = 0.1
"""Seconds for which a request waits for a replica that is behind."""

REACHED_WITHIN = 2.0
"""Seconds for which it waits for the primary's read models, where it asks for a position."""

LOOK_AGAIN = 0.01
REMEMBERED = 10_000
"""So many callers are known by what they were told; one that is forgotten is still owed what it asks for."""

_LOG = "log"

_STANDING = """
SELECT name || '_v' || version, position FROM projections
WHERE live AND name || '_v' || version = ANY(%b::text[])
UNION ALL
SELECT 'log', coalesce(max(position), 0) FROM events"""

Positions = dict[str, int]
Read = Callable[[Any], Awaitable[T]]
Primary = Callable[[], AbstractAsyncContextManager[psycopg.AsyncConnection]]


class FreshReads:
    """Reads of read models; `always` says that the replica may answer those who ask for no position."""

    def __init__(self, conninfo: str, primary: Primary, replica: Replica | None, *, always: bool) -> None:
        self._standing: PointReads[str, int] = PointReads(conninfo, _STANDING, _by_name)
        self._primary = primary
        self._replica = replica
        self._always = always
        self._told: OrderedDict[UUID, Positions] = OrderedDict()

    async def read(self, models: Sequence[str], freshness: Freshness, work: Read[T]) -> tuple[T, int | None]:
        """What `work` answers, and the position that it holds; None where nobody has asked for one.

        Raises Unavailable where the position that is asked for is not reached in time, and Invalid where
        the log does not reach that far.
        """
        asked = freshness.position
        if self._replica is not None and (asked is not None or self._always):
            if found := await self._of_replica(self._replica, models, freshness, work):
                return self._answer(freshness, *found)
        elif asked is None:
            async with self._primary() as connection:
                return await work(connection), None
        if asked is not None:
            await self._until_reached(models, asked)
        async with self._primary() as connection:
            result = await work(connection)
        # Read afterwards: the answer holds no more than that.
        return self._answer(freshness, result, await self._positions(models))

    async def of_replica(self, work: Read[T | None]) -> T | None:
        """What the replica answers to a read that checks by itself how far it is; None: ask the primary."""
        return await self._replica.ask(work) if self._replica is not None and self._always else None

    async def close(self) -> None:
        await self._standing.close()

    async def _of_replica(
        self, replica: Replica, models: Sequence[str], freshness: Freshness, work: Read[T]
    ) -> tuple[T, Positions] | None:
        floor = await self._owed(models, freshness)
        until = time.monotonic() + CATCH_UP

        async def look(connection: Connection) -> tuple[T, Positions] | None:
            while True:
                async with connection.transaction():
                    here = await _positions_of(connection, models)
                    if all(here.get(name, 0) >= floor[name] for name in models):
                        return await work(connection), {name: here[name] for name in models}
                if time.monotonic() > until:
                    return None
                await asyncio.sleep(LOOK_AGAIN)

        return await replica.ask(look)

    async def _owed(self, models: Sequence[str], freshness: Freshness) -> Positions:
        told = self._told.get(freshness.caller, {}) if freshness.caller else {}
        asked = freshness.position
        least = dict.fromkeys(models, asked) if asked is not None else await self._positions(models)
        return {name: max(least[name], told.get(name, 0)) for name in models}

    def _answer(self, freshness: Freshness, result: T, positions: Positions) -> tuple[T, int]:
        if (caller := freshness.caller) is not None and self._replica is not None:
            told = self._told.setdefault(caller, {})
            self._told.move_to_end(caller)
            told.update({name: max(position, told.get(name, 0)) for name, position in positions.items()})
            if len(self._told) > REMEMBERED:
                self._told.popitem(last=False)
        return result, min(positions.values())

    async def _positions(self, models: Sequence[str]) -> Positions:
        found = await asyncio.gather(*(self._standing.get(name) for name in models))
        return {name: position or 0 for name, position in zip(models, found, strict=True)}

    async def _until_reached(self, models: Sequence[str], position: int) -> None:
        until = time.monotonic() + REACHED_WITHIN
        while min((await self._positions(models)).values()) < position:
            if (await self._standing.get(_LOG) or 0) < position:
                raise Invalid(
                    Fault(
                        "",
                        "Usersd-Position is beyond the end of the log: it comes from another service, or "
                        "this one was put back to an earlier state.",
                    )
                )
            if time.monotonic() > until:
                raise Unavailable("What this is answered from has not reached Usersd-Position yet.")
            await asyncio.sleep(LOOK_AGAIN)


async def _positions_of(connection: psycopg.AsyncConnection, models: Sequence[str]) -> Positions:
    cursor = await connection.execute(_STANDING, (list(models),), binary=True)
    return dict(_by_name(await cursor.fetchall()))


def _by_name(rows: Sequence[tuple[Any, ...]]) -> Iterable[tuple[str, int]]:
    return ((name, position) for name, position in rows)
