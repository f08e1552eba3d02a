"""What operators ask for and have done about erasing: requests, sweeps, certificates, a restored backup."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol
from uuid import UUID

import msgspec

from application.sweeping import Closed, Swept


class ErasureRow(msgspec.Struct, frozen=True, kw_only=True):
    """How far one erasure is: what it waits for, or when its certificate was signed."""

    user_id: UUID
    requested_at: datetime
    waits_for: str
    messages: int
    key_epoch: int
    certified_at: datetime | None


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What of a certificate holds now.

    `epoch` and `root_key` say whether the keys that had wrapped the user's are there still; while they are,
    they open older copies of the database.
    """

    user_id: UUID
    signature: Literal["holds", "of an unknown key", "does not hold"]
    chain: Literal["whole", "broken"]
    left: int
    epoch: Literal["there", "destroyed"]
    root_key: Literal["the same", "replaced"]

    @property
    def stands(self) -> bool:
        return self.signature == "holds" and self.chain == "whole" and not self.left


class NoLedger(Exception):
    """There is no ledger where one is looked for."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            f"There is no ledger at {path}. It is not part of the database's backup: bring it from where the "
            "service ran, and name it with --ledger or MG_USERS_ERASURE_LEDGER."
        )


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger asked of this database: entries, users erased again or refused, lines torn by a crash.

    `already` are erased here, or were never here.
    """

    entries: int
    erased: int
    already: int
    refused: list[UUID]
    unreadable: int


class NewEpoch(msgspec.Struct, frozen=True, kw_only=True):
    """The present sealing epoch, how many users' keys it wraps anew, and the epochs destroyed for it."""

    epoch: int
    rewrapped: int
    destroyed: list[int]


class NewAdmin(msgspec.Struct, frozen=True, kw_only=True):
    email: str
    username: str | None
    secret: str


class ErasureOperations(Protocol):
    """Operators' work on accounts, with or without a service running. Each raises domain.errors.Refusal.

    What an erasure does beyond its request is done by a running service.
    """

    def due(self) -> Sequence[Closed]:
        """The accounts that a sweep would take."""

    def sweep(self) -> Sequence[Swept]:
        """Sweep now."""

    def erase(self, user_id: UUID, reason: str) -> None:
        """Forget a user for good."""

    def create_admin(self, wanted: NewAdmin) -> UUID:
        """Make an admin, however many there are or have been."""

    def erasures(self) -> Sequence[ErasureRow]: ...

    def certificate(self, user_id: UUID) -> str | None:
        """The signed certificate of a finished erasure."""

    def verify(self) -> Sequence[Verdict]:
        """Hold every certificate against the database as it is."""

    def replay(self, ledger: Path | None) -> Replayed:
        """Erase again whom a ledger names, the one of the settings unless another is given."""

    def new_epoch(self) -> NewEpoch:
        """Change the sealing epoch to its end."""
