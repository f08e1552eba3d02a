"""How far a reactor has told of the log, and who may move that on: a lease row with a fencing token."""

from __future__ import annotations

import msgspec
import psycopg

LEASE_SECONDS = 15
"""Longer than any call to another service may take: who believes to own the lease while calling, does."""

_ENLIST = "INSERT INTO reactors (name) VALUES (%s) ON CONFLICT DO NOTHING"

_ACQUIRE = """
UPDATE reactors
SET fencing = fencing + (owner IS DISTINCT FROM %(owner)s)::int, owner = %(owner)s,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND (owner = %(owner)s OR lease_until < now())
RETURNING position, fencing"""

_ADVANCE = """
UPDATE reactors
SET position = %(to)s, advanced_at = now(), last_error = NULL,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND fencing = %(fencing)s AND position = %(from)s"""

_NOTE = "UPDATE reactors SET last_error = %s WHERE name = %s AND fencing = %s"

_RELEASE = "UPDATE reactors SET owner = NULL, lease_until = 'epoch' WHERE name = %s AND owner = %s"


class Fenced(Exception):
    """Somebody else owns the reactor now; nothing was written."""


class Lease(msgspec.Struct):
    """What its owner knows: the position, and the token that every write names."""

    name: str
    position: int
    fencing: int


async def acquire(connection: psycopg.AsyncConnection, name: str, owner: str) -> Lease | None:
    """Take or renew the lease; None while somebody else holds it."""
    await connection.execute(_ENLIST, (name,))
    cursor = await connection.execute(_ACQUIRE, {"name": name, "owner": owner, "seconds": LEASE_SECONDS})
    row = await cursor.fetchone()
    return Lease(name, *row) if row else None


async def advance(connection: psycopg.AsyncConnection, lease: Lease, to: int) -> None:
    """Move on, or stay, and keep the lease. Raises Fenced."""
    values = {
        "name": lease.name,
        "fencing": lease.fencing,
        "from": lease.position,
        "to": to,
        "seconds": LEASE_SECONDS,
    }
    moved = await connection.execute(_ADVANCE, values)
    if moved.rowcount != 1:
        raise Fenced
    lease.position = to


async def note(connection: psycopg.AsyncConnection, lease: Lease, fault: str) -> None:
    """Leave word of what keeps the reactor from going on; the next advance takes it away."""
    await connection.execute(_NOTE, (fault, lease.name, lease.fencing))


async def release(connection: psycopg.AsyncConnection, name: str, owner: str) -> None:
    """Let a stand-by take over at once."""
    await connection.execute(_RELEASE, (name, owner))
