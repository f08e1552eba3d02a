"""Brings everything into line with a log that was restored from a backup, and records that it was done.

Each step can be done again, and the record comes last: killed, it is begun anew and finds what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import psycopg
from nats.aio.client import Client

from application.integrity import Accepted, NotNow, RestoreView
from infrastructure.integrity import stream
from infrastructure.integrity.announcing import NatsAnnouncer
from infrastructure.integrity.checkpoint import Restored, Signed, following, key_of, signed
from infrastructure.integrity.checkpointer import LogDisagrees, bring_up_to_date
from infrastructure.integrity.file import CheckpointFile
from infrastructure.integrity.outside import adopt
from infrastructure.integrity.rolling import rolled_on
from infrastructure.integrity.survey import SECONDS, Survey, survey
from infrastructure.keys.rewrap import ALIVE
from infrastructure.nats.connection import OPEN, BrokerUnreachable, close, connect
from infrastructure.nats.credentials import Access
from infrastructure.standing import Keys, Standing
from projections import tables
from projections.catalogue import READ_MODELS
from projections.readmodel import ReadModel
from projections.rebuild import rebuild

_AHEAD = "SELECT generation, live FROM projections WHERE name = %s AND version = %s AND position > %s"
_MAILS = "SELECT count(*) FROM mails WHERE position > %s"
_SESSIONS = "SELECT count(*) FROM sessions"

_BACK = (
    "UPDATE relays SET position = least(position, %(head)s)",
    # The platform is told of everybody again, which does no harm: only so it loses what the log has lost.
    "UPDATE reactors SET position = CASE name WHEN 'mails' THEN least(position, %(head)s) ELSE 0 END",
    "DELETE FROM mails WHERE position > %(head)s",
    # A backup brings sessions back that were ended since, and refresh tokens that were used up.
    "DELETE FROM sessions",
)

_ENLIST = "INSERT INTO relays (name) VALUES ('users') ON CONFLICT DO NOTHING"
_RELAY = """
UPDATE relays SET position = coalesce(%(position)s, position), last_sequence = %(sequence)s
WHERE name = 'users'"""

Say = Callable[[str], None]


class Restore:
    """A log that is behind, and the way out."""

    def __init__(self, standing: Standing, keys: Keys, file: CheckpointFile, access: Access = OPEN) -> None:
        self._standing = standing
        self._conninfo = standing.direct
        self._keys = keys
        self._file = file
        self._access = access

    def view(self) -> RestoreView:
        """What is behind what. Raises LogTorn, NotNow, CheckpointFileUnusable, psycopg.Error."""
        found = self._survey()
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            (mails,) = connection.execute(_MAILS, (found.head,)).fetchone() or (0,)
            (sessions,) = connection.execute(_SESSIONS).fetchone() or (0,)
            rebuilds = [model.name for model in READ_MODELS if _ahead(connection, model, found.head)]
            messages = len(asyncio.run(self._foreign(connection, found)))
        return RestoreView(
            head=found.head,
            agrees_until=_agrees(found),
            lost_until=found.lost_until,
            evidence=found.evidence,
            messages=messages,
            rebuilds=rebuilds,
            mails=mails,
            sessions=sessions if found.evidence else 0,
        )

    def accept(self, reason: str, say: Say) -> Accepted:
        """Do it, with no service running. Raises as `view`."""
        with self._alone() as connection:
            view, found = self.view(), self._survey()
            if not found.evidence:
                raise NotNow("Nothing knows of more than this log holds: there is nothing to accept.")
            messages = asyncio.run(self._clear_the_stream(connection, found, say))
            say("bringing relays, reactors, mails and sessions into line")
            with connection.transaction():
                for statement in _BACK:
                    connection.execute(statement.encode(), {"head": found.head})
            for model in READ_MODELS:
                self._rebuild(connection, model, found.head, say)
            recorded = self._record(connection, found, reason)
            if self._standing.nats_url:
                asyncio.run(NatsAnnouncer(self._standing.nats_url, self._access)(recorded))
        return Accepted(
            head=found.head,
            agrees_until=view.agrees_until,
            lost_until=view.lost_until,
            checkpoint=recorded.checkpoint.number,
            messages=messages,
            rebuilt=view.rebuilds,
            mails=view.mails,
            sessions=view.sessions,
        )

    def _survey(self) -> Survey:
        url = self._standing.nats_url
        found = asyncio.run(survey(self._conninfo, self._file, url, self._access))
        if found.parting is None and url:
            raise NotNow(
                "The broker does not answer, and what its stream tells of events that are lost cannot be "
                "known: see that NATS runs and that MG_ES_URL leads to it, then try again."
            )
        return found

    @contextmanager
    def _alone(self) -> Iterator[psycopg.Connection]:
        """Hold off whoever starts. Raises NotNow while a service runs."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            row = connection.execute("SELECT pg_try_advisory_lock(%s)", (ALIVE,)).fetchone()
            if not row or not row[0]:
                raise NotNow("A usersd runs on this database: stop every usersd, then try again.")
            yield connection

    async def _foreign(self, connection: psycopg.Connection, found: Survey) -> list[int]:
        if found.parting is None or not found.parting.first_foreign:
            return []
        client = await self._connect()
        try:
            return await stream.foreign(client.jetstream(timeout=SECONDS), connection, found.parting)
        finally:
            await close(client)

    async def _clear_the_stream(self, connection: psycopg.Connection, found: Survey, say: Say) -> int:
        """Overwrite the messages of events that are lost, and have the relay go on behind the others."""
        parted = found.parting
        if parted is None or not parted.first_foreign:
            return 0
        sequences = await self._foreign(connection, found)
        say(f"taking {len(sequences)} messages out of the stream")
        client = await self._connect()
        try:
            count = await stream.overwrite(client.jetstream(timeout=SECONDS), sequences)
        finally:
            await close(client)
        connection.execute(_ENLIST)
        # Everything up to where both agree is in the stream: told again, consumers would hear it twice.
        position = parted.agrees.position if parted.agrees else None
        connection.execute(_RELAY, {"position": position, "sequence": parted.last_sequence})
        return count

    async def _connect(self) -> Client:
        try:
            return await connect(self._standing.nats_url, name="usersd restore", access=self._access)
        except BrokerUnreachable as error:
            raise NotNow(f"The broker went away ({error}): try again.") from None

    def _rebuild(self, connection: psycopg.Connection, model: ReadModel, head: int, say: Say) -> None:
        _drop(connection, model, head)
        if not _ahead(connection, model, head):
            return
        say(f"rebuilding {model.name}")
        asyncio.run(rebuild(model, self._keys.reader, self._conninfo))
        # The one that was live would go on following the log, and has come past its end.
        _drop(connection, model, head)

    def _record(self, connection: psycopg.Connection, found: Survey, reason: str) -> Signed:
        """The checkpoint that voids those of events that are lost, in the file and in the database."""
        agrees = found.outside.agrees
        with contextlib.suppress(LogDisagrees):
            bring_up_to_date(connection, self._file)
        last = next(self._file.newest_first(), None)
        rolled = rolled_on(connection, agrees, found.head)
        restored = Restored(agrees_until=agrees.position, lost_until=found.lost_until, reason=reason)
        made = signed(following(last, rolled, datetime.now(UTC), restored), key_of(self._keys.keyring))
        # The file first: the next start believes it, and brings the database into line with it.
        with self._file.held():
            self._file.append([made.text])
        adopt(connection, self._file)
        return made


def _agrees(found: Survey) -> int:
    """The last position of which something outside the log is known to agree with it."""
    told = found.parting.agrees.position if found.parting and found.parting.agrees else 0
    return min(found.head, max(found.outside.agrees.position, told))


def _ahead(connection: psycopg.Connection, model: ReadModel, head: int) -> list[tuple[int, bool]]:
    rows = connection.execute(_AHEAD, (model.name, model.version, head)).fetchall()
    return [(generation, live) for generation, live in rows]


def _drop(connection: psycopg.Connection, model: ReadModel, head: int) -> None:
    """Forget the generations that nobody reads and that have come past the end of the log."""
    for generation, live in _ahead(connection, model, head):
        if not live:
            tables.drop(connection, model, generation)
