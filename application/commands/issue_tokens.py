"""Log in."""

from __future__ import annotations

from application.messages import Command, Context, Tokens
from application.ports import Ports
from domain.errors import WrongCredentials
from domain.values import Status


class IssueTokens(Command[Tokens], frozen=True, kw_only=True):
    """Log in with a username or an email and a secret.

    An unknown user, a wrong secret and a disabled account get one answer, after the same time.
    """

    login: str
    secret: str
    description: str = ""


async def handle(command: IssueTokens, context: Context, ports: Ports) -> Tokens:
    account = await ports.accounts.find(command.login)
    matches = await ports.hasher.verify(command.secret, account.secret_hash if account else None)
    if account is None or not matches or account.status is not Status.ENABLED:
        raise WrongCredentials
    if account.secret_hash and ports.hasher.outdated(account.secret_hash):
        rehashed = await ports.hasher.hash(command.secret)
        await ports.accounts.rehashed(account.user_id, account.secret_hash, rehashed)
    grant, refresh_token = await ports.sessions.open(account, command.description, context.at)
    access_token = await ports.tokens.access_token(grant, account, context.at)
    return Tokens(access_token=access_token, refresh_token=refresh_token)
