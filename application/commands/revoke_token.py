"""Make a token worthless, because whoever holds it says so."""

from __future__ import annotations

from application.authentication import authenticate
from application.limits import limits
from application.messages import Command, Context
from application.ports import Ports
from application.throttling import counting
from domain.errors import InvalidToken


class RevokeToken(Command[None], frozen=True, kw_only=True):
    """End the session that a token belongs to, with every token of it (RFC 7009).

    To hold the token is all that it takes. One that is worth nothing already is revoked, too.
    """

    token: str


async def handle(command: RevokeToken, context: Context, ports: Ports) -> None:
    try:
        held = [] if ports.sessions.made_here(command.token) else limits("refresh", context)
        async with counting(InvalidToken, held, context, ports):
            await _revoke(command.token, context, ports)
    except InvalidToken:
        return


async def _revoke(token: str, context: Context, ports: Ports) -> None:
    if living := await ports.sessions.living(token, context.at):
        user_id, session_id = living.user_id, living.session_id
    else:
        found = await authenticate(token, context, ports)
        assert found.actor.id is not None
        assert found.session is not None
        user_id, session_id = found.actor.id, found.session
    await ports.sessions.revoke(user_id, session_id, context.at, by=session_id, network=context.network)
