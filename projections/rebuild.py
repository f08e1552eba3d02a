"""Builds a read model anew from the log beside the live one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

import psycopg
from psycopg.sql import SQL, Identifier

from application.operations import Progress, RebuildRunning, Rebuilt
from application.ports import Recorded, Unreadable
from application.projections import NotProven
from projections import parts, tables
from projections.generation import Generation, head_of, look_at
from projections.others import Others
from projections.pace import Pace
from projections.page import parked
from projections.priority import working
from projections.proof import prove
from projections.readmodel import LogPages, ReadModel
from projections.switch import switch

PAGE = 5000
CLOSE = 500
"""With so few events left, the switch takes the last ones along while it holds the live row."""

WORTH = 20_000
"""With so many events to read, processes of their own for it are worth starting."""

LOOK = 0.1
"""Seconds after which it is asked again whether others are at work."""

SHOWN = 0.5
"""Seconds after which it is looked how far the workers are."""


async def rebuild(
    model: ReadModel,
    pages: LogPages,
    conninfo: str,
    progress: Callable[[Progress], None] = lambda step: None,
    *,
    switching: bool = True,
    anyway: bool = False,
    anew: bool = False,
    workers: parts.Workers | None = None,
    parallel: int | None = None,
    rate: float | None = None,
    gentle: bool = True,
) -> Rebuilt:
    """Grow a new generation from the log, and make it the live one unless told not to.

    Requests are answered from the old generation meanwhile, which goes on following the log afterwards:
    one switch brings it back. Killed, a rebuild is taken up where it was: every page and its position are
    one transaction. `parallel` of `workers` read the log at once, as many as there are cores where nothing
    is said; `rate` limits them, in events per second. What others want of the machine comes first unless
    `gentle` is denied.

    Before the switch the new generation is held against the old one and the log: see `prove`. Unless
    `anyway` is said, one that is not what the log says is kept and not read. `anew` drops what an earlier
    rebuild has left. Raises RebuildRunning, WorkerLost, NotProven.
    """
    async with working(conninfo, gentle=gentle) as connection:
        await _alone(connection, model)
        number = await asyncio.to_thread(_begin, conninfo, model, anew=anew)
        generation = await look_at(connection, model, number)
        work = _Rebuild(generation, pages, connection, conninfo, progress)
        work.workers, work.parallel, work.rate, work.gentle = workers, parallel or cores(), rate, gentle
        if generation.state == "building":
            await work.grow()
        progress(Progress(generation.position, generation.position, "verifying"))
        proof = await prove(conninfo, pages, model, number, gentle=gentle)
        if not (proof.holds or anyway):
            raise NotProven(model.name, number, [found.user_id for found in proof.checked.differences])
        corrected = proof.compared.differing if proof.compared else 0
        if not switching:
            return Rebuilt(
                model.name, number, generation.position, len(generation.waiting), corrected=corrected
            )
        # Everybody waits for the switch: it is no work to come last.
        async with working(conninfo, gentle=False) as prompt:
            switched = await switch(prompt, pages, model, number)
        progress(Progress(switched.position, switched.position, "switched"))
        await asyncio.to_thread(_drop_all_but_the_last, conninfo, model)
        waiting = await parked(connection, model, number)
    return Rebuilt(
        model.name, number, switched.position, len(waiting), switched.milliseconds, corrected=corrected
    )


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _begin(conninfo: str, model: ReadModel, *, anew: bool) -> int:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        if anew:
            tables.drop_unfinished(connection, model)
        return tables.begin(connection, model)


def _drop_all_but_the_last(conninfo: str, model: ReadModel) -> None:
    """One generation is kept to go back to; two would only take up room."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for number in tables.old(connection, model)[1:]:
            tables.drop(connection, model, number)


async def _alone(connection: psycopg.AsyncConnection, model: ReadModel) -> None:
    key = tables.rebuild_lock(model.name, model.version)
    cursor = await connection.execute("SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (key,))
    row = await cursor.fetchone()
    if row is None or not row[0]:
        raise RebuildRunning(model.name)


class _Rebuild:
    def __init__(
        self,
        generation: Generation,
        pages: LogPages,
        connection: psycopg.AsyncConnection,
        conninfo: str,
        progress: Callable[[Progress], None],
    ) -> None:
        self._generation = generation
        self._pages = pages
        self._connection = connection
        self._conninfo = conninfo
        self._progress = progress
        self.workers: parts.Workers | None = None
        self.parallel = 1
        self.rate: float | None = None
        self.gentle = True

    async def grow(self) -> None:
        """Read the log, build the indexes, read what came meanwhile; then a projector takes over."""
        # A flush per page is a waste here: what a crash loses is read again from the position before.
        await self._connection.execute("SET synchronous_commit = off")
        await self._read("reading the log")
        await self._build_indexes()
        await self._read("catching up")
        await self._take_the_rest()
        await self._connection.execute("SET synchronous_commit = on")
        await self._generation.become(self._connection, "following")

    async def _take_the_rest(self) -> None:
        """The last few events as of now too, so that all that can be is verified before the switch."""
        generation, connection = self._generation, self._connection
        head = await head_of(connection)
        while generation.position < head:
            # Up to the head that was just seen: a page without an end may be as of a moment ago.
            page = await self._pages.read(connection, generation.position, PAGE, head)
            async with connection.transaction():
                await generation.apply(connection, page, from_empty=True)

    async def _read(self, stage: str) -> None:
        generation = self._generation
        target = await head_of(self._connection)
        divided = await parts.parts_of(self._connection, generation)
        if not divided and self.workers is not None and target - generation.position >= WORTH:
            divided = await parts.divide(self._connection, generation, self.parallel, target)
        if divided:
            await self._fill(divided, stage)
        await self._catch_up(stage)

    async def _fill(self, divided: Sequence[parts.Part], stage: str) -> None:
        """Have the parts filled up to the end of the log as it was when it was divided."""
        todo = [part for part in divided if part.position < part.target]
        work = asyncio.create_task(self._fill_all(todo))
        try:
            while not work.done():
                await asyncio.wait({work}, timeout=SHOWN)
                done = await parts.reached(self._connection, self._generation)
                self._progress(Progress(done, divided[0].target, stage))
        finally:
            work.cancel()
            await asyncio.wait({work})
        work.result()
        await parts.join(self._connection, self._generation)

    async def _fill_all(self, todo: Sequence[parts.Part]) -> None:
        generation = self._generation
        if self.workers is not None:
            await self.workers.fill(generation, todo, self.rate, gentle=self.gentle)
            return
        for part in todo:
            model, number = generation.model, generation.number
            await parts.fill(self._conninfo, self._pages, model, number, part, self.rate, gentle=self.gentle)

    async def _catch_up(self, stage: str) -> None:
        """Apply pages until few events are left; to wait for none would never end while writes go on."""
        # Without rests for others: who rests while they write may never get there.
        generation, pace = self._generation, Pace(self.rate)
        head = await head_of(self._connection)
        # What the workers have parked counts here too.
        generation.waiting = await parked(self._connection, generation.model, generation.number)
        async with working(self._conninfo, gentle=self.gentle) as ahead:
            coming = self._read_ahead(ahead, generation.position, pace)
            try:
                while head - generation.position > CLOSE and (page := await coming):
                    coming = self._read_ahead(ahead, page[-1].position, pace)
                    await asyncio.sleep(0)
                    async with self._connection.transaction():
                        await generation.apply(self._connection, page, from_empty=True)
                    if head - generation.position <= CLOSE:
                        head = await head_of(self._connection)
                    self._progress(Progress(generation.position, head, stage))
                    await pace.spend(len(page))
            finally:
                coming.cancel()
                await asyncio.gather(coming, return_exceptions=True)

    def _read_ahead(
        self, connection: psycopg.AsyncConnection, after: int, pace: Pace
    ) -> asyncio.Task[Sequence[Recorded | Unreadable]]:
        """The next page, read by the database while this process folds the one before."""
        return asyncio.create_task(self._page(connection, after, pace.page(PAGE)))

    async def _page(
        self, connection: psycopg.AsyncConnection, after: int, limit: int
    ) -> Sequence[Recorded | Unreadable]:
        return await self._pages.read(connection, after, limit)

    async def _build_indexes(self) -> None:
        """Build the indexes. Each keeps a core busy: several at once only while nobody asks for anything."""
        generation, others = self._generation, Others()
        todo = [
            index.replace("CREATE INDEX", "CREATE INDEX IF NOT EXISTS").encode()
            for index in generation.model.indexes(generation.table)
        ]
        done, total = 0, len(todo)

        async def build(number: int) -> None:
            nonlocal done
            async with working(self._conninfo, gentle=self.gentle) as connection:
                await connection.execute("SET maintenance_work_mem = '128MB'")
                await connection.execute("SET max_parallel_maintenance_workers = 0")
                while todo:
                    if number and self.gentle and others.at_work:
                        await asyncio.sleep(LOOK)
                        continue
                    self._progress(Progress(done, total, "building indexes", "indexes"))
                    await connection.execute(todo.pop(0))
                    done += 1

        async with others.watched(self._conninfo):
            await asyncio.gather(*(build(number) for number in range(min(self.parallel, total))))
            if self.gentle and others.at_work:
                await self._connection.execute("SET vacuum_cost_delay = '2ms'")
        # A vacuum too: totals are counted in an index alone where the pages are known to be all visible.
        await self._connection.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier(generation.table)))
        await self._connection.execute("RESET vacuum_cost_delay")
