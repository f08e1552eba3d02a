"""The eventsourcing library as it comes, to be measured against: its Postgres recorder."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
from eventsourcing.persistence import StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict


def datastore(conninfo: str, pool_size: int = 16) -> PostgresDatastore:
    """The library's datastore on a database of ours."""
    parts = conninfo_to_dict(conninfo)
    return PostgresDatastore(
        dbname=str(parts["dbname"]),
        host=str(parts["host"]),
        port=str(parts.get("port") or 5432),
        user=str(parts["user"]),
        password="",
        pool_size=pool_size,
        max_overflow=0,
    )


def appends(conninfo: str, events: Sequence[StoredEvent], callers: int) -> float:
    """Store events one by one from so many threads with the stock recorder; events per second."""
    store = datastore(conninfo)
    try:
        recorder = PostgresApplicationRecorder(store, events_table_name="stock_events")
        recorder.create_table()
        with ThreadPoolExecutor(callers) as threads:
            list(threads.map(lambda event: recorder.insert_events([event]), events[:callers]))
            started = time.perf_counter()
            list(threads.map(lambda event: recorder.insert_events([event]), events[callers:]))
            return (len(events) - callers) / (time.perf_counter() - started)
    finally:
        store.close()
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS stock_events")
