"""What signed checkpoints cost the append: the same appends with and without a checkpointer beside them."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from application.ports import Change, History
from bench.ground import Ground, Log, append_all, context, event_log, registration
from bench.measuring import Row, in_turns, say
from domain.events import ProfileUpdated
from domain.user import evolve
from infrastructure.integrity.checkpoint import key_of
from infrastructure.integrity.checkpointer import Checkpointer
from infrastructure.integrity.file import CheckpointFile

CALLERS = 64
EVENTS = 20_000
ROUNDS = 7
LOOK = 0.5
"""Seconds between two checkpoints, each over all that came since: ten times as often as a service looks."""


async def measure(ground: Ground) -> list[Row]:
    with ground.databases.fresh() as conninfo, tempfile.TemporaryDirectory() as folder:
        async with event_log(conninfo) as log:
            return [await _appends(log, CheckpointFile(Path(folder) / "checkpoints.jws"))]


async def _appends(log: Log, file: CheckpointFile) -> Row:
    users = [registration(50_000_000 + number) for number in range(EVENTS)]
    await append_all(log.log, users, 256)
    heads = [user.after for user in users]
    keys = {head.id: (await log.log.load(head.id)).key for head in heads}

    async def without() -> float:
        changes: list[Change] = []
        for number, head in enumerate(heads):
            event = ProfileUpdated(at=users[0].context.at, first_name=f"Ada {number}", metadata={"a": number})
            after = evolve(head, event)
            before = History(user=head, key=keys[head.id])
            changes.append(Change(before=before, after=after, events=[event], context=context(event.at)))
            heads[number] = after
        return await append_all(log.log, changes, CALLERS)

    async def beside() -> float:
        async with _checkpointing(log, file):
            return await without()

    row = await in_turns(
        f"appends with a checkpoint each {LOOK:g} s, {CALLERS} callers", "the same without checkpoints",
        beside, without, aim=0.9, rounds=ROUNDS,
    )  # fmt: skip
    say(f"  {sum(1 for _ in file.newest_first())} checkpoints were signed meanwhile")
    return row


@asynccontextmanager
async def _checkpointing(log: Log, file: CheckpointFile) -> AsyncIterator[None]:
    """A checkpointer in the same process, as in a service; what came before is covered already."""
    takes = Checkpointer(
        log.standing.direct, key_of(log.keys.keyring), file, events=1, interval=timedelta(days=1), look=LOOK
    )
    await takes.step(now=True)
    task = asyncio.create_task(takes.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
