"""Every table that holds something of a user, and what erasing the user does with it.

A new table with a user's id, or with anything else of theirs, gets a row here; a test compares these rows
with the columns of the database.
"""

from __future__ import annotations

from typing import Literal, LiteralString
from uuid import UUID

import msgspec
import psycopg
from psycopg.sql import SQL, Identifier

What = Literal["rows go", "stays sealed", "stays bare"]


class Eraser(msgspec.Struct, frozen=True, kw_only=True):
    """One table. Rows go by a column, with `only` as a further condition; what stays has a `why`.

    `family` says that the name stands for the generations of a read model: `users` for users_v1_g1 and so on.
    """

    table: str
    what: What = "rows go"
    column: str = "user_id"
    only: LiteralString = ""
    why: str = ""
    family: bool = False


ERASERS: tuple[Eraser, ...] = (
    Eraser(
        table="events",
        what="stays sealed",
        column="stream_id",
        why="what is personal is sealed with the user's key, which is destroyed; the chain stays whole",
    ),
    Eraser(
        table="user_keys",
        what="stays bare",
        why="the row without a key tells a key that was destroyed from one that is missing",
    ),
    Eraser(
        table="credentials",
        what="stays bare",
        why="no hash is left; status and epoch refuse tokens that were issued before",
    ),
    Eraser(table="erasures", what="stays bare", why="the record of the erasure itself: times and counts"),
    Eraser(
        table="relay_messages",
        what="stays bare",
        why="ids and numbers; the relay takes each row with the message that it helps to find",
    ),
    # The marker that there has been an admin holds no name.
    Eraser(table="names", only=" AND kind <> 'first_admin'"),
    Eraser(table="sessions"),
    Eraser(table="idempotency_keys"),
    Eraser(table="followed_accounts"),
    Eraser(table="parked_streams"),
    Eraser(table="projection_differences"),
    Eraser(
        table="discarded_events",
        what="stays bare",
        why="an operator's decision and its reason: which event the read models go on without",
    ),
    Eraser(table="security_log"),
    Eraser(table="revoked_sessions"),
    Eraser(table="throttle"),
    Eraser(table="mails"),
    Eraser(table="link_tokens"),
    Eraser(table="users", column="id", family=True),
    Eraser(table="history", family=True),
    Eraser(table="signups", family=True),
)

NOTHING_OF_A_USER: frozenset[str] = frozenset(
    {
        "clients",
        "keyring",
        "log_checkpoints",
        "projection_parts",
        "projections",
        "reactors",
        "relays",
        "root_key",
        "schedule",
        "schema_migrations",
        "signups_totals",
        "signing_keys",
        "retired_signing_keys",
        "sweeps",
    }
)
"""Tables without a row for anybody."""

GENERATIONS = """
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
  AND relname ~ ('^' || %s::text || '_v[0-9]+_g[0-9]+$')
ORDER BY relname"""


async def remove(connection: psycopg.AsyncConnection, user_id: UUID) -> dict[str, int]:
    """Delete what may not stay of a user, in the caller's transaction; how many rows, by table."""
    removed: dict[str, int] = {}
    for eraser in ERASERS:
        if eraser.what != "rows go":
            continue
        count = 0
        for table in await _tables(connection, eraser):
            where = SQL("DELETE FROM {} WHERE {} = %s").format(Identifier(table), Identifier(eraser.column))
            cursor = await connection.execute(where + SQL(eraser.only), (user_id,))
            count += cursor.rowcount
        removed[eraser.table] = count
    return removed


async def _tables(connection: psycopg.AsyncConnection, eraser: Eraser) -> list[str]:
    if not eraser.family:
        return [eraser.table]
    cursor = await connection.execute(GENERATIONS, (eraser.table,))
    return [name for (name,) in await cursor.fetchall()]
