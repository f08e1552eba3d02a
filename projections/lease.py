"""One owner at a time for each reader of the log: a lease row with a fencing token.

The token grows with every new owner, and every write names it, so that an owner who was believed dead
and wakes up can write nothing.
"""

from __future__ import annotations

import msgspec
import psycopg

from projections.readmodel import ReadModel

LEASE_SECONDS = 5

_ACQUIRE = """
UPDATE projections
SET fencing = fencing + (owner IS DISTINCT FROM %(owner)s)::int, owner = %(owner)s,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND version = %(version)s AND live AND (owner = %(owner)s OR lease_until < now())
RETURNING generation, position, fencing"""

_ADVANCE = """
UPDATE projections
SET position = %(to)s, advanced_at = now(), last_error = NULL,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND version = %(version)s AND generation = %(generation)s AND live
  AND fencing = %(fencing)s AND position = %(from)s"""

_RELEASE = """
UPDATE projections SET owner = NULL, lease_until = '-infinity'
WHERE name = %(name)s AND version = %(version)s AND owner = %(owner)s"""


class Fenced(Exception):
    """Somebody else owns the projection now; nothing was written."""


class Lease(msgspec.Struct):
    """What its owner knows: which generation, how far, and the token that its writes must name."""

    generation: int
    position: int
    fencing: int


async def acquire(connection: psycopg.AsyncConnection, model: ReadModel, owner: str) -> Lease | None:
    """Take or renew the lease; None while somebody else holds it."""
    cursor = await connection.execute(_ACQUIRE, _names(model, owner=owner, seconds=LEASE_SECONDS))
    row = await cursor.fetchone()
    return Lease(*row) if row else None


async def advance(connection: psycopg.AsyncConnection, model: ReadModel, lease: Lease, to: int) -> None:
    """Move the position, within the transaction that writes the rows. Raises Fenced."""
    moved = await connection.execute(
        _ADVANCE,
        _names(
            model,
            generation=lease.generation,
            fencing=lease.fencing,
            seconds=LEASE_SECONDS,
            to=to,
            **{"from": lease.position},
        ),
    )
    if moved.rowcount != 1:
        raise Fenced


async def release(connection: psycopg.AsyncConnection, model: ReadModel, owner: str) -> None:
    """Let a stand-by take over at once."""
    await connection.execute(_RELEASE, _names(model, owner=owner))


def _names(model: ReadModel, **more: object) -> dict[str, object]:
    return {"name": model.name, "version": model.version, **more}
