"""What the Auth service is asked, and what each of its refusals means here."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from grpc import StatusCode

from application.ports import Credential
from domain.errors import InvalidToken, NotFound, Refusal
from domain.values import Role, user_id
from infrastructure.auth_service.connection import Connection
from interfaces.grpc.stubs.auth.v1.auth_pb2 import AuthNReq, AuthNRes
from interfaces.grpc.stubs.auth.v1.auth_pb2_grpc import AuthServiceStub
from interfaces.grpc.stubs.token.v1.token_pb2 import (
    IssueReq,
    ListUserRefreshTokensReq,
    RefreshReq,
    RevokeReq,
    Token,
)
from interfaces.grpc.stubs.token.v1.token_pb2_grpc import TokenServiceStub

ACCESS = 0
REFRESH = 1
PERSONAL = 4
ROLES = {Role.USER: 1, Role.ADMIN: 2}


class NotOnPlatform(Refusal):
    """The Auth service does not find the role of a user among the policies; never shown to anybody."""


_ISSUE: Mapping[StatusCode, type[Refusal]] = {
    StatusCode.UNAUTHENTICATED: NotOnPlatform,
    StatusCode.PERMISSION_DENIED: NotOnPlatform,
    StatusCode.NOT_FOUND: NotOnPlatform,
}
_REFRESH: Mapping[StatusCode, type[Refusal]] = {
    StatusCode.UNAUTHENTICATED: InvalidToken,
    StatusCode.PERMISSION_DENIED: InvalidToken,
    StatusCode.NOT_FOUND: InvalidToken,
    StatusCode.INVALID_ARGUMENT: InvalidToken,
    StatusCode.FAILED_PRECONDITION: InvalidToken,
}
_AUTHENTICATE = _REFRESH
_OF_A_USER: Mapping[StatusCode, type[Refusal]] = {StatusCode.NOT_FOUND: NotFound}


class AuthService:
    """The calls, over one channel. Each raises Unavailable while there is no answer to be had."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._tokens = TokenServiceStub(connection.channel)
        self._auth = AuthServiceStub(connection.channel)

    async def issue(self, account: Credential, description: str) -> Token:
        """A new session. Raises NotOnPlatform."""
        request = IssueReq(
            user_id=str(account.user_id),
            user_role=ROLES[account.role],
            type=ACCESS,
            verified=account.verified,
            description=description,
        )
        token: Token = await self._connection.call(self._tokens.Issue, request, _ISSUE)
        return token

    async def refresh(self, refresh_token: str, *, verified: bool) -> Token:
        """The next pair. Raises InvalidToken."""
        request = RefreshReq(refresh_token=refresh_token, verified=verified)
        token: Token = await self._connection.call(self._tokens.Refresh, request, _REFRESH)
        return token

    async def revoke(self, account: UUID, session: UUID) -> None:
        """End a session of this user, if it is there."""
        request = RevokeReq(token_id=str(session), user_id=str(account))
        try:
            await self._connection.call(self._tokens.Revoke, request, _OF_A_USER)
        except NotFound:
            return

    async def sessions_of(self, account: UUID) -> dict[UUID, str]:
        """The descriptions of a user's sessions, by their ids."""
        request = ListUserRefreshTokensReq(user_id=str(account))
        try:
            listed = await self._connection.call(self._tokens.ListUserRefreshTokens, request, _OF_A_USER)
        except NotFound:
            return {}
        found = ((user_id(one.id), one.description) for one in listed.refresh_tokens)
        return {session: description for session, description in found if session is not None}

    async def authenticate(self, token: str) -> AuthNRes:
        """Whose token it is, and of which type. Raises InvalidToken."""
        answer: AuthNRes = await self._connection.call(
            self._auth.Authenticate, AuthNReq(token=token), _AUTHENTICATE
        )
        return answer

    async def close(self) -> None:
        await self._connection.close()
