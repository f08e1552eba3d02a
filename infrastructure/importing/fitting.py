"""Tells rows that can be accounts from those of which only status, role and secret can be followed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import msgspec

from application.importing import Account, Offered, faults
from domain.errors import Fault
from infrastructure.importing.followed import Taken, secret_digest
from infrastructure.importing.original_rows import UNKNOWN_TIME
from infrastructure.importing.originals import Times
from infrastructure.importing.rows import LOST_DIGITS

Part = Literal["status", "role", "secret"]
ACCESS: Final[tuple[Part, ...]] = ("status", "role", "secret")

_FIELDS: Final[dict[Part, str]] = {"status": "/status", "role": "/role", "secret": "/secret_hash"}


class Row(msgspec.Struct, frozen=True):
    """A row that can be an account, when it was changed there, and what of it no account can keep.

    `access` is what can be followed of the row even where the rest of it cannot.
    """

    account: Account
    times: Times
    unkept: tuple[str, ...] = ()
    access: tuple[Part, ...] = ACCESS

    @property
    def changed(self) -> datetime | None:
        """When it was changed there last, in UTC without a zone."""
        return self.times.changed

    @property
    def taken(self) -> Taken:
        """What is remembered of it once it was taken."""
        return Taken(self.changed, secret_digest(self.account.secret_hash), self.times.digest)

    @property
    def unkept_told(self) -> tuple[str, ...]:
        """What is told of it as often as it comes; the rest is what no account has a place for."""
        if LOST_DIGITS in self.unkept:
            return ("/metadata: A number there has more digits than are kept here (IEEE 754).",)
        return ()


class Unfit(msgspec.Struct, frozen=True):
    """A row that is no account, by its id as it stands there; `row` has its access, if that can be read."""

    key: str
    why: str
    row: Row | None


class _Access(msgspec.Struct, frozen=True):
    """What is read of a row that has faults elsewhere."""

    id: UUID
    status: Literal["enabled", "disabled", "deleted"] = "enabled"
    role: Literal["user", "admin"] = "user"
    secret_hash: str | None = None
    updated_at: datetime | None = None


def fitting(offered: Offered, times: Times, hash_flaw: Callable[[str], str | None]) -> Row | Unfit:
    """The row as an account, or why it is none."""
    account = offered.account
    found = list(faults(account, hash_flaw=hash_flaw)) if account else list(offered.faults)
    if account and not found:
        return Row(account, times, offered.unkept)
    why = " ".join(f"{fault.pointer}: {fault.message}" for fault in found)
    return Unfit(str(account.id) if account else offered.key, why, _access(offered, times, found, hash_flaw))


def _access(
    offered: Offered,
    times: Times,
    found: Sequence[Fault],
    hash_flaw: Callable[[str], str | None],
) -> Row | None:
    pointers = {fault.pointer for fault in found}
    if offered.raw is None or "/id" in pointers:
        return None
    read = msgspec.json.decode(offered.raw, type=_Access)
    # Only what identifies and admits somebody: no other field of it is looked at.
    account = Account(
        id=read.id,
        email="",
        status=read.status,
        role=read.role,
        secret_hash=read.secret_hash,
        created_at=UNKNOWN_TIME,
        updated_at=read.updated_at,
    )
    pointers |= {fault.pointer for fault in faults(account, hash_flaw=hash_flaw)}
    return Row(account, times, access=tuple(part for part in ACCESS if _FIELDS[part] not in pointers))
