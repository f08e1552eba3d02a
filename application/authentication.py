"""From a bearer token to the one who is asking."""

from __future__ import annotations

from datetime import datetime

from application.ports import Ports
from domain.access import Actor
from domain.errors import InvalidToken
from domain.values import Status


async def authenticate(token: str, at: datetime, ports: Ports) -> Actor:
    """The actor behind an access token, as the account stands now and not as the token remembers it.

    Raises InvalidToken for a token that is not ours, not an access token, expired, or older than
    what ended the sessions of its user.
    """
    claims = ports.tokens.check_access(token, at)
    account = await ports.accounts.of(claims.user_id)
    if account is None or account.status is not Status.ENABLED or account.epoch != claims.epoch:
        raise InvalidToken
    return Actor("user", claims.user_id, account.role, "access", account.verified)
