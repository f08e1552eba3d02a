"""The routes that issue and refresh tokens, and the keys to check them with."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import msgspec
from litestar import Controller, Response, get, post

from application.commands.issue_tokens import IssueTokens
from application.commands.refresh_tokens import RefreshTokens
from application.key_operations import KEYS_FRESH, KEYS_STALE
from application.messages import Tokens
from interfaces.http.bodies import LoginBody
from interfaces.http.caller import JSON, AnyRequest, anonymous, bearer, body, bus_of
from interfaces.http.preconditions import already_there

MAX_USER_AGENT = 254

_SECOND = timedelta(seconds=1)
_CACHED = f"public, max-age={KEYS_FRESH // _SECOND}, stale-while-revalidate={KEYS_STALE // _SECOND}"


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
            "throttled": True,
        },
    )
    async def issue(self, request: AnyRequest) -> Response[bytes]:
        wanted = await body(request, LoginBody, LoginBody.faults)
        command = IssueTokens(
            login=wanted.username or wanted.identity,
            secret=wanted.password or wanted.secret,
            description=wanted.description,
            user_agent=user_agent(request),
        )
        return _tokens(await bus_of(request).dispatch(command, anonymous(request)))

    @post(
        "/refresh",
        opt={
            "command": RefreshTokens,
            "access": "refreshing",
            "answer": (201, "Tokens"),
            "throttled": True,
        },
    )
    async def refresh(self, request: AnyRequest) -> Response[bytes]:
        command = RefreshTokens(refresh_token=bearer(request))
        return _tokens(await bus_of(request).dispatch(command, anonymous(request)))


@get(
    ["/.well-known/jwks.json", "/keys/.well-known/jwks.json"],
    sync_to_thread=False,
    opt={"access": "anyone", "answer": (200, "KeySet"), "conditional_get": True},
)
def jwks(request: AnyRequest) -> Response[bytes]:
    """The public keys that check access tokens (RFC 7517); none where a shared secret does."""
    body = msgspec.json.encode(request.app.state["jwks"]())
    etag = hashlib.sha256(body).hexdigest()[:32]
    headers = {"Cache-Control": _CACHED, "ETag": f'"{etag}"'}
    if already_there(request.headers.getall("if-none-match", []), etag):
        return Response(b"", status_code=304, headers=headers, media_type=JSON)
    return Response(body, headers=headers, media_type=JSON)


def user_agent(request: AnyRequest) -> str:
    """What the client calls itself, so far as it can be shown and stored."""
    text = request.headers.get("user-agent", "")[:MAX_USER_AGENT]
    return "".join(character for character in text if character.isprintable())


def _tokens(tokens: Tokens) -> Response[bytes]:
    headers = {"Cache-Control": "no-store"}
    return Response(msgspec.json.encode(tokens), status_code=201, headers=headers, media_type=JSON)
