"""`token.v1.TokenService`: tokens for the services of the platform, in the place of their Auth service."""

from __future__ import annotations

from application import messages
from application.bus import Bus
from application.commands.issue_tokens_for import IssueTokensFor
from application.commands.refresh_tokens import RefreshTokens
from application.commands.revoke_session_of import RevokeSessionOf
from application.messages import Context
from application.queries.list_sessions_of import ListSessionsOf
from domain.errors import NotFound
from domain.values import user_id as parse_id
from interfaces.grpc.errors import invalid
from interfaces.grpc.stubs.token.v1.token_pb2 import (
    IssueReq,
    ListUserRefreshTokensReq,
    ListUserRefreshTokensRes,
    RefreshReq,
    RefreshToken,
    RevokeReq,
    RevokeRes,
    Token,
)

ACCESS = 0
LONGEST_DESCRIPTION = 254


async def issue(request: IssueReq, context: Context, bus: Bus) -> Token:
    """Tokens for a user; role and verified flag are the user's, whatever the request says."""
    if request.type != ACCESS:
        raise invalid("type", "Only access tokens (0), with their refresh tokens, are issued here.")
    if len(request.description) > LONGEST_DESCRIPTION or "\x00" in request.description:
        raise invalid(
            "description", f"A description has at most {LONGEST_DESCRIPTION} characters and no U+0000."
        )
    if not request.user_id:
        raise invalid("user_id", "The id of a user is needed.")
    if (user_id := parse_id(request.user_id)) is None:
        raise NotFound
    command = IssueTokensFor(user_id=user_id, description=request.description)
    return _token(await bus.dispatch(command, context))


async def refresh(request: RefreshReq, context: Context, bus: Bus) -> Token:
    """The next pair of a session."""
    if not request.refresh_token:
        raise invalid("refresh_token", "A refresh token is needed.")
    return _token(await bus.dispatch(RefreshTokens(refresh_token=request.refresh_token), context))


async def revoke(request: RevokeReq, context: Context, bus: Bus) -> RevokeRes:
    """The end of a session of this user."""
    for field in ("token_id", "user_id"):
        if not getattr(request, field):
            raise invalid(field, "This id is needed.")
    session_id, user_id = parse_id(request.token_id), parse_id(request.user_id)
    if session_id is not None and user_id is not None:
        await bus.dispatch(RevokeSessionOf(user_id=user_id, session_id=session_id), context)
    return RevokeRes()


async def list_refresh_tokens(
    request: ListUserRefreshTokensReq, context: Context, bus: Bus
) -> ListUserRefreshTokensRes:
    """The living sessions of a user, under the ids of their refresh tokens."""
    if not request.user_id:
        raise invalid("user_id", "The id of a user is needed.")
    user_id = parse_id(request.user_id)
    sessions = await bus.ask(ListSessionsOf(user_id=user_id), context) if user_id else ()
    return ListUserRefreshTokensRes(
        refresh_tokens=[
            RefreshToken(id=str(session.id), description=session.description) for session in sessions
        ]
    )


def _token(tokens: messages.Tokens) -> Token:
    return Token(
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        access_type=tokens.access_type,
    )
