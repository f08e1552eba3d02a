"""Follows who may log in, and as what, even where the rest of an account's row cannot be followed.

Whoever is disabled there, or has another secret because somebody else knew the old one, is not let in here
on account of a name that another one has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from application.following import changed_here, differences
from application.ports import EventLog
from domain import events
from domain.errors import LastAdmin
from domain.events import Event
from domain.user import fold
from infrastructure.importing.changed_secrets import ChangedSecrets
from infrastructure.importing.changes import append, in_utc
from infrastructure.importing.fitting import Part, Row
from infrastructure.importing.followed import FollowedAccounts, Taken, secret_digest

NEVER: Final = b""
"""The times of an account that is to be looked at again, whatever the times of its row there."""

_PARTS: Final[dict[type[Event], Part]] = {
    events.Restored: "status",
    events.Enabled: "status",
    events.Disabled: "status",
    events.Deleted: "status",
    events.RoleChanged: "role",
}


class Access:
    """Appends to the log what of a row is access, and remembers under which hash its secret came."""

    def __init__(self, log: EventLog, followed: FollowedAccounts, secrets: ChangedSecrets) -> None:
        self._log = log
        self._followed = followed
        self._secrets = secrets

    async def follow(self, row: Row) -> tuple[bool, Sequence[Part]]:
        """Whether anything was changed here, and what of the row is followed. Raises what append does."""
        account = row.account
        recorded = await self._log.timeline(account.id)
        user = fold(account.id, (one.event for one in recorded))
        if not user.exists or changed_here(recorded):
            return False, ()
        at = in_utc(row.changed)
        follows = [one for one in differences(user, account, at) if _PARTS.get(type(one)) in row.access]
        taken = (await self._followed.taken([account.id])).get(account.id)
        new_hash = None
        if "secret" in row.access:
            hashed = (await self._followed.hashes([account.id])).get(account.id)
            new_hash = await self._secrets.new_hash(recorded, account, row.changed, taken, hashed)
        secret = [events.SecretChanged(at=at)] if new_hash is not None else []
        followed = row.access
        if follows or secret:
            try:
                await append(self._log, recorded, [*follows, *secret], new_hash)
            except LastAdmin:
                followed = tuple(part for part in row.access if part == "secret")
                if secret:
                    await append(self._log, recorded, secret, new_hash)
        if "secret" in followed:
            await self._remember(row, taken)
        return bool(secret or (follows and followed == row.access)), followed

    async def _remember(self, row: Row, taken: Taken | None) -> None:
        """Note the hash, so that one that is made anew at a login here is not undone; the rest is to come."""
        digest = secret_digest(row.account.secret_hash)
        if taken is None or taken.secret != digest:
            taken = taken or Taken(None, times=NEVER)
            await self._followed.take({row.account.id: Taken(taken.changed, digest, taken.times)})
