"""Log in."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from application.limits import limits
from application.messages import Command, Context, Tokens
from application.ports import Credential, Ports
from application.security import SecurityFact
from application.throttling import counting
from domain.errors import WrongCredentials
from domain.values import MAX_SECRET_BYTES, Status


class IssueTokens(Command[Tokens], frozen=True, kw_only=True):
    """Log in with a username or an email and a secret.

    An unknown user, a wrong secret and a disabled account get one answer, after the same time.
    """

    login: str
    secret: str
    description: str = ""
    user_agent: str = ""


async def handle(command: IssueTokens, context: Context, ports: Ports) -> Tokens:
    account = await ports.accounts.find(command.login)
    held = limits("login", context, account=command.login, user_id=account.user_id if account else None)
    async with counting(WrongCredentials, held, context, ports):
        account = await _checked(command, context, ports, account)
    if account.secret_hash and _to_be_replaced(account.secret_hash, command.secret, ports):
        rehashed = await ports.hasher.hash(command.secret)
        await ports.accounts.rehashed(account.user_id, account.secret_hash, rehashed)
    grant, refresh_token = await ports.sessions.open(
        account, command.description, context.at, user_agent=command.user_agent, network=context.network
    )
    await _note(ports, context, account, "login", session_id=grant.session_id)
    access_token = await ports.tokens.access_token(grant, account, context.at)
    return Tokens(access_token=access_token, refresh_token=refresh_token)


def _to_be_replaced(hashed: str, secret: str, ports: Ports) -> bool:
    """Whether a secret is hashed anew; one that is too long for bcrypt stays under the hash it came with."""
    return ports.hasher.outdated(hashed) and len(secret.encode("utf-8", "replace")) <= MAX_SECRET_BYTES


async def _checked(
    command: IssueTokens, context: Context, ports: Ports, account: Credential | None
) -> Credential:
    """The account that the secret opens."""
    matches = await ports.hasher.verify(command.secret, account.secret_hash if account else None)
    if account is None or not matches or account.status is not Status.ENABLED:
        why = "not enabled" if matches else "wrong secret" if account else "unknown name"
        await _note(ports, context, account, "login_failed", why)
        raise WrongCredentials
    return account


async def _note(
    ports: Ports,
    context: Context,
    account: Credential | None,
    kind: Literal["login", "login_failed"],
    detail: str = "",
    session_id: UUID | None = None,
) -> None:
    """The security log hears of every login; of the name that was tried it is told nothing."""
    fact = SecurityFact(
        kind=kind,
        at=context.at,
        user_id=account.user_id if account else None,
        session_id=session_id,
        network=context.network,
        detail=detail,
    )
    await ports.security_log.record(fact)
