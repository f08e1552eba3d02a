"""A generation that was built, or is read now, is followed from that moment on."""

from __future__ import annotations

import asyncio

import pytest

from infrastructure.postgres.notifications import EVENTS, GENERATIONS, Notifications
from projections import projector as module
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.signups.projector import Signups
from tests.projections.projecting import caught_up, one
from tests.support.waiting import eventually
from tests.support.writer import Writer


async def test_projectors_are_told_of_a_generation_and_need_not_look_for_it(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOKS_EVERY", 600.0)
    async with Writer(database) as writer, Notifications(database, EVENTS, GENERATIONS) as told:
        await writer.register(2)
        projecting = Projector(
            Signups(), writer.reader, database, told.signals[EVENTS], generations=told.signals[GENERATIONS]
        )
        running = asyncio.create_task(projecting.run())
        try:
            await caught_up(database, name="signups")
            await rebuild(Signups(), writer.reader, database)
            await writer.register(3)

            async def followed() -> bool:
                found = one(database, "SELECT position FROM projections WHERE live AND name = 'signups'")
                return bool(found == 5)

            await eventually(followed, 30)
            assert one(database, "SELECT generation FROM projections WHERE live AND name = 'signups'") == 2
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
