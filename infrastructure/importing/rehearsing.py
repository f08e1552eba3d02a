"""Decides what would become of accounts, and appends nothing.

What earlier rows would have taken is kept in a file of its own that is gone afterwards, as keyed hashes:
memory does not grow with the source, and no name lies about.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from application.import_runs import MEANINGS, Code, Settled, refused, settled
from application.importing import Account, Offered, imported
from domain.errors import Fault
from domain.events import Imported
from infrastructure.event_store.keyring import Keyring
from infrastructure.importing.existing import Existing, First, beside

_EPOCH = datetime.fromtimestamp(0, UTC)
_TABLE = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32000;
CREATE TABLE claims (kind TEXT, digest BLOB, place INTEGER, content BLOB, PRIMARY KEY (kind, digest))
WITHOUT ROWID;
"""

Name = tuple[str, bytes]


class Rehearsing:
    """Implements Settling, without a log to append to."""

    def __init__(self, existing: Existing, keyring: Keyring) -> None:
        self._existing = existing
        self._keyring = keyring
        self._key = os.urandom(32)
        self._firsts: Mapping[UUID, First] = {}
        self._taken: set[Name] = set()
        self._folder = tempfile.TemporaryDirectory(prefix="usersd-import-")
        self._claims = sqlite3.connect(Path(self._folder.name) / "claims", isolation_level=None)
        self._claims.executescript(_TABLE)
        self._claims.execute("BEGIN")

    async def look(self, accounts: Sequence[Account]) -> None:
        self._firsts = await self._existing.firsts([account.id for account in accounts])
        self._taken = await self._existing.taken([name for one in accounts for name in self._names(one)])

    def settle(self, offered: Offered, account: Account) -> Settled:
        event = imported(account, _EPOCH)
        if (first := self._firsts.get(account.id)) is not None:
            return beside(offered, event, first)
        content = self._content(event)
        if (earlier := self._claimed(("id", account.id.bytes))) is not None:
            if earlier[1] == content:
                return settled(offered, "already")
            text = f"Row {earlier[0]} has the same id and other content."
            return refused(offered, "changed", Fault("/id", text))
        names = self._names(account)
        if faults := [fault for name in names if (fault := self._fault(name)) is not None]:
            code: Code = "email_taken" if faults[0].pointer == "/email" else "username_taken"
            return refused(offered, code, *faults)
        claims = [("id", account.id.bytes), *names]
        rows = [(kind, digest, offered.place, content) for kind, digest in claims]
        self._claims.executemany("INSERT INTO claims VALUES (?, ?, ?, ?)", rows)
        return settled(offered, "would_import")

    def close(self) -> None:
        """Take the file away."""
        self._claims.close()
        self._folder.cleanup()

    def _names(self, account: Account) -> list[Name]:
        names = [("email", self._keyring.digest("email", account.email))]
        if account.username:
            names.append(("username", self._keyring.digest("username", account.username)))
        return names

    def _fault(self, name: Name) -> Fault | None:
        if name in self._taken:
            return Fault(f"/{name[0]}", MEANINGS["email_taken" if name[0] == "email" else "username_taken"])
        if (earlier := self._claimed(name)) is not None:
            text = f"The account of row {earlier[0]} has this {name[0]}, perhaps in another spelling."
            return Fault(f"/{name[0]}", text)
        return None

    def _claimed(self, name: Name) -> tuple[int, bytes] | None:
        found = self._claims.execute("SELECT place, content FROM claims WHERE kind = ? AND digest = ?", name)
        row: tuple[int, bytes] | None = found.fetchone()
        return row

    def _content(self, event: Imported) -> bytes:
        return hashlib.blake2b(
            msgspec.json.encode(event, order="sorted"), digest_size=16, key=self._key
        ).digest()
