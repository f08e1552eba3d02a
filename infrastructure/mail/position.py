"""How far the log has been read for mails, and who may move that on: a lease row with a fencing token."""

from __future__ import annotations

import msgspec
import psycopg

NAME = "users"
LEASE_SECONDS = 5

_ACQUIRE = """
UPDATE mailers
SET fencing = fencing + (owner IS DISTINCT FROM %(owner)s)::int, owner = %(owner)s,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND (owner = %(owner)s OR lease_until < now())
RETURNING position, fencing"""

_ADVANCE = """
UPDATE mailers
SET position = %(to)s, advanced_at = now(), last_error = NULL,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND fencing = %(fencing)s AND position = %(from)s"""

_NOTE = "UPDATE mailers SET last_error = %s WHERE name = %s AND fencing = %s"

_RELEASE = "UPDATE mailers SET owner = NULL, lease_until = 'epoch' WHERE name = %s AND owner = %s"


class Fenced(Exception):
    """Somebody else reads the log for mails now; nothing was written."""


class Lease(msgspec.Struct):
    """What its owner knows: the position, and the token that every write names."""

    position: int
    fencing: int


async def acquire(connection: psycopg.AsyncConnection, owner: str) -> Lease | None:
    """Take or renew the lease; None while somebody else holds it."""
    cursor = await connection.execute(_ACQUIRE, {"name": NAME, "owner": owner, "seconds": LEASE_SECONDS})
    row = await cursor.fetchone()
    return Lease(*row) if row else None


async def advance(connection: psycopg.AsyncConnection, lease: Lease, to: int) -> None:
    """Move on and keep the lease, within the transaction that writes the mails. Raises Fenced."""
    moved = await connection.execute(
        _ADVANCE,
        {
            "name": NAME,
            "fencing": lease.fencing,
            "from": lease.position,
            "to": to,
            "seconds": LEASE_SECONDS,
        },
    )
    if moved.rowcount != 1:
        raise Fenced


async def note(connection: psycopg.AsyncConnection, lease: Lease, fault: str) -> None:
    """Leave word of what keeps the mailer from going on; the next advance takes it away."""
    await connection.execute(_NOTE, (fault, NAME, lease.fencing))


async def release(connection: psycopg.AsyncConnection, owner: str) -> None:
    """Let a stand-by take over at once."""
    await connection.execute(_RELEASE, (NAME, owner))
