"""Projectors fold pages of any size into the very rows that the log describes."""

from __future__ import annotations

import psycopg
import pytest

from domain import events
from projections import follower
from projections.catalogue import READ_MODELS
from projections.page import Aside, fold_page, write_page
from projections.readmodel import ReadModel, table_name
from tests.projections.projecting import caught_up, check_read_models, one, projecting, rows
from tests.support.writer import AT, Writer


@pytest.mark.parametrize(("seed", "page"), [(1, 1), (2, 7), (3, 64), (4, 1000)])
async def test_whatever_the_history_and_the_page_the_rows_are_what_the_log_says(
    writer: Writer, monkeypatch: pytest.MonkeyPatch, seed: int, page: int
) -> None:
    monkeypatch.setattr(follower, "PAGE", page)
    users = await writer.random_history(seed, users=25, events_each=6)
    async with projecting(writer):
        await caught_up(writer.conninfo, 30)
        await check_read_models(writer.conninfo)
        for user in users[:5]:
            writer.forget(user)
            writer.by_hand(user, "users.erasure_requested.v1", version=await head_of(writer, user) + 1)
        await writer.rename(users[6], 3)
        await caught_up(writer.conninfo, 30)
        await check_read_models(writer.conninfo)
        assert one(writer.conninfo, "SELECT count(*) FROM users_v1") == 20
        assert one(writer.conninfo, "SELECT count(*) FROM parked_streams") == 0


async def head_of(writer: Writer, user: object) -> int:
    return int(one(writer.conninfo, "SELECT max(version) FROM events WHERE stream_id = %s", user))


@pytest.mark.parametrize("model", READ_MODELS, ids=lambda model: model.name)
async def test_a_page_that_is_applied_again_changes_nothing(writer: Writer, model: ReadModel) -> None:
    await writer.random_history(5, users=10, events_each=6)
    async with projecting(writer):
        await caught_up(writer.conninfo)
    # With xmin, so that a row rewritten with what it held already counts as changed.
    query = f"SELECT xmin::text, t::text FROM {table_name(model, 1)} AS t ORDER BY 2"
    before = rows(writer.conninfo, query)
    async with await psycopg.AsyncConnection.connect(writer.conninfo, autocommit=True) as connection:
        log = await writer.reader.read(connection, 0, 10_000)
        for first in range(0, len(log), 13):
            table = table_name(model, 1)
            folded = await fold_page(connection, model, table, log[first : first + 29], Aside())
            assert not await write_page(connection, model, table, folded)
    assert rows(writer.conninfo, query) == before


async def test_an_account_that_was_registered_and_erased_in_one_page_leaves_nothing(writer: Writer) -> None:
    (gone,) = await writer.register()
    await writer.register()
    await writer.append(gone, events.Deleted(at=AT), events.ErasureRequested(at=AT))
    writer.forget(gone)
    async with projecting(writer):
        await caught_up(writer.conninfo)
        await check_read_models(writer.conninfo)
    assert one(writer.conninfo, "SELECT count(*) FROM users_v1") == 1
    assert one(writer.conninfo, "SELECT count(*) FROM history_v1") == 1
