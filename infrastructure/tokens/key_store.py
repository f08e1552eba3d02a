"""The signing keys in the database: which one signs, which comes next, and which are only checked with.

The next key is published long before it signs, so that whoever caches the published keys knows it by then.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import LiteralString

import msgspec
import psycopg

from application.key_operations import KEYS_CACHED_FOR, KeyRefused, SigningKeyRow, TooEarly
from infrastructure.event_store.keyring import Keyring
from infrastructure.postgres.notifications import KEYS
from infrastructure.tokens.signing import SigningKey, State, unsealed

LOCK = 7310580243119868

PUBLISHED_FOR = KEYS_CACHED_FOR + timedelta(seconds=30)
"""How long a key is published before it signs: as long as anybody may cache the keys, and a little."""

SPARE = timedelta(minutes=2)
"""What is added to the life of a token before its key may go: clocks differ."""

SELECT: LiteralString = """
SELECT wrapped, state, kid, algorithm, created_at, signs_since, signed_until
FROM signing_keys ORDER BY array_position(ARRAY['active', 'next', 'retired'], state), created_at DESC, kid"""

_INSERT = """
INSERT INTO signing_keys (kid, algorithm, wrapped, state, signs_since)
VALUES (%(kid)s, %(algorithm)s, %(wrapped)s, %(state)s, CASE WHEN %(state)s = 'active' THEN now() END)"""


class _Row(msgspec.Struct, frozen=True):
    wrapped: bytes
    state: State
    kid: str
    algorithm: str
    created_at: datetime
    signs_since: datetime | None
    signed_until: datetime | None


class KeyStore:
    """The keys of one database, over one connection."""

    def __init__(self, connection: psycopg.Connection, keyring: Keyring) -> None:
        self._connection = connection
        self._keyring = keyring

    def all(self) -> list[SigningKey]:
        """Every key, the active one first."""
        return [unsealed(row.wrapped, self._keyring, row.state) for row in self._rows()]

    def listing(self, life: timedelta) -> list[SigningKeyRow]:
        """Every key as an operator sees it, where access tokens live so long."""
        return [_shown(row, life) for row in self._rows()]

    def settle(self, algorithm: str) -> str:
        """See to it that a key of an algorithm signs or is about to; one line on what was done, if anything.

        A database without keys gets them at once. Where another algorithm was in use, its key goes on
        signing until the next one has been published for long enough.
        """
        with self._connection.transaction():
            self._lock()
            rows = {row.state: row for row in self._rows() if row.state != "retired"}
            active, following = rows.get("active"), rows.get("next")
            if active is None:
                self._insert(algorithm, "active")
            if following is None or following.algorithm != algorithm:
                self._replace_next(following, algorithm)
                if active is None or active.algorithm == algorithm:
                    return ""
                return f"tokens will be signed with {algorithm} when its key has been published long enough"
            if active is None or active.algorithm == algorithm or self._unripe(following):
                return ""
            self._promote(active, following)
            return f"tokens are signed with {algorithm} from now on"

    def rotate(self, *, now: bool) -> SigningKeyRow:
        """Let the next key sign and make another next one. Raises TooEarly unless `now`, and KeyRefused."""
        with self._connection.transaction():
            self._lock()
            rows = {row.state: row for row in self._rows() if row.state != "retired"}
            if "active" not in rows or "next" not in rows:
                raise KeyRefused("There are no keys yet: the service makes them when it starts.")
            if not now and (wait := self._unripe(rows["next"])):
                raise TooEarly(wait)
            self._promote(rows["active"], rows["next"])
        return next(row for row in self.listing(timedelta()) if row.state == "active")

    def retire(self, kid: str, life: timedelta, *, force: bool) -> None:
        """Let go of a key: no token of it is taken any more. Raises KeyRefused."""
        with self._connection.transaction():
            self._lock()
            rows = {row.kid: row for row in self._rows()}
            if (row := rows.get(kid)) is None:
                raise KeyRefused(f"There is no key {kid!r}; `usersd keys list` shows those there are.")
            if row.state == "active":
                raise KeyRefused("This key signs at present: `usersd keys rotate` first.")
            alive = _alive_until(row, life)
            if alive and alive > self._now() and not force:
                raise KeyRefused(
                    f"Tokens of this key can be alive until {alive:%Y-%m-%d %H:%M:%S %Z}. Retire it after "
                    "that, or with --force, which ends them at once: their users refresh or log in again."
                )
            self._connection.execute("DELETE FROM signing_keys WHERE kid = %s", (kid,))
            self._connection.execute("INSERT INTO retired_signing_keys VALUES (%s, %s)", (kid, self._now()))
            if row.state == "next":
                self._insert(row.algorithm, "next")
            self._tell()

    def _lock(self) -> None:
        self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        self._keyring.require_root(self._connection)

    def _rows(self) -> list[_Row]:
        return [_Row(*row) for row in self._connection.execute(SELECT, binary=True)]

    def _insert(self, algorithm: str, state: State) -> None:
        key = SigningKey.make(algorithm, state)
        row = {"kid": key.kid, "algorithm": algorithm, "wrapped": key.sealed(self._keyring), "state": state}
        self._connection.execute(_INSERT, row)
        self._tell()

    def _replace_next(self, following: _Row | None, algorithm: str) -> None:
        if following:
            # It has never signed: nobody misses it.
            self._connection.execute("DELETE FROM signing_keys WHERE kid = %s", (following.kid,))
        self._insert(algorithm, "next")

    def _promote(self, active: _Row, following: _Row) -> None:
        self._connection.execute(
            "UPDATE signing_keys SET state = 'retired', signed_until = now() WHERE kid = %s", (active.kid,)
        )
        self._connection.execute(
            "UPDATE signing_keys SET state = 'active', signs_since = now() WHERE kid = %s", (following.kid,)
        )
        self._insert(following.algorithm, "next")

    def _unripe(self, following: _Row) -> timedelta | None:
        wait = following.created_at + PUBLISHED_FOR - self._now()
        return wait if wait > timedelta() else None

    def _now(self) -> datetime:
        row = self._connection.execute("SELECT now()").fetchone()
        assert row is not None
        now: datetime = row[0]
        return now

    def _tell(self) -> None:
        self._connection.execute("SELECT pg_notify(%s, '')", (KEYS,))


def _alive_until(row: _Row, life: timedelta) -> datetime | None:
    return row.signed_until + life + SPARE if row.signed_until else None


def _shown(row: _Row, life: timedelta) -> SigningKeyRow:
    return SigningKeyRow(
        kid=row.kid,
        algorithm=row.algorithm,
        state=row.state,
        published=row.created_at,
        signs_since=row.signs_since,
        signed_until=row.signed_until,
        may_sign_from=row.created_at + PUBLISHED_FOR if row.state == "next" else None,
        tokens_until=_alive_until(row, life),
    )
