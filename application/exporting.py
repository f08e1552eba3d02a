"""Taking accounts, or the log itself, out of the service, and bringing a log into an empty one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from uuid import UUID

import msgspec

from application.documents import ZERO_TIME
from application.importing import Account
from application.operations import Progress
from domain.user import User


class ExportRefused(Exception):
    """It was not done, and nothing is left of it; the text says what happened and what to do."""


class ExportBusy(ExportRefused):
    """Somebody else is at work; the same may be done later."""


class Left(msgspec.Struct, frozen=True):
    """An account that could not be written, and why."""

    user_id: UUID
    reason: str


class AccountsExported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export of accounts came to, at which position of the log.

    `folded` were read from the log, because their rows were not known to be up to date. `left` are those
    whose history cannot be read; those beyond the first 1,000 are counted in `more_left`.
    """

    accounts: int
    position: int
    folded: int
    with_hashes: bool
    left: list[Left]
    more_left: int = 0


class LogExported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export of the log holds; `key_made` where the file of the key is new."""

    events: int
    users: int
    hash: str
    key_file: Path
    key_made: bool


class LogImported(msgspec.Struct, frozen=True, kw_only=True):
    """What has come into the database; `checkpoints` came along, and `newer` events are of newer versions."""

    events: int
    users: int
    erased: int
    clients: int
    checkpoints: int
    newer: int
    hash: str


Moved = Callable[[Progress], None]


class Exports(Protocol):
    """What operators take out of the service and bring into it."""

    def accounts(self, to: Path | None, moved: Moved, *, with_hashes: bool) -> AccountsExported:
        """Write every account that is not erased as a line of NDJSON, ordered by id, to a file or to standard
        output. Raises ExportRefused."""

    def export_log(self, to: Path, key_file: Path | None, moved: Moved) -> LogExported:
        """Write the log in its canonical form, sealed under the key of a file, which is made where it is not
        there. Raises ExportRefused."""

    def import_log(self, source: Path, key_file: Path, moved: Moved) -> LogImported:
        """Bring a log into an empty database, all of it or nothing, and build the read models.

        Raises ExportRefused.
        """


def account_of(user: User, secret_hash: str | None) -> Account:
    """An account as an import reads it. The user is not erased."""
    assert user.exists, "nobody takes along who was forgotten"
    return Account(
        id=user.id,
        email=user.email,
        username=user.username or None,
        first_name=user.first_name,
        last_name=user.last_name,
        name=user.name,
        tags=user.tags,
        metadata=user.metadata,
        private_metadata=user.private_metadata,
        profile_picture=user.profile_picture,
        status=user.status.value,  # type: ignore[arg-type]
        role=user.role.value,
        dialect=user.dialect,
        auth_provider=user.auth_provider,
        created_at=user.created_at or ZERO_TIME,
        updated_at=user.updated_at,
        updated_by=user.updated_by,
        verified_at=user.verified_at,
        secret_hash=secret_hash,
    )
