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


def limits(act: Act, context: Context, *, account: UUID | str | None = None) -> list[Limit]:
    """The limits that an attempt meets now; `account` is a user's id or, where nobody has it, the name shown.

    Where the caller's network is not known, no limit counts by it.
    """
    return list(_limits(act, context.network, account))


def _limits(act: Act, network: str, account: UUID | str | None) -> Iterator[Limit]:
    known = account if isinstance(account, UUID) else None
    if account is not None:
        subject = str(account)
        yield Limit(act, "account", subject, known)
        if act == "login":
            yield Limit(act, "account from a network", f"{subject} {network}", known, network)
    if network:
        yield Limit(act, "network", network, None, network)
