"""From a bearer token to the one who is asking."""

from __future__ import annotations

from msgspec.structs import replace

from application.messages import Context
from application.ports import Ports
from domain.access import Actor
from domain.values import Role


async def authenticate(token: str, context: Context, ports: Ports) -> Context:
    """The context with the actor behind an access token, as the account stands now, and the token's session.

    Raises InvalidToken for a token that is not ours, not an access token, expired, or older than
    what ended the sessions of its user; Unavailable where the last cannot be told.
    """
    claims = await ports.tokens.claims(token, context.at)
    rights = await ports.revocations.check(claims)
    # What a personal token was made for is not known here: it never has an admin's rights.
    role = rights.role if claims.kind == "access" else Role.USER
    actor = Actor("user", claims.user_id, role, claims.kind, rights.verified)
    return replace(context, actor=actor, session=claims.session_id)
