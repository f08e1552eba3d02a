"""Appends against the stock recorder, and registrations against a bare INSERT and COMMIT."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import psycopg
from eventsourcing.persistence import StoredEvent

from application.ports import Change, History
from bench import stock
from bench.ground import Ground, Log, append_all, context, event_log, registration
from bench.measuring import Row, in_turns
from domain.events import ProfileUpdated
from domain.user import evolve
from infrastructure.event_store.prepared import Prepared, prepare

CALLERS = 64
CONNECTIONS = 16
EVENTS = 20_000
STOCK_EVENTS = 2_000
RAW = 6_000

_RAW_TABLES = """
CREATE TABLE raw_events (position bigserial PRIMARY KEY, stream_id uuid NOT NULL,
    version bigint NOT NULL, name text NOT NULL, state bytea NOT NULL, prev_hash bytea,
    hash bytea NOT NULL, UNIQUE (stream_id, version));
CREATE TABLE raw_names (kind text, digest bytea, user_id uuid NOT NULL, PRIMARY KEY (kind, digest));
CREATE INDEX ON raw_names (user_id);
CREATE TABLE raw_credentials (user_id uuid PRIMARY KEY, secret_hash text, epoch bigint NOT NULL,
    status text NOT NULL, role text NOT NULL, verified boolean NOT NULL);
CREATE TABLE raw_keys (user_id uuid PRIMARY KEY, epoch int NOT NULL, wrapped bytea,
    destroyed_at timestamptz)"""


async def measure(ground: Ground) -> list[Row]:
    """Both rows."""
    with ground.databases.fresh() as conninfo:
        async with event_log(conninfo) as log:
            return [await _plain(log), await _registrations(log)]


async def _plain(log: Log) -> Row:
    """One event on a stream that is there, from 64 callers at once."""
    users = [registration(10_000_000 + number) for number in range(EVENTS)]
    await append_all(log.log, users, 256)
    heads = [user.after for user in users]
    keys = {user_id: (await log.log.load(user_id)).key for user_id in (head.id for head in heads)}

    async def ours() -> float:
        changes: list[Change] = []
        for number, head in enumerate(heads):
            event = ProfileUpdated(at=users[0].context.at, first_name=f"Ada {number}", metadata={"a": number})
            after = evolve(head, event)
            before = History(user=head, key=keys[head.id])
            changes.append(Change(before=before, after=after, events=[event], context=context(event.at)))
            heads[number] = after
        return await append_all(log.log, changes, CALLERS)

    def stock_events() -> list[StoredEvent]:
        prepared = [prepare(user, log.keys.mapper, log.keys.keyring) for user in users[:STOCK_EVENTS]]
        return [
            StoredEvent(uuid4(), 1, event.topic, event.state) for item in prepared for event in item.events
        ]

    async def limit() -> float:
        return await asyncio.to_thread(stock.appends, log.standing.conninfo, stock_events(), CALLERS)

    return await in_turns(
        f"appends, {CALLERS} concurrent callers", "stock eventsourcing recorder", ours, limit, aim=15
    )


async def _registrations(log: Log) -> Row:
    """A registration with two names, a key and credentials, from 64 callers at once."""
    with psycopg.connect(log.standing.conninfo, autocommit=True) as connection:
        connection.execute(_RAW_TABLES)
    numbers = iter(range(20_000_000, 40_000_000))

    async def ours() -> float:
        return await append_all(log.log, [registration(next(numbers)) for _ in range(EVENTS)], CALLERS)

    async def limit() -> float:
        changes = [registration(next(numbers)) for _ in range(RAW)]
        prepared = [prepare(change, log.keys.mapper, log.keys.keyring) for change in changes]
        return await asyncio.to_thread(_raw, log.standing.conninfo, prepared)

    return await in_turns(
        f"registrations with two keys, {CALLERS} concurrent",
        f"raw INSERT + COMMIT, {CONNECTIONS} connections",
        ours,
        limit,
        aim=1.5,
    )


def _raw(conninfo: str, prepared: Sequence[Prepared]) -> float:
    """The same rows, inserted in a transaction each, by as many threads as connections."""
    shares = [prepared[number::CONNECTIONS] for number in range(CONNECTIONS)]
    connections = [psycopg.connect(conninfo) for _ in range(CONNECTIONS)]
    try:
        with ThreadPoolExecutor(CONNECTIONS) as threads:
            started = time.perf_counter()
            list(threads.map(_insert, connections, shares))
            return len(prepared) / (time.perf_counter() - started)
    finally:
        for connection in connections:
            connection.close()


def _insert(connection: psycopg.Connection, prepared: Sequence[Prepared]) -> None:
    for item in prepared:
        event, credentials, key = item.events[0], item.credentials, item.new_key
        assert credentials is not None
        assert key is not None
        with connection.cursor() as cursor:
            rows: list[tuple[str, tuple[Any, ...]]] = [
                (
                    "INSERT INTO raw_events (stream_id, version, name, state, hash)"
                    " VALUES (%b, %b, %b, %b, %b)",
                    (item.stream_id, 1, event.topic, event.state, event.state[:32]),
                ),
                *(
                    ("INSERT INTO raw_names VALUES (%b, %b, %b)", (name.kind, name.digest, item.stream_id))
                    for name in item.names
                ),
                (
                    "INSERT INTO raw_credentials VALUES (%b, %b, %b, %b, %b, %b)",
                    (item.stream_id, credentials.secret_hash, 1, "enabled", "user", False),
                ),
                ("INSERT INTO raw_keys VALUES (%b, %b, %b)", (item.stream_id, key.epoch, key.wrapped)),
            ]
            for query, values in rows:
                cursor.execute(query.encode(), values, prepare=True)
        connection.commit()
