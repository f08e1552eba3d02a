"""Projectors in the test's own event loop, and what they have made of the log."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
import psycopg

from infrastructure.postgres.notifications import Signal
from projections.catalogue import READ_MODELS
from projections.projector import Projector
from projections.readmodel import ReadModel
from projections.rebuild import rebuild
from tests.support.databases import ROOT_KEY
from tests.support.service import Client
from tests.support.truth import check_history, check_users, read_log
from tests.support.waiting import eventually
from tests.support.writer import Writer


@asynccontextmanager
async def projecting(writer: Writer, *models: ReadModel) -> AsyncIterator[list[Projector]]:
    """Projectors of the named read models, or of all."""
    projectors = [
        Projector(model, writer.reader, writer.conninfo, Signal()) for model in models or READ_MODELS
    ]
    tasks = [asyncio.create_task(projector.run()) for projector in projectors]
    try:
        yield projectors
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


def one(conninfo: str, query: str, *parameters: object) -> Any:
    """The first column of a query's first row."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None


def rows(conninfo: str, query: str) -> Sequence[tuple[Any, ...]]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


async def caught_up(conninfo: str, within: float = 10.0, name: str = "%") -> None:
    """Until the live read models have reached the end of the log."""

    async def there() -> bool:
        query = (
            "SELECT min(position) = (SELECT max(position) FROM events) FROM projections"
            " WHERE live AND name LIKE %s"
        )
        return one(conninfo, query, name) is True

    await eventually(there, within)


async def check_read_models(conninfo: str) -> None:
    """Both read models are what the log says."""
    log = await read_log(conninfo, ROOT_KEY)
    with psycopg.connect(conninfo, autocommit=True) as connection:
        check_users(connection, log)
        check_history(connection, log)


async def several_rebuilds(writer: Writer) -> None:
    """Rebuild every read model three times."""
    for model in READ_MODELS * 3:
        await rebuild(model, writer.reader, writer.conninfo)


async def registered(client: Client) -> httpx.Response:
    """The answer to a registration."""
    answer = await client.http.post("/users", json=client.account())
    assert answer.status_code == 201, answer.text
    return answer
