"""Writes every account as a line: from the rows of the read model, or folded from the log where those lag.

All of it is read in one snapshot, so that the lines are what the log said at one position.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO
from uuid import UUID

import msgspec
import psycopg
from psycopg import IsolationLevel
from psycopg.sql import SQL, Composed, Identifier

from application.documents import parse_document
from application.exporting import AccountsExported, ExportRefused, Left, Moved, account_of
from application.operations import Progress
from application.ports import Recorded
from domain.user import User, fold
from infrastructure.event_store.log import EventReader
from projections.catalogue import by_name
from projections.readmodel import table_name

PAGE = 2000
LAG = 20_000
"""With so many events behind the read model everybody is folded from the log, so that memory stays flat."""

LISTED = 1000

_STANDING = """
SELECT head.position, count.credentials, p.position, p.generation
FROM (SELECT coalesce(max(position), 0) AS position FROM events) AS head,
     (SELECT count(*) AS credentials FROM credentials WHERE status <> 'erased') AS count
LEFT JOIN projections p ON p.name = 'users' AND p.version = %s AND p.live"""

# Whoever has events behind the read model, and whose rows it does not vouch for.
_BEHIND = """
SELECT stream_id FROM events WHERE position > %(position)s
UNION SELECT user_id FROM parked_streams
      WHERE (projection, version, generation) = ('users', %(version)s, %(generation)s)
UNION SELECT user_id FROM projection_differences
      WHERE (projection, version, generation) = ('users', %(version)s, %(generation)s)
UNION SELECT user_id FROM discarded_events WHERE (projection, version) = ('users', %(version)s)"""

# By the table and not by the view, which may lead to another generation by now.
_ROWS = SQL("""
SELECT c.user_id, {hash}, u.version, u.document FROM credentials c LEFT JOIN {table} u ON u.id = c.user_id
WHERE c.status <> 'erased' ORDER BY c.user_id""")

_BARE = SQL("""
SELECT c.user_id, {hash}, NULL, NULL FROM credentials c
WHERE c.status <> 'erased' ORDER BY c.user_id""")

_STREAMS = """
SELECT e.position, e.stream_id, e.version, e.name, e.state, k.epoch, k.wrapped, k.destroyed_at
FROM events e LEFT JOIN user_keys k ON k.user_id = e.stream_id
WHERE e.stream_id = ANY(%b) ORDER BY e.stream_id, e.version"""

Row = tuple[UUID, str | None, int | None, bytes | None]


class AccountsOut:
    """One export of the accounts of a database."""

    def __init__(self, conninfo: str, reader: EventReader, *, with_hashes: bool) -> None:
        self._conninfo = conninfo
        self._reader = reader
        self._hash = SQL("c.secret_hash" if with_hashes else "NULL")
        self._with_hashes = with_hashes
        self._encode = msgspec.json.Encoder().encode
        self._left: list[Left] = []
        self._more_left = 0
        self._folded = 0

    def write(self, file: BinaryIO, moved: Moved) -> AccountsExported:
        """Write the lines. Raises OSError, psycopg.Error."""
        with psycopg.connect(self._conninfo, autocommit=True) as connection:
            connection.isolation_level = IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            with connection.transaction():
                return self._write(connection, file, moved)

    def _write(self, connection: psycopg.Connection, file: BinaryIO, moved: Moved) -> AccountsExported:
        query, behind, position, total = self._look(connection)
        written = done = 0
        for rows in self._pages(connection, query):
            found: dict[UUID, User | str | None] = {
                row[0]: None if row[0] in behind else _shown(row) for row in rows
            }
            found |= self._fold(connection, [user_id for user_id, user in found.items() if user is None])
            lines = [line for row in rows if (line := self._line(row[0], found[row[0]], row[1]))]
            file.write(b"".join(lines))
            written, done = written + len(lines), done + len(rows)
            moved(Progress(done, total, "writing accounts", "accounts"))
        return AccountsExported(
            accounts=written,
            position=position,
            folded=self._folded,
            with_hashes=self._with_hashes,
            left=self._left,
            more_left=self._more_left,
        )

    def _look(self, connection: psycopg.Connection) -> tuple[Composed, set[UUID], int, int]:
        """The statement to read by, whose rows it gets in vain, the log's position, how many there are."""
        model = by_name("users")
        assert model is not None
        row = connection.execute(_STANDING, (model.version,)).fetchone()
        assert row is not None
        head, total, position, generation = row
        if position is None or head - position > LAG:
            return _BARE.format(hash=self._hash), set(), head, total
        names = {"position": position, "version": model.version, "generation": generation}
        behind = {user_id for (user_id,) in connection.execute(_BEHIND, names)}
        table = Identifier(table_name(model, generation))
        return _ROWS.format(hash=self._hash, table=table), behind, head, total

    def _pages(self, connection: psycopg.Connection, query: Composed) -> Iterator[Sequence[Row]]:
        # All of it will be read: what is cheapest for the first rows is not what is wanted.
        connection.execute("SET LOCAL cursor_tuple_fraction = 1")
        with connection.cursor(name="accounts") as cursor:
            cursor.execute(query, binary=True)
            while rows := cursor.fetchmany(PAGE):
                yield rows

    def _fold(self, connection: psycopg.Connection, users: Sequence[UUID]) -> dict[UUID, User | str | None]:
        """Each of some users as the log has them, or why their history cannot be read."""
        if not users:
            return {}
        self._folded += len(users)
        rows: list[Any] = connection.execute(_STREAMS, (list(users),), binary=True).fetchall()
        streams: dict[UUID, list[Any]] = {}
        for row in rows:
            streams.setdefault(row[1], []).append(row)
        return {user: self._folded_one(user, streams.get(user, [])) for user in users}

    def _folded_one(self, user_id: UUID, rows: Sequence[Any]) -> User | str:
        events = self._reader.open_page(rows)
        for number, event in enumerate(events, start=1):
            if not isinstance(event, Recorded):
                return f"event {event.version} ({event.name}) cannot be read: {event.reason}"
            if event.version != number:
                return f"event {number} is missing"
        return fold(user_id, (event.event for event in events if isinstance(event, Recorded)))

    def _line(self, user_id: UUID, found: User | str | None, secret_hash: str | None) -> bytes:
        if isinstance(found, User) and found.exists:
            return self._encode(account_of(found, secret_hash)) + b"\n"
        self._leave(Left(user_id, found if isinstance(found, str) else "it has no history"))
        return b""

    def _leave(self, left: Left) -> None:
        if len(self._left) < LISTED:
            self._left.append(left)
        else:
            self._more_left += 1


def _shown(row: Row) -> User | None:
    """The user as the row has them; None where there is none that can be read."""
    _, _, version, document = row
    if version is None or document is None:
        return None
    try:
        return parse_document(document, version)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def unwritten(error: OSError) -> ExportRefused:
    """What to tell when standard output takes no more."""
    return ExportRefused(f"Standard output took no more: {error.strerror or type(error).__name__}.")
