"""From a bearer token to the one who is asking."""

from __future__ import annotations

from msgspec.structs import replace

from application.messages import Context
from application.ports import Ports
from domain.access import Actor
from domain.errors import InvalidToken
from domain.values import Status


async def authenticate(token: str, context: Context, ports: Ports) -> Context:
    """The context with the actor behind an access token, as the account stands now, and the token's session.

    Raises InvalidToken for a token that is not ours, not an access token, expired, or older than
    what ended the sessions of its user.
    """
    claims = ports.tokens.check_access(token, context.at)
    account = await ports.accounts.of(claims.user_id)
    if account is None or account.status is not Status.ENABLED or not account.honours(claims):
        raise InvalidToken
    actor = Actor("user", claims.user_id, account.role, "access", account.verified)
    return replace(context, actor=actor, session=claims.session_id)
