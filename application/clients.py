"""Service accounts: programs of the platform that check tokens, read users or follow what happens to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol, get_args
from uuid import UUID

import msgspec

Scope = Literal["introspect", "read_users", "follow_feed", "issue_tokens"]
SCOPES: tuple[Scope, ...] = get_args(Scope)


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """A service account as operators see it. A rotated secret's predecessor holds until `previous_until`."""

    id: UUID
    name: str
    scopes: list[Scope]
    created_at: datetime
    rotated_at: datetime | None = None
    previous_until: datetime | None = None
    revoked_at: datetime | None = None


class ClientSecret(msgspec.Struct, frozen=True, kw_only=True):
    """The one time that a secret is shown: only its hash is kept."""

    id: UUID
    name: str
    scopes: list[Scope]
    secret: str


class UnknownClient(Exception):
    """There is no service account of that id."""

    def __init__(self, client_id: UUID) -> None:
        super().__init__(f"There is no service account {client_id}; `usersd clients list` shows them.")


class ClientRevoked(Exception):
    """A service account that was revoked stays so."""

    def __init__(self, client_id: UUID) -> None:
        super().__init__(f"The service account {client_id} was revoked, which is for good; add a new one.")


class Clients(Protocol):
    """Who they are: what a request asks."""

    async def authenticate(self, client_id: UUID, secret: str, at: datetime) -> Client | None:
        """The service account that this secret belongs to. Raises Unavailable."""


class ClientAdministration(Protocol):
    """What operators do with them."""

    def list(self) -> Sequence[Client]: ...

    def add(self, name: str, scopes: Sequence[Scope]) -> ClientSecret: ...

    def rotate(self, client_id: UUID, grace: timedelta) -> ClientSecret:
        """A new secret; the old one holds for `grace`. Raises UnknownClient, ClientRevoked."""

    def revoke(self, client_id: UUID) -> None:
        """End it for good, within a second on every replica. Raises UnknownClient."""
