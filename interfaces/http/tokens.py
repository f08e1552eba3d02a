"""The routes that issue and refresh tokens, and the keys to check them with."""

from __future__ import annotations

import msgspec
from litestar import Controller, Response, get, post

from application.commands.issue_tokens import IssueTokens
from application.commands.refresh_tokens import RefreshTokens
from application.messages import Tokens
from interfaces.http.bodies import LoginBody
from interfaces.http.caller import JSON, AnyRequest, anonymous, bearer, body, bus_of


class TokenCommands(Controller):
    """Log in, and go on with a session."""

    path = "/users/tokens"

    @post(
        "/issue",
        opt={
            "body": LoginBody,
            "command": IssueTokens,
            "access": "anyone",
            "answer": (201, "Tokens"),
            "refuses": (401,),
        },
    )
    async def issue(self, request: AnyRequest) -> Response[bytes]:
        wanted = await body(request, LoginBody, LoginBody.faults)
        command = IssueTokens(
            login=wanted.username or wanted.identity,
            secret=wanted.password or wanted.secret,
            description=wanted.description,
        )
        return _tokens(await bus_of(request).dispatch(command, anonymous(request)))

    @post("/refresh", opt={"command": RefreshTokens, "access": "refreshing", "answer": (201, "Tokens")})
    async def refresh(self, request: AnyRequest) -> Response[bytes]:
        command = RefreshTokens(refresh_token=bearer(request))
        return _tokens(await bus_of(request).dispatch(command, anonymous(request)))


@get(
    ["/.well-known/jwks.json", "/keys/.well-known/jwks.json"],
    sync_to_thread=False,
    opt={"access": "anyone", "answer": (200, "KeySet")},
)
def jwks(request: AnyRequest) -> Response[bytes]:
    """The public keys that check access tokens (RFC 7517)."""
    headers = {"Cache-Control": "public, max-age=900, stale-while-revalidate=60"}
    return Response(msgspec.json.encode(request.app.state["jwks"]()), headers=headers, media_type=JSON)


def _tokens(tokens: Tokens) -> Response[bytes]:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(tokens), status_code=201, headers=headers, media_type=JSON)
