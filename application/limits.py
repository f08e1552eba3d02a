"""Which limits an act meets: per account, per network, and per account from one network."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import msgspec

from application.messages import Context
from domain.throttling import Act, Scope


class Limit(msgspec.Struct, frozen=True):
    """What attempts are counted by: an act, a scope and a subject; `user_id` where an account is known."""

    act: Act
    scope: Scope
    subject: str
    user_id: UUID | None = None
    network: str = ""


def limits(
    act: Act, context: Context, *, account: UUID | str | None = None, user_id: UUID | None = None
) -> list[Limit]:
    """The limits that an attempt meets now.

    `account` is what it is aimed at: a user's id or the name that was shown, which must not tell by its
    limits whose it is; `user_id` is whose it is, for admins to see. Where the caller's network is not known,
    no limit counts by it.
    """
    return list(_limits(act, context, account, user_id))


def _limits(act: Act, context: Context, account: UUID | str | None, user_id: UUID | None) -> Iterator[Limit]:
    network = context.network
    if account is not None:
        # Whoever holds a stolen token of one session does not hold up the others.
        subject = f"{account} {context.session or ''}" if act == "secret" else str(account)
        yield Limit(act, "account", subject, user_id)
        if act in ("login", "reset") and network:
            yield Limit(act, "account from a network", f"{subject} {network}", user_id, network)
    if network:
        yield Limit(act, "network", network, None, network)
