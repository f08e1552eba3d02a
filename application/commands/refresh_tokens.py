"""Go on with a session."""

from __future__ import annotations

from application.limits import limits
from application.messages import Command, Context, Tokens
from application.ports import Ports
from application.throttling import counting
from domain.errors import InvalidToken
from domain.values import Status


class RefreshTokens(Command[Tokens], frozen=True, kw_only=True):
    """Exchange a refresh token for a new pair. The old one is used up, but for a short grace."""

    refresh_token: str


async def handle(command: RefreshTokens, context: Context, ports: Ports) -> Tokens:
    # One of ours is not held up by what others on its network make up.
    held = [] if ports.sessions.made_here(command.refresh_token) else limits("refresh", context)
    async with counting(InvalidToken, held, context, ports):
        grant, refresh_token = await ports.sessions.refresh(
            command.refresh_token, context.at, network=context.network
        )
        account = await ports.accounts.of(grant.user_id)
        if account is None or account.status is not Status.ENABLED or account.epoch != grant.epoch:
            raise InvalidToken
    access_token = await ports.tokens.access_token(grant, account, context.at)
    return Tokens(access_token=access_token, refresh_token=refresh_token)
