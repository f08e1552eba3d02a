"""Who is asking, and who may do what: pure functions."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

import msgspec

from domain.errors import AdminOnly, EmailNotVerified, Forbidden, Unauthenticated
from domain.values import Role


class Actor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who is behind a request, as the log will remember it.

    `kind` is `user`, `service` (an account of a program), `operator` (the command line), `system`
    (the service itself) or `anonymous`; `token` is the kind of credential that was shown; `scopes` are what
    a service account may do.
    """

    kind: Literal["user", "service", "operator", "system", "anonymous"]
    id: UUID | None = None
    role: Role = Role.USER
    token: Literal["access", "pat", "refresh", "client", "mail", "none"] = "none"
    verified: bool = False
    scopes: tuple[str, ...] = ()

    @property
    def is_admin(self) -> bool:
        return self.role is Role.ADMIN


ANONYMOUS = Actor("anonymous")
SYSTEM = Actor("system", role=Role.ADMIN)
OPERATOR = Actor("operator", role=Role.ADMIN)


def require_signed_in(actor: Actor) -> None:
    if actor.kind == "anonymous":
        raise Unauthenticated


def require_user(actor: Actor) -> UUID:
    """The id of the user who asks; a program or the service itself has no account of its own."""
    if actor.id is None:
        raise Unauthenticated
    return actor.id


def require_admin(actor: Actor) -> None:
    if not actor.is_admin:
        raise AdminOnly


def may(actor: Actor, scope: str) -> bool:
    """Whether this is an admin, or a service account that was given the scope."""
    return actor.is_admin or scope in actor.scopes


def require_scope(actor: Actor, scope: str) -> None:
    if not may(actor, scope):
        raise AdminOnly(f"This takes an admin, or a service account with the scope {scope}.")


def require_reader(actor: Actor) -> None:
    """Every signed-in user may look at cards; a service account only with the scope for it."""
    require_signed_in(actor)
    if actor.kind == "service":
        require_scope(actor, "read_users")


def require_more_than_reading(actor: Actor) -> None:
    """A personal access token was made for something that only its issuer knows: it reads, and no more."""
    if actor.token == "pat":
        raise Forbidden("A personal access token may read here and change nothing; log in for that.")


def require_self_or_admin(actor: Actor, user_id: UUID) -> None:
    if not actor.is_admin and actor.id != user_id:
        raise Forbidden


def require_verified(actor: Actor, *, unverified_allowed: bool) -> None:
    """The gate of the routes that an account with an unverified email may not pass."""
    if not (actor.verified or actor.is_admin or unverified_allowed):
        raise EmailNotVerified
