"""How far a relay has published, and who may move that on: a lease row with a fencing token.

Every write names the token, which grows with every new owner, and the position it starts from: an owner
that was believed dead and wakes up moves nothing.
"""

from __future__ import annotations

import msgspec
import psycopg

LEASE_SECONDS = 5

_ENLIST = "INSERT INTO relays (name) VALUES (%s) ON CONFLICT DO NOTHING"

# A lease that reaches further than any can is one of a clock that was put back since: its owner may be gone.
_ACQUIRE = """
UPDATE relays
SET fencing = fencing + (owner IS DISTINCT FROM %(owner)s)::int, owner = %(owner)s,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND (owner = %(owner)s OR lease_until < now()
       OR lease_until > now() + make_interval(secs => 10 * %(seconds)s))
RETURNING position, last_sequence, fencing"""

_ADVANCE = """
UPDATE relays
SET position = %(to)s, last_sequence = %(sequence)s, advanced_at = now(), last_error = NULL,
    lease_until = now() + make_interval(secs => %(seconds)s)
WHERE name = %(name)s AND fencing = %(fencing)s AND position = %(from)s"""

_NOTE = "UPDATE relays SET last_error = %s WHERE name = %s AND fencing = %s"

_EXCUSE = "UPDATE relays SET last_error = NULL WHERE name = %s AND lease_until < now()"

_RELEASE = "UPDATE relays SET owner = NULL, lease_until = '-infinity' WHERE name = %s AND owner = %s"


class Fenced(Exception):
    """Somebody else owns the relay now; nothing was written."""


class Lease(msgspec.Struct):
    """What its owner knows: how far the log is published, the stream's sequence there, and the token."""

    position: int
    last_sequence: int
    fencing: int


async def enlist(connection: psycopg.AsyncConnection, name: str) -> None:
    """Make the row of a relay that runs for the first time."""
    await connection.execute(_ENLIST, (name,))


async def acquire(connection: psycopg.AsyncConnection, name: str, owner: str) -> Lease | None:
    """Take or renew the lease; None while somebody else holds it."""
    cursor = await connection.execute(
        _ACQUIRE, {"name": name, "owner": owner, "seconds": LEASE_SECONDS}, prepare=True
    )
    row = await cursor.fetchone()
    return Lease(*row) if row else None


async def advance(
    connection: psycopg.AsyncConnection, name: str, lease: Lease, position: int, sequence: int
) -> None:
    """Move on behind acknowledged messages, or to where the stream turned out to be. Raises Fenced."""
    moved = await connection.execute(
        _ADVANCE,
        {
            "name": name,
            "fencing": lease.fencing,
            "from": lease.position,
            "to": position,
            "sequence": sequence,
            "seconds": LEASE_SECONDS,
        },
        prepare=True,
    )
    if moved.rowcount != 1:
        raise Fenced
    lease.position = position
    lease.last_sequence = sequence


async def note(connection: psycopg.AsyncConnection, name: str, lease: Lease, fault: str) -> None:
    """Leave word of what keeps the relay from going on; the next advance takes it away."""
    await connection.execute(_NOTE, (fault, name, lease.fencing))


async def excuse(connection: psycopg.AsyncConnection, name: str) -> None:
    """Take away the word of a relay that publishes no more; one that still does leaves it anew."""
    await connection.execute(_EXCUSE, (name,))


async def release(connection: psycopg.AsyncConnection, name: str, owner: str) -> None:
    """Let a stand-by take over at once."""
    await connection.execute(_RELEASE, (name, owner))
