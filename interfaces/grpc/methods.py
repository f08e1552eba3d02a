"""What can be called, by whom, and what answers: one row per method of the .proto files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from application.bus import Bus
from application.clients import Scope
from application.commands.issue_tokens_for import IssueTokensFor
from application.commands.refresh_tokens import RefreshTokens
from application.commands.revoke_session_of import RevokeSessionOf
from application.messages import Context
from application.queries.authorize_user import AuthorizeUser
from application.queries.identify import Identify
from application.queries.list_sessions_of import ListSessionsOf
from application.queries.retrieve_users import RetrieveUsers
from interfaces.grpc import auth, policies, tokens, users

Answer = Callable[[Any, Context, Bus], Awaitable[Any]]


class Unary(msgspec.Struct, frozen=True):
    """A method with one answer: what gives it, the scope it takes, and the use case behind it."""

    answer: Answer
    scope: Scope
    use_case: type


UNARY: dict[str, Unary] = {
    "users.v1.UsersService/RetrieveUsers": Unary(users.retrieve, "read_users", RetrieveUsers),
    "mainflux.users.policies.AuthService/Identify": Unary(policies.identify, "introspect", Identify),
    "mainflux.users.policies.AuthService/Authorize": Unary(policies.authorize, "introspect", AuthorizeUser),
    "auth.v1.AuthService/Authenticate": Unary(auth.authenticate, "introspect", Identify),
    "auth.v1.AuthService/Authorize": Unary(auth.authorize, "introspect", AuthorizeUser),
    "token.v1.TokenService/Issue": Unary(tokens.issue, "issue_tokens", IssueTokensFor),
    "token.v1.TokenService/Refresh": Unary(tokens.refresh, "issue_tokens", RefreshTokens),
    "token.v1.TokenService/Revoke": Unary(tokens.revoke, "issue_tokens", RevokeSessionOf),
    "token.v1.TokenService/ListUserRefreshTokens": Unary(
        tokens.list_refresh_tokens, "issue_tokens", ListSessionsOf
    ),
}

WATCH = "users.v1.UsersService/WatchUsers"
WATCH_SCOPE: Scope = "follow_feed"
"""The one method that answers with a stream, for as long as its caller may."""
