"""Open a session for a user whom another service has made sure of."""

from __future__ import annotations

from uuid import UUID

from application.messages import Command, Context, Tokens
from application.ports import Ports
from application.security import SecurityFact
from domain.access import require_scope
from domain.errors import NotEnabled, NotFound
from domain.values import Status


class IssueTokensFor(Command[Tokens], frozen=True, kw_only=True):
    """Issue tokens for a user without their secret: role and verified flag are the account's own.

    A disabled or deleted account gets none. For service accounts with the scope `issue_tokens`, and admins.
    """

    user_id: UUID
    description: str = ""


async def handle(command: IssueTokensFor, context: Context, ports: Ports) -> Tokens:
    require_scope(context.actor, "issue_tokens")
    account = await ports.accounts.of(command.user_id)
    if account is None or account.status is Status.ERASED:
        raise NotFound
    if account.status is not Status.ENABLED:
        raise NotEnabled
    grant, refresh_token = await ports.sessions.open(account, command.description, context.at)
    await ports.security_log.record(
        SecurityFact(
            kind="login",
            at=context.at,
            user_id=account.user_id,
            session_id=grant.session_id,
            detail="vouched for by a service",
        )
    )
    access_token = await ports.tokens.access_token(grant, account, context.at)
    return Tokens(access_token=access_token, refresh_token=refresh_token)
