"""The rows of mails: put there with the position of the log, claimed for a while, marked when done."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec
import psycopg

from infrastructure.mail.kinds import MailKind

CLAIMED_FOR = timedelta(seconds=90)
"""After which a claimed mail may be taken over: longer than any try can last."""

KEPT_FOR = timedelta(days=7)
"""How long a row stays after its mail is done, for whoever wants to know what became of it."""

_TIDIED_AT_ONCE = 1000

_ENQUEUE = """
INSERT INTO mails (id, user_id, kind, event_id, position, due_at, created_at)
SELECT id, user_id, kind, event_id, position, at, at
FROM unnest(%b::uuid[], %b::uuid[], %b::text[], %b::uuid[], %b::int8[], %b::timestamptz[])
     AS new (id, user_id, kind, event_id, position, at)
ON CONFLICT (id) DO NOTHING"""

_EXPECT = """
INSERT INTO link_tokens AS t (user_id, kind, event_id, token_hash) VALUES (%s, %s, %s, %s)
ON CONFLICT (user_id, kind) DO UPDATE
SET event_id = excluded.event_id, token_hash = excluded.token_hash, expires_at = NULL
WHERE t.event_id <> excluded.event_id"""

_CLAIM = """
UPDATE mails SET attempts = attempts + 1, due_at = %(until)s
WHERE id = (SELECT id FROM mails WHERE state = 'due' AND due_at <= %(now)s
            ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING id, user_id, kind, event_id, position, attempts, created_at"""

_SENT = """
UPDATE mails SET state = 'sent', handed_over_at = %s, last_error = NULL WHERE id = %s AND state = 'due'"""

_AGAIN = """
UPDATE mails SET due_at = %s, last_error = %s WHERE id = %s AND state = 'due' AND attempts = %s"""

_DROPPED = """
UPDATE mails SET state = 'dropped', last_error = %s WHERE id = %s AND state = 'due' AND attempts = %s"""

_LIVES = "UPDATE link_tokens SET expires_at = %s WHERE user_id = %s AND event_id = %s"

_TIDY_MAILS = """
DELETE FROM mails WHERE id IN (
    SELECT id FROM mails WHERE state <> 'due' AND created_at < %s ORDER BY created_at LIMIT %s)"""

_TIDY_TOKENS = """
DELETE FROM link_tokens WHERE (user_id, kind) IN (
    SELECT user_id, kind FROM link_tokens WHERE expires_at < %s LIMIT %s)"""


class NewMail(msgspec.Struct, frozen=True, kw_only=True):
    """A mail that follows from an event; the hash of its token, where it holds a link."""

    user_id: UUID
    kind: MailKind
    event_id: UUID
    position: int
    at: datetime
    token_hash: bytes | None = None

    @property
    def id(self) -> UUID:
        return uuid5(self.event_id, self.kind)


class Claimed(msgspec.Struct, frozen=True):
    """A mail that this process has for a while; `attempts` counts its tries and fences a late one."""

    id: UUID
    user_id: UUID
    kind: MailKind
    event_id: UUID
    position: int
    attempts: int
    created_at: datetime


async def enqueue(connection: psycopg.AsyncConnection, mails: Sequence[NewMail]) -> None:
    """Put mails there, in the transaction that moves the position past their events."""
    rows = [(mail.id, mail.user_id, mail.kind, mail.event_id, mail.position, mail.at) for mail in mails]
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    await connection.execute(_ENQUEUE, columns)
    for mail in mails:
        if mail.token_hash is not None:
            await connection.execute(_EXPECT, (mail.user_id, mail.kind, mail.event_id, mail.token_hash))


async def claim(connection: psycopg.AsyncConnection, now: datetime) -> Claimed | None:
    """The mail that has been due the longest, for as long as a try may last; None where none is due."""
    row = await (await connection.execute(_CLAIM, {"now": now, "until": now + CLAIMED_FOR})).fetchone()
    return Claimed(*row) if row else None


async def live_until(connection: psycopg.AsyncConnection, mail: Claimed, until: datetime) -> None:
    """Let the token of a mail be worth something until then."""
    await connection.execute(_LIVES, (until, mail.user_id, mail.event_id))


async def mark_sent(connection: psycopg.AsyncConnection, mail: Claimed, now: datetime) -> None:
    """The server has the mail, whoever has claimed it meanwhile."""
    await connection.execute(_SENT, (now, mail.id))


async def try_again(connection: psycopg.AsyncConnection, mail: Claimed, due: datetime, fault: str) -> None:
    await connection.execute(_AGAIN, (due, fault, mail.id, mail.attempts))


async def drop(connection: psycopg.AsyncConnection, mail: Claimed, fault: str) -> bool:
    """Give a mail up; whether it was still this process's to give up."""
    return (await connection.execute(_DROPPED, (fault, mail.id, mail.attempts))).rowcount == 1


async def forget(connection: psycopg.AsyncConnection, user_id: UUID) -> None:
    """Delete the rows of a user who was erased; they were put there while that was going on."""
    await connection.execute("DELETE FROM mails WHERE user_id = %s", (user_id,))
    await connection.execute("DELETE FROM link_tokens WHERE user_id = %s", (user_id,))


async def tidy(connection: psycopg.AsyncConnection, now: datetime) -> int:
    """Delete a bounded number of rows that nobody needs any more; how many there were."""
    mails = await connection.execute(_TIDY_MAILS, (now - KEPT_FOR, _TIDIED_AT_ONCE))
    tokens = await connection.execute(_TIDY_TOKENS, (now - KEPT_FOR, _TIDIED_AT_ONCE))
    return mails.rowcount + tokens.rowcount
