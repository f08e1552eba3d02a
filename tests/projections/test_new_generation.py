"""A generation that was built, or is read now, is followed from that moment on."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import psycopg
import pytest

from infrastructure.event_store.tail import Tail
from infrastructure.postgres.notifications import EVENTS, GENERATIONS, Notifications, Signal
from projections import projector as module
from projections.projector import Projector
from projections.rebuild import rebuild
from projections.signups.projector import Signups
from tests.projections.projecting import caught_up, one
from tests.support.waiting import eventually
from tests.support.writer import Writer


class NewSignups(Signups):
    """As a later version of the service might know it."""

    version: ClassVar[int] = Signups.version + 1


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


async def test_a_first_generation_is_built_past_events_that_nobody_was_told_of_yet(database: str) -> None:
    async with (
        Writer(database) as writer,
        await psycopg.AsyncConnection.connect(database, autocommit=True) as connection,
    ):
        await writer.register(5)
        # Somebody has just looked, and would for a moment be told again that there is no more.
        tail = Tail(writer.keys.mapper, writer.keys.keyring, Signal(), lambda: 1.0)
        await tail.read(connection, 0, 1000)
        await writer.register(1)
        projecting = asyncio.create_task(Projector(NewSignups(), tail, database, tail.signal).run())

        async def built() -> bool:
            query = "SELECT position FROM projections WHERE live AND name = 'signups' AND version = %s"
            return projecting.done() or one(database, query, NewSignups.version) == 6

        try:
            await eventually(built, 30)
            assert not projecting.done()
        finally:
            projecting.cancel()
            await asyncio.gather(projecting, return_exceptions=True)
