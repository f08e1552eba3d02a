"""Statements that were planned on empty tables go on using the indexes when the tables are full."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
from msgspec.structs import replace

from infrastructure.accounts.lookup import PostgresAccounts
from infrastructure.event_store.appender import Appender
from infrastructure.event_store.log import PostgresEventLog, stream_reads
from infrastructure.event_store.prepared import RepeatRow
from infrastructure.event_store.repeats import PostgresRepeats
from tests.event_store.writing import Writer
from tests.support.memory import NOON
from tests.support.waiting import eventually

FILL = """
INSERT INTO events
SELECT coalesce((SELECT max(position) FROM events), 0) + n, gen_random_uuid(), 1, 'users.tags_changed.v1',
       decode(repeat('00', 100), 'hex'), NULL, '\\x00'
FROM generate_series(1, 50000) n;
INSERT INTO names
SELECT 'email', uuid_send(gen_random_uuid()), gen_random_uuid() FROM generate_series(1, 50000);
INSERT INTO credentials
SELECT gen_random_uuid(), NULL, 1, 'enabled', 'user', false FROM generate_series(1, 50000);
INSERT INTO user_keys SELECT gen_random_uuid(), 1, '\\x00' FROM generate_series(1, 50000);
INSERT INTO idempotency_keys
SELECT uuid_send(gen_random_uuid()), '\\x00', 200, n, gen_random_uuid(), now() + interval '1 day'
FROM generate_series(1, 50000) n"""

SCANS = """
SELECT relname, seq_scan FROM pg_stat_user_tables
WHERE relname IN ('events', 'names', 'credentials', 'user_keys', 'idempotency_keys') ORDER BY 1"""


async def test_nothing_is_scanned_whole_after_fifty_thousand_events(
    any_database: str, writer: Writer
) -> None:
    async with await psycopg.AsyncConnection.connect(any_database, autocommit=True) as watching:
        streams = stream_reads(any_database)
        accounts = PostgresAccounts(any_database, writer.keys, _no_pool())
        repeats = PostgresRepeats(any_database, writer.keys)
        async with Appender(any_database) as appender:
            log = PostgresEventLog(streams, appender, writer.mapper, writer.keys, any_database)
            for number in range(10):
                await _live(log, appender, accounts, repeats, writer, f"early{number}")
            # Statistics that say "a handful of rows": the worst that a plan can be made on and kept.
            await watching.execute("ANALYZE")
            for number in range(10):
                await _live(log, appender, accounts, repeats, writer, f"planned{number}")
            await watching.execute(FILL.encode())
            for number in range(30):
                await _live(log, appender, accounts, repeats, writer, f"late{number}")
        await streams.close()
        await accounts.close()
        await repeats.close()
        # A backend that ends hands in what it has counted.
        await eventually(lambda: _alone(watching))
        scans: dict[str, int] = dict(await (await watching.execute(SCANS)).fetchall())
    assert scans == {"events": 0, "names": 0, "credentials": 0, "user_keys": 0, "idempotency_keys": 0}


async def _live(
    log: PostgresEventLog,
    appender: Appender,
    accounts: PostgresAccounts,
    repeats: PostgresRepeats,
    writer: Writer,
    name: str,
) -> None:
    user = writer.register(name)
    repeat = repeats.mark(None, name, (), 201)
    row = RepeatRow(repeat.digest, repeat.request, repeat.status, NOON, NOON + timedelta(days=1))
    assert (await appender.append(replace(user, repeat=row))).outcome == "stored"
    assert (await repeats.find(repeat, NOON)) is not None
    assert (await appender.append(writer.email(user.stream_id, f"{name}.new"))).outcome == "stored"
    assert (await appender.append(writer.disable(user.stream_id))).outcome == "stored"
    assert (await log.load(user.stream_id)).user.version == 3
    assert (await accounts.find(f"{name}.new@example.com")) is not None
    assert (await accounts.of(user.stream_id)) is not None


async def _alone(connection: psycopg.AsyncConnection) -> bool:
    query = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
               AND backend_type = 'client backend'"""
    row = await (await connection.execute(query)).fetchone()
    return row == (1,)


def _no_pool() -> Any:
    return None
