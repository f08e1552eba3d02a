"""Which streams are still to be cleared of a user who is erased: an erasure is done when all of them are."""

from __future__ import annotations

from uuid import UUID

import psycopg

from infrastructure.nats.form import Form, Session

_CLEARED = """
UPDATE erasures SET cleared = array_append(array_remove(cleared, %(relay)s), %(relay)s), cleared_at = CASE
    WHEN NOT EXISTS (SELECT 1 FROM relays r WHERE r.name <> %(relay)s AND r.name <> ALL(cleared))
    THEN coalesce(cleared_at, now()) END
WHERE user_id = %(user_id)s"""

_OWED = """
SELECT e.user_id FROM erasures e JOIN relays r ON r.name = %s
WHERE e.certificate IS NULL AND r.name <> ALL(e.cleared) AND e.position <= %s
ORDER BY e.position"""

EVERYBODY = 2**62


async def cleared(connection: psycopg.AsyncConnection, relay: str, user_id: UUID) -> None:
    """The stream of a relay holds nothing of the user any more."""
    await connection.execute(_CLEARED, {"relay": relay, "user_id": user_id})


async def owed(connection: psycopg.AsyncConnection, relay: str, until: int = EVERYBODY) -> list[UUID]:
    """Users whose erasure waits for a relay's stream, requested up to a position; none where it never ran."""
    cursor = await connection.execute(_OWED, (relay, until))
    return [user_id for (user_id,) in await cursor.fetchall()]


async def clear(session: Session, form: Form, until: int = EVERYBODY) -> None:
    """Forget whoever is owed it in the form's stream. Up to `until` nothing is on its way any more."""
    for user_id in await owed(session.connection, form.name, until):
        await form.forget(session, user_id)
