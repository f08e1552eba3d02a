"""Tells whether a secret was changed there, from hashes alone: a login here may have made the hash anew."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import bcrypt

from application.importing import Account
from application.ports import Recorded
from domain import events
from infrastructure.importing.followed import Taken, secret_digest

_COST: Final = 10
_BCRYPT_COST: Final = re.compile(r"\$2.\$(\d\d)\$")


class ChangedSecrets:
    """Answers with the hash that is to hold here."""

    def __init__(self) -> None:
        self._nobodys: str | None = None

    async def new_hash(
        self,
        recorded: Sequence[Recorded],
        account: Account,
        changed: datetime | None,
        taken: Taken | None,
        hashed: str | None,
    ) -> str | None:
        """The hash of the secret that was set there, or None where none was since it was taken.

        Where the secret was taken away there, the hash is one that nobody knows the secret of. `hashed` is
        what holds here.
        """
        if account.secret_hash == hashed or not _is_another(recorded, account, changed, taken, hashed):
            return None
        return account.secret_hash or await self._hash_of_nobody()

    async def _hash_of_nobody(self) -> str:
        if self._nobodys is None:
            secret = os.urandom(32).hex().encode()
            made = await asyncio.to_thread(bcrypt.hashpw, secret, bcrypt.gensalt(_COST))
            self._nobodys = made.decode()
        return self._nobodys


def _is_another(
    recorded: Sequence[Recorded],
    account: Account,
    changed: datetime | None,
    taken: Taken | None,
    hashed: str | None,
) -> bool:
    if taken is not None and taken.secret is not None:
        return taken.secret != secret_digest(account.secret_hash)
    if account.secret_hash is None or hashed is None:
        # No login makes a secret where there was none, nor takes one away.
        return True
    if _cost_of(account.secret_hash) == _cost_of(hashed) is not None:
        # A hash is made anew only where its cost is another one.
        return True
    first = recorded[0].event
    if taken is None and isinstance(first, events.Imported):
        return account.updated_at != first.updated_at
    return taken is None or taken.changed != changed


def _cost_of(hashed: str) -> str | None:
    found = _BCRYPT_COST.match(hashed)
    return found[1] if found else None
