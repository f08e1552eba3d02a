"""One owner at a time for each reader of the log: a lease row with a fencing token.

The token grows with every new owner, and every write names it, so that an owner who was believed dead
and wakes up can write nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec
import psycopg

from projections.readmodel import ReadModel, Statement

LEASE_SECONDS = 3

# A lease that reaches further than any can is one of a clock that was put back since: its owner may be gone.
_ACQUIRE = """
UPDATE projections
SET fencing = fencing + (owner IS DISTINCT FROM %(owner)s)::int, owner = %(owner)s,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND version = %(version)s AND generation = %(generation)s
  AND state <> 'building' AND paused_at IS NULL AND (owner = %(owner)s OR lease_until < now()
       OR lease_until > now() + make_interval(secs => 10 * %(seconds)s))
RETURNING generation, position, fencing"""

_ADVANCE = "SELECT advance_projection(%s, %s, %s, %s, %s, %s, make_interval(secs => %s))"

# What is written beside the SELECT runs after it: the lease's row is locked before any other, as everywhere.
_ADVANCE_WITH = b"WITH written AS (%s\n) %s"

_ANNOUNCE = "SELECT pg_notify('usersd_projections', %s)"

_FENCED = "UF001"

_RELEASE = """
UPDATE projections SET owner = NULL, lease_until = '-infinity'
WHERE name = %(name)s AND version = %(version)s AND generation = %(generation)s AND owner = %(owner)s"""


class Fenced(Exception):
    """Somebody else owns the projection now; nothing was written."""


class Lease(msgspec.Struct):
    """What its owner knows: which generation, how far, and the token that its writes must name."""

    generation: int
    position: int
    fencing: int


async def acquire(
    connection: psycopg.AsyncConnection, model: ReadModel, generation: int, owner: str
) -> Lease | None:
    """Take or renew the lease of a generation; None while it is paused or somebody else holds it."""
    names = _names(model, generation=generation, owner=owner, seconds=LEASE_SECONDS)
    row = await (await connection.execute(_ACQUIRE, names)).fetchone()
    return Lease(*row) if row else None


async def advance(connection: psycopg.AsyncConnection, model: ReadModel, lease: Lease, to: int) -> None:
    """Move the position, within the transaction that writes the rows, and tell whoever waits for it.

    Where somebody else owns the projection by now, the database refuses: see `is_fenced`.
    """
    await connection.execute(_ADVANCE, _place(model, lease, to), prepare=True)


async def advance_with(
    connection: psycopg.AsyncConnection, model: ReadModel, lease: Lease, to: int, written: Statement
) -> None:
    """Move the position and write the rows in one statement, which is a transaction of its own.

    It is sent whole or not at all, so that no owner can stand still in the middle of it.
    """
    words, values = written
    both = _ADVANCE_WITH % (words, _ADVANCE.encode())
    await connection.execute(both, [*values, *_place(model, lease, to)], prepare=True)


async def announce(connection: psycopg.AsyncConnection, model: ReadModel, reached: int) -> None:
    """Tell whoever waits for a position, when the transaction commits; `advance` does so by itself."""
    await connection.execute(_ANNOUNCE, (f"{model.name}:{model.version}:{reached}",))


def is_fenced(error: psycopg.Error) -> bool:
    """Whether a transaction was refused because it named a token or a position that is no longer so."""
    return error.sqlstate == _FENCED


async def release(connection: psycopg.AsyncConnection, model: ReadModel, generation: int, owner: str) -> None:
    """Let a stand-by take over at once."""
    await connection.execute(_RELEASE, _names(model, generation=generation, owner=owner))


def _place(model: ReadModel, lease: Lease, to: int) -> tuple[Any, ...]:
    return model.name, model.version, lease.generation, lease.fencing, lease.position, to, LEASE_SECONDS


def _names(model: ReadModel, **more: object) -> dict[str, object]:
    return {"name": model.name, "version": model.version, **more}
